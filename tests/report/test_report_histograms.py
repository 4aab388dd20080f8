"""Histograms counted by hand, and drawn."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tfvid.report.histograms import BINS, COLOURS, draw_histograms, histogram


def test_whole_numbers_have_a_bin_each():
    counted = histogram(
        "mask_length", "mask length", "frames", {"a": [3, 3, 5, np.nan], "b": [4, np.nan, np.nan]}, whole=True
    )
    assert counted["edges"] == [2.5, 3.5, 4.5, 5.5]
    assert counted["groups"] == {"a": pytest.approx([2 / 3, 0, 1 / 3]), "b": [0, 1, 0]}
    assert counted["n"] == {"a": 3, "b": 1}
    assert counted["left_out"] == {"a": 1, "b": 2}
    assert counted["beyond"] == {"a": 0, "b": 0}
    assert (counted["measure"], counted["title"], counted["unit"]) == ("mask_length", "mask length", "frames")


def test_means_of_seeds_fall_between_whole_numbers():
    counted = histogram("mask_length", "", "", {"a": [2.5, 2.67, 3.33, 4.0]}, whole=True)
    assert counted["edges"] == [2.5, 3.5, 4.5]
    assert counted["groups"]["a"] == [0.75, 0.25]


def test_the_bins_are_the_same_for_all_groups():
    counted = histogram("blob_size", "", "px", {"a": np.linspace(0, 10, 11), "b": np.full(4, 19.9)})
    np.testing.assert_allclose(counted["edges"], np.linspace(0, 19.9, BINS + 1))
    assert counted["groups"]["b"] == pytest.approx([0] * (BINS - 1) + [BINS / 19.9])


def test_a_long_tail_is_cut_and_counted():
    """Nineteen drop ratios from 1 to 2, and one of 500."""
    counted = histogram("drop_ratio", "", "", {"a": [*np.linspace(1, 2, 39), 500], "b": [1.5]})
    assert 5 < counted["edges"][-1] < 7
    assert counted["beyond"] == {"a": 1, "b": 0}
    assert counted["n"]["a"] == 40
    assert sum(counted["groups"]["a"]) * np.diff(counted["edges"])[0] == pytest.approx(39 / 40)


def test_groups_without_values():
    counted = histogram("blob_size", "", "px", {"a": [np.nan, np.nan], "b": [7, 7]})
    assert counted["groups"] == {"a": [], "b": [1]}
    assert counted["edges"] == [6.5, 7.5]
    nothing = histogram("blob_size", "", "px", {"a": []})
    assert (nothing["groups"], nothing["edges"]) == ({"a": []}, [0, 1])


VALUES = st.lists(st.floats(-100, 1e5, width=32) | st.just(float("nan")), max_size=30)


@given(VALUES, VALUES, st.booleans())
@settings(max_examples=100, deadline=None)
def test_every_value_is_counted_once(first, second, whole):
    counted = histogram("m", "", "", {"a": first, "b": second}, whole=whole)
    json.dumps(counted, allow_nan=False)
    edges = np.array(counted["edges"])
    assert (np.diff(edges) > 0).all() and len(edges) <= 2 * BINS + 3
    for name, values in (("a", first), ("b", second)):
        assert counted["n"][name] + counted["left_out"][name] == len(values)
        within = np.dot(counted["groups"][name], np.diff(edges)) * counted["n"][name] if counted["n"][name] else 0
        assert within + counted["beyond"][name] == pytest.approx(counted["n"][name], abs=1e-6)


def test_both_groups_are_drawn(tmp_path):
    rng = np.random.default_rng(0)
    groups = {"I3D <b>": rng.normal(6, 3, 200), "C-LSTM": rng.normal(10, 3, 200), "none": np.full(3, np.nan)}
    histograms = [histogram(name, name, "px", groups) for name in ("one", "two", "three", "four")]
    file = draw_histograms(histograms, tmp_path / "figure.png", {"one": {"C-LSTM": 10.0, "none": None}})
    pixels = np.asarray(Image.open(file).convert("RGB")).astype(int)
    for colour in COLOURS[:2]:
        wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        assert (np.abs(pixels - wanted).max(axis=-1) < 12).sum() > 200, colour
    assert [path.name for path in tmp_path.iterdir()] == ["figure.png"]
