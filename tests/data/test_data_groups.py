"""Holding out whole groups of clips."""

import numpy as np
import pytest

from tfvid.core.errors import DataError
from tfvid.data.sources.groups import group_function, grouped_example, hold_out, in_several, name_prefix


def test_single_clips_are_held_out_evenly():
    """The third of five brings the share nearest to a fifth: .33 - .2 is below .2 - 0."""
    assert hold_out("a" * 15, list(range(15)), 0.2) == [i % 5 == 2 for i in range(15)]
    assert hold_out("ab" * 10, list(range(20)), 0.5) == [i % 4 > 1 for i in range(20)]  # every second of each class


def test_one_large_group_first():
    """What is held out after the first pass (nothing: 10 of the first 10, then 90 of 100) is mended by the second."""
    assert hold_out("a" * 100, [0] * 10 + [1] * 90, 0.2) == [True] * 10 + [False] * 90


def test_both_sides_get_a_group():
    assert hold_out("aa", [0, 1], 0.01) == [True, False]
    assert hold_out("aa", [0, 1], 0.99).count(True) == 1
    assert hold_out("aaa", [0, 0, 0], 0.5) == [False] * 3
    assert hold_out("aa", [0, 1], 0.0) == [False] * 2


@pytest.mark.parametrize("seed", range(5))
def test_random_groups(seed):
    """Groups that span classes are whole, the share of each class is near, and the order of calls changes nothing."""
    random = np.random.default_rng(seed)
    groups = random.integers(0, 60, 600).tolist()
    labels = random.integers(0, 4, 600).tolist()
    out = np.array(hold_out(labels, groups, 0.25))
    assert not set(np.array(groups)[out]) & set(np.array(groups)[~out])
    for label in range(4):
        assert abs(out[np.array(labels) == label].mean() - 0.25) < 0.05
    assert hold_out(labels, groups, 0.25) == out.tolist()
    errors = [abs(out[np.array(labels) == label].mean() - 0.25) for label in range(4)]
    assert np.mean(errors) < 0.02


@pytest.mark.parametrize(
    ("id", "prefix"),
    [
        ("a/v_Archery_g01_c02.avi", "a/v_Archery_g01"),
        ("video01_003.mp4", "video01"),
        ("x/video01-clip12.mp4", "x/video01"),
        ("g01c02.avi", "g01"),
        ("a (3).mp4", "a"),
        ("fi001.mp4", "fi001"),  # no separator: the number is all that names the clip
        ("00001", "00001"),
        ("a/take1.2_3", "a/take1.2"),  # a folder of frames
        ("_1.mp4", "_1"),
        ("-0xTz2FFQ-k_000010_000020.mp4", "-0xTz2FFQ-k"),
        ("IMG_20200101_123456.mp4", "IMG_20200101"),
    ],
)
def test_prefixes(id, prefix):
    assert name_prefix(id) == prefix


def test_which_names_look_grouped():
    ucf = [f"{name}_g{group}_c{clip}.avi" for name in "ab" for group in range(3) for clip in range(2)]
    assert grouped_example(ucf, [id[0] for id in ucf]) == ["a_g0_c0.avi", "a_g0_c1.avi"]
    counted = [f"{name}_{clip}.avi" for name in "ab" for clip in range(9)]
    assert grouped_example(counted, [id[0] for id in counted]) == []
    kinetics = [f"id{i}_{10 * i}_{10 * i + 10}.mp4" for i in range(20)]
    assert grouped_example(kinetics, ["a"] * 20) == []
    parts = [f"id{i}_{10 * k:06d}_{10 * k + 10:06d}.mp4" for i in range(5) for k in range(3)]
    assert grouped_example(parts, ["a"] * 15) == ["id0_000000_000010.mp4", "id0_000010_000020.mp4"]
    mostly_single = ["x_1.avi", "x_2.avi", "y_1.avi", "y_2.avi", *(f"v{i}.avi" for i in range(20))]
    assert grouped_example(mostly_single, ["a"] * 24) == []


def test_functions():
    assert [group_function(groups)("a/x_1.mp4") for groups in (None, "none", "prefix", "/(.)")] == [
        *("a/x_1.mp4", "a/x_1.mp4", "a/x", "x")
    ]
    with pytest.raises(DataError, match="'prefix' or a regular expression with one group in parentheses, got 'g01'"):
        group_function("g01")
    with pytest.raises(DataError, match=r"'\(' is not a regular expression \(missing \)"):
        group_function("(")
    with pytest.raises(DataError, match="groups: '(.)?x' is not found in 'x'".replace("(.)?", r"\(\.\)\?")):
        group_function("(.)?x")("x")


def test_groups_in_several_splits():
    assert in_several({"train": "aab", "validation": "cd"}) == ""
    assert in_several({"train": "aab", "validation": "ab"}) == "2 of 2 have clips in more than one split (a, b)"
