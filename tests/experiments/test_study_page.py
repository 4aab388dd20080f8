"""A study's page as text: numbers, tables, histograms, escaping."""

import copy
import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from page_text import Text, rows
from toy_results import make

from tfvid.core.errors import DataError
from tfvid.report.histogram_svg import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, histogram_svg
from tfvid.report.numbers import number
from tfvid.report.page import as_script
from tfvid.report.study_page import write_study_page
from tfvid.results.result_store import ResultStore

EVIL = '"><script>alert(1)</script><b>&amp;'
REPORT = {
    "version": 1,
    "title": "Two networks",
    "dataset": {"name": "shapes", "split": "validation", "clips": 2},
    "groups": [{"name": "I3D", "models": ["i3d"]}, {"name": "C-LSTM", "models": ["lstm_0", "lstm_1"]}],
    "tables": [
        {
            "id": "table_3",
            "title": "Table 3",
            "caption": "Means.",
            "csv": "tables/table_3.csv",
            "columns": [
                {"key": "model", "title": "model", "unit": "", "digits": 0},
                {"key": "length", "title": "mask length", "unit": "frames", "digits": 2},
                {"key": "p", "title": "p", "unit": "", "digits": 3},
                {"key": "note", "title": "note", "unit": "", "digits": 0},
            ],
            "rows": [
                {
                    "model": "I3D",
                    "length": {"mean": 6.354, "std": 3.625, "low": 5.1, "high": 7.65, "n": 31},
                    "p": 0.00001,
                    "note": None,
                },
                {
                    "model": "C-LSTM",
                    "length": {"mean": -0.001, "std": None, "low": None, "high": None, "n": 1},
                    "p": 0.25,
                    "note": "one clip",
                },
            ],
        }
    ],
    "histograms": [
        {
            "measure": "mask_length",
            "title": "mask length",
            "unit": "frames",
            "edges": [0.0, 4.0, 8.0],
            "groups": {"I3D": [0.25, 0.0], "C-LSTM": [0.0, 0.125]},
            "n": {"I3D": 2, "C-LSTM": 2},
            "left_out": {"I3D": 0, "C-LSTM": 1},
        }
    ],
    "findings": [
        {"question": "Shorter masks?", "answer": "Yes.", "holds": True},
        {"question": "Fewer blobs?", "answer": "No.", "holds": False},
        {"question": "Central?", "answer": "Unclear.", "holds": None},
    ],
    "notes": ["Scores are probabilities."],
    "clips": {
        "i3d": {"a": {"mask_length": 2, "blob_size": None}, "b": {"mask_length": 4}},
        "lstm_0": {"a": {"mask_length": 6}, "b": {"mask_length": 8}},
        "lstm_1": {"a": {"mask_length": 7}, "b": {"mask_length": None}},
    },
    "manifest": {"packages": {"keras": "3.15.1"}},
}


def page(folder, report=REPORT) -> str:
    return write_study_page(folder, report).read_text(encoding="utf-8")


def test_numbers_by_hand():
    assert [number(value, 2) for value in (1.005, -0.5, -0.001, None, float("nan"))] == [
        "1.00",
        "−0.50",
        "0.00",
        "–",
        "–",
    ]
    assert number(12.5, 0) == "12"


