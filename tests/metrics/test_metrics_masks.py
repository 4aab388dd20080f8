"""The paper's measures on literals, and on the masks read off its own figures."""

import json

import numpy as np

from tfvid.metrics.masks import drop, drop_difference, drop_ratio, is_trusted, mask_length


def test_mask_length_counts_frames_above_the_threshold():
    mask = [[0.0, 0.5, 0.51, 1.0], [0.2, 0.3, 0.1, 0.4]]
    np.testing.assert_array_equal(mask_length(mask), [2, 0])
    np.testing.assert_array_equal(mask_length(mask, threshold=0.25), [3, 2])


def test_scores():
    original, frozen, reversed_ = [0.9, 0.5], [0.1, 0.4], [0.5, 0.6]
    np.testing.assert_allclose(drop(original, frozen), [0.8, 0.1])
    np.testing.assert_allclose(drop_difference(frozen, reversed_), [0.4, 0.2])


def test_drop_ratio_leaves_out_small_drops():
    original = np.array([0.9, 0.9, 0.9, 0.9, 0.2], np.float32)
    frozen = np.array([0.1, 0.1, 0.8995, 0.1, 0.9], np.float32)
    reversed_ = np.array([0.5, 0.8995, 0.5, 0.9, 0.1], np.float32)
    ratio, kept = drop_ratio(original, frozen, reversed_)
    np.testing.assert_array_equal(kept, [True, False, False, False, False])
    np.testing.assert_allclose(ratio, [2, 0, 0, 0, 0], rtol=1e-6)
    ratio, kept = drop_ratio(original, frozen, reversed_, smallest=0.0001)
    np.testing.assert_array_equal(kept, [True, True, True, False, False])
    np.testing.assert_allclose(ratio[1], 0.8 / 0.0005, rtol=1e-3)


def test_masks_that_say_little_are_not_trusted():
    assert is_trusted([0.5, 0.5, 0.5, 0.5], [0.06, 0.04, -0.1, np.nan]).tolist() == [True, False, False, False]


def test_a_drop_of_just_the_smallest_is_left_out():
    """0.5 - 0.499 is 0.0010000000000000009 in float64."""
    _, kept = drop_ratio([0.5, 0.5], [0.499, 0.498], [0.1, 0.1])
    np.testing.assert_array_equal(kept, [False, True])


def test_published_masks(shared_data):
    """31 Something-something clips shown on the paper's page; the paper itself has 6.2 and 9.9 on 1575 clips."""
    records = json.loads((shared_data / "published" / "freeze_masks.json").read_text())
    for model, mean, deviation in (("i3d", 6.35, 3.63), ("clstm", 10.06, 3.37)):
        masks = [r["freeze_mask"] for r in records if r["model"] == model and len(r["freeze_mask"]) == 16]
        lengths = mask_length(masks)
        assert len(lengths) == 31
        assert (round(lengths.mean(), 2), round(lengths.std(), 2)) == (mean, deviation)
