"""The page as text: its numbers, its escaping, its files."""

import json
import re

import numpy as np
import pytest
from page_text import Text, rows
from toy_results import make

from tfvid.core.errors import DataError
from tfvid.report.gallery import summary_table, write_gallery
from tfvid.report.media import Films, note, write_media
from tfvid.results.result_store import ResultStore


def test_summary_by_hand():
    results = [
        make("a", label=0, predicted=0, mask_length=2, original_score=0.75, freeze_score=0.25, reverse_score=0.75),
        make("b", label=1, predicted=0, mask_length=6, original_score=0.5, freeze_score=0.5, reverse_score=1.0),
        make("a", "c_lstm", label=-1, mask_length=3),
    ]
    head, i3d, c_lstm = rows(summary_table(results))
    assert head == ["", "clips", "accuracy", "mask length", "OS", "drop OS − FS", "drop OS − RS"]
    assert i3d == ["i3d", "2", "0.50", "4.0 ± 2.0", "0.62 ± 0.12", "0.25 ± 0.25", "−0.25 ± 0.25"]
    assert c_lstm[:4] == ["c_lstm", "1", "–", "3.0"]


def test_summary_has_temporal_iou_beside_its_baselines_where_events_are_known():
    known = {"event": (1, 3), "temporal_iou": 0.5, "temporal_iou_random": 0.25, "temporal_iou_centred": 1.0}
    head, row = rows(summary_table([make("a", **known), make("b")]))
    assert head[-3:] == ["temporal IoU", "random", "centred"]
    assert row[-3:] == ["0.50", "0.25", "1.00"]  # the clip without an event does not count


def test_nothing_in_a_record_becomes_markup(tmp_path):
    evil = '"><script>alert(1)</script><b>&amp;'
    fields = (
        "id",
        "model",
        "label_name",
        "predicted_name",
        "target_name",
        "path",
        "perturbation",
        "reel",
        "gif",
        "sheet",
    )
    ResultStore(tmp_path).append([make(**dict.fromkeys(fields, evil), target=1)])
    path = write_gallery(tmp_path, title=evil, skipped={evil: evil}, notes={evil: evil})
    page = path.read_text(encoding="utf-8")
    parsed = Text(page)
    assert len([tag for tag, _ in parsed.tags if tag == "script"]) == 2  # the page's own
    assert not [tag for tag, _ in parsed.tags if tag == "b" and "alert" in tag]
    assert "alert(1)</script>" not in page
    assert parsed.text.count("<script>alert(1)</script><b>&amp;") >= 8


TOP = {"top": (0, 1), "top_names": ("right", "left"), "top_scores": np.float32([0.875, 0.125])}


def test_top_classes_damage_and_identical_frames_are_on_the_page(tmp_path):
    ResultStore(tmp_path).append(
        [
            make("a", sheet="a.png", **TOP),  # predicted and explained: right; true: left
            make("b", sheet="b.png", damage="ends early", still=True),
            make("c", sheet="c.png", full_drop=0.01),
            make("d", damage="holds <b>other</b> frames"),  # without pictures
        ]
    )
    page = write_gallery(tmp_path).read_text(encoding="utf-8")
    text = Text(page).text
    assert (
        "Clips from damaged files: 2 b : ends early d : holds <b>other</b> frames Clips of identical frames: 1 b"
        in text
    )
    start = page.index("const run = ") + len("const run = ")
    run = json.loads(page[start : page.index(";\n", start)])
    first, second, third = run["clips"]
    assert run["classes"] == ["right", "left"]
    assert first["rows"][0]["top"] == [[0, 0.875, "explained"], [1, 0.125, "true"]]
    assert [clip["damage"] for clip in run["clips"]] == ["", "ends early", ""]
    still = "All 4 frames of this clip are identical: the mask says nothing about time."
    little = "Perturbing the whole clip lowers this score by less than a tenth: the mask says little."
    assert [clip["rows"][0]["doubt"] for clip in run["clips"]] == ["", still, little]
    assert second["rows"][0]["top"] == third["rows"][0]["top"] == []  # as in records of earlier versions
    plain = Text(page[page.index("<noscript>") : page.index("</noscript>")]).text
    assert "i3d : right (predicted and explained)" in plain and "Top 2: right 0.88 · left 0.12" in plain
    assert plain.count(still) == plain.count("Damaged file: ends early") == 1


def test_page_needs_no_network_and_leaks_no_folder(tmp_path):
    ResultStore(tmp_path).append([make(path="/home/someone/secret/clip.mp4", label=-1, label_name="", sheet="a.png")])
    page = write_gallery(tmp_path).read_text(encoding="utf-8")
    assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", page)
    assert re.findall(r"https?:[^\s\"']*", page) == ["http://www.w3.org/2000/svg"]  # the name of a kind of element
    assert "clip.mp4" in page and "secret" not in page


def test_no_results_no_page(tmp_path):
    with pytest.raises(DataError, match="no results here"):
        write_gallery(tmp_path)


def test_media_are_written_and_named(tmp_path):
    clip = np.random.default_rng(0).random((4, 16, 24, 3), np.float32)
    before = clip.copy()
    record = write_media(
        make("a/../b c"), tmp_path, clip, {"grad_cam": np.zeros((4, 2, 2))}, clip, clip[::-1], Films(("gif", "webp"))
    )
    names = {name: getattr(record, name) for name in ("gif", "mp4", "webp", "reversed", "sheet", "reel")}
    assert names.pop("mp4") == ""
    assert all((tmp_path / name).stat().st_size > 100 for name in names.values())
    written = {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()}
    assert set(names.values()) == written and len(written) == 5
    np.testing.assert_array_equal(clip, before)


def test_clips_with_like_names_get_files_of_their_own(tmp_path):
    clip = np.zeros((4, 8, 8, 3), np.float32)
    like = [
        ("a/b", "m"),
        ("a b", "m"),
        ("a-b", "m"),
        ("a", "b-m"),
        ("a-reel", "m"),
        ("a", "m"),
        ("é", "m"),
        ("..", ".."),
    ]
    records = [
        write_media(make(*names), tmp_path, clip, {"grad_cam": np.zeros((4, 1, 1))}, clip, None, Films(()))
        for names in like
    ]
    assert len({record.reel for record in records}) == len(like)
    assert all((tmp_path / record.reel).resolve().is_relative_to(tmp_path.resolve()) for record in records)


def test_note_names_the_true_class_only_where_it_differs():
    assert note(make(label=0)) == "i3d  ·  OS 0.75  ·  FS 0.25  ·  RS 0.50"
    assert note(make()).endswith("CS 0.12  ·  true: left")
    assert "true" not in note(make(label=-1, true_score=float("nan")))


def test_unknown_film_format():
    with pytest.raises(ValueError, match="unknown film format 'avi'"):
        Films(("gif", "avi"))
