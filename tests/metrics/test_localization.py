"""Masks against events and maps against boxes, on cases worked out by hand."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tfvid.metrics import localization as loc
from tfvid.metrics.masks import mask_length


def test_temporal_iou():
    mask = np.array([[0, 0, 0.9, 0.6, 0.5, 0], [1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 1]])
    event = [[3, 6], [0, 6], [2, 4], [-1, -1]]
    np.testing.assert_allclose(loc.temporal_iou(mask, event), [1 / 4, 1, 0, 0])
    np.testing.assert_array_equal(loc.known_events(event), [True, True, True, False])
    assert loc.temporal_iou(np.zeros((1, 4)), [[-1, -1]]) == 0  # nothing and nothing: not 0 / 0


masks = arrays.arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(2, 9)), elements=st.floats(0, 1, width=32))


@settings(max_examples=50, deadline=None)
@given(mask=masks, seed=st.integers(0, 99))
def test_baselines_are_as_long_as_the_mask(mask, seed):
    for baseline in (loc.random_mask(mask, seed), loc.random_window(mask, seed), loc.centred_window(mask)):
        assert baseline.shape == mask.shape and baseline.dtype == np.float32
        np.testing.assert_array_equal(mask_length(baseline), mask_length(mask))
    for window in (loc.random_window(mask, seed), loc.centred_window(mask)):
        starts = np.diff(np.pad(window, ((0, 0), (1, 0)))) == 1
        assert (starts.sum(axis=1) <= 1).all()
    np.testing.assert_array_equal(loc.random_mask(mask, seed), loc.random_mask(mask, seed))


def test_baselines():
    mask = np.tile([1.0, 1.0, 0, 0, 0, 0], (200, 1))
    np.testing.assert_array_equal(loc.centred_window(mask)[0], [0, 0, 1, 1, 0, 0])
    starts = loc.random_window(mask, seed=0).argmax(axis=1)
    assert set(starts) == {0, 1, 2, 3, 4}
    assert len(np.unique(loc.random_mask(mask, seed=0), axis=0)) == 15  # all of 6 choose 2


def test_pointing_hits():
    maps = np.zeros((1, 3, 6, 8))
    maps[0, 0, 1, 2] = maps[0, 1, 5, 7] = maps[0, 2, 0, 0] = 1
    nan = [np.nan] * 4
    boxes = np.array([[[[0, 0, 1, 1], [1, 2, 3, 4]], [nan, [0, 0, 4, 6]], [nan, nan]]])
    hits, counted = loc.pointing_hits(maps, boxes)
    np.testing.assert_array_equal(hits, [[True, False, False]])
    np.testing.assert_array_equal(counted, [[True, True, False]])
    hits, _ = loc.pointing_hits(maps, boxes, margin=2)
    np.testing.assert_array_equal(hits, [[True, True, False]])
    assert not loc.pointing_hits(maps, boxes[:, :, :0])[1].any()


def test_energy_in_boxes():
    maps = np.ones((2, 2, 4, 4))
    maps[1] = 0
    maps[0, 0, 3, 3] = -5  # below zero: no energy
    box, nan = [0, 0, 2, 2], [np.nan] * 4
    boxes = np.array([[[box, box], [nan, nan]], [[box, nan], [box, nan]]])
    np.testing.assert_allclose(loc.energy_in_boxes(maps, boxes), [4 / 15, 0])  # overlapping boxes count once