@given(st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
@settings(max_examples=50, deadline=None)
def test_data_cannot_leave_its_script(value):
    text = as_script([value, EVIL, "\u2028", "<!--"])
    assert json.loads(text)[0] == value and json.loads(text)[1] == EVIL
    assert not set(text) & set("<>&\u2028\u2029")


def test_a_table_by_hand(tmp_path):
    html = page(tmp_path)
    head, first, second = rows(html[html.index('id="table_3"') :])
    assert head == ["model", "mask length frames", "p", "note"]
    assert first == ["I3D", "6.35 ± 3.62 5.10 to 7.65, n 31", "< 0.001", "–"]
    assert second == ["C-LSTM", "0.00 n 1", "0.250", "one clip"]
    assert '<a href="tables/table_3.csv" download>CSV</a>' in html


def test_findings_say_what_they_found(tmp_path):
    text = Text(page(tmp_path)).text
    assert "Shorter masks? ✓ holds Yes." in text
    assert "Fewer blobs? ✗ does not hold No." in text
    assert "Central? ? undecided Unclear." in text


def test_a_histogram_by_hand():
    svg = histogram_svg(REPORT["histograms"][0], ["I3D", "C-LSTM"], {"I3D": 2.0, "C-LSTM": 100.0})
    middle, right = LEFT + (WIDTH - LEFT - RIGHT) / 2, WIDTH - RIGHT
    bottom, half = HEIGHT - BOTTOM, TOP + (HEIGHT - TOP - BOTTOM) / 2
    assert f'class="g0" d="M{LEFT}.0 {bottom}.0V{TOP}.0H{middle:.1f}V{bottom}.0H{right}.0V{bottom}.0Z"' in svg
    assert f'class="g1" d="M{LEFT}.0 {bottom}.0V{bottom}.0H{middle:.1f}V{half:.1f}H{right}.0V{bottom}.0Z"' in svg
    assert svg.count('class="mean') == 1  # the other is off the axis
    assert "<title>0 to 4 frames\nI3D: 0.25\nC-LSTM: 0</title>" in svg


def test_a_group_without_values_has_no_histogram(tmp_path):
    report = copy.deepcopy(REPORT)
    report["histograms"][0]["groups"]["C-LSTM"] = []
    assert page(tmp_path, report).count('<path class="g1"') == 0


def test_means_are_over_clips_of_the_mean_over_models(tmp_path):
    text = Text(page(tmp_path)).text
    assert "I3D mean 3.00, n 2" in text  # of 2 and 4
    assert "C-LSTM mean 7.25, n 2, 1 left out" in text  # of (6 + 7) / 2 and 8


def evil(value):
    if isinstance(value, dict):
        return {key: evil(item) for key, item in value.items()}
    if isinstance(value, list):
        return [evil(item) for item in value]
    return EVIL if isinstance(value, str) else value


def test_nothing_in_a_report_becomes_markup(tmp_path):
    report = evil(copy.deepcopy(REPORT))
    report["groups"] = [{"name": f"{EVIL}{index}", "models": [f"{EVIL}{index}"]} for index in range(2)]
    report["histograms"][0] |= {"groups": {f"{EVIL}0": [1, 1]}, "n": {f"{EVIL}0": 2}, "left_out": {}}
    report["tables"][0]["columns"][0]["key"] = "model"
    report["tables"][0]["rows"] = [{"model": EVIL}]
    fields = ("id", "label_name", "predicted_name", "target_name", "path", "perturbation", "reel", "gif", "sheet")
    ResultStore(tmp_path).append([make(**dict.fromkeys(fields, EVIL), model=f"{EVIL}0", target=1)])
    html = page(tmp_path, report)
    tags = [tag for tag, _ in Text(html).tags]
    assert tags.count("script") == 2 and "alert(1)</script>" not in html
    assert not [names for _, names in Text(html).tags if any(name.startswith("on") for name in names)]


def test_page_needs_no_network(tmp_path):
    html = page(tmp_path)
    assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", html)
    assert re.findall(r"https?:[^\s\"']*", html) == ["http://www.w3.org/2000/svg"]  # the name of a kind of element


def test_without_records_there_are_no_clips(tmp_path):
    assert 'href="#clips">Clips' not in page(tmp_path)
    ResultStore(tmp_path).append([make("a")])
    assert 'href="#clips">Clips' in page(tmp_path)


def test_records_of_other_models_are_passed_over(tmp_path):
    ResultStore(tmp_path).append([make("a"), make("b", "another")])
    assert '"name":"another"' not in page(tmp_path) and '"id":"b"' not in page(tmp_path)


def test_a_report_of_another_version_is_refused(tmp_path):
    with pytest.raises(DataError, match="expected a report of version 1, got 2"):
        write_study_page(tmp_path, REPORT | {"version": 2})
