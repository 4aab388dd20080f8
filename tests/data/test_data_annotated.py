"""Boxes and events of a video, on the frames of a clip."""

import numpy as np

from tfvid.data.decode.clip import Sample
from tfvid.data.sources.annotated import boxes_of, event_of, frames_taken


def test_frames_taken():
    assert frames_taken(Sample("a", 0, start=10, stop=20), 10, 4).tolist() == [10, 13, 16, 19]
    assert frames_taken(Sample("a", 0, start=10, stop=99), 2, 4).tolist() == [10, 10, 11, 11]


def test_event_of():
    taken = np.array([0, 4, 8, 12])
    assert event_of(taken, 4, 9).tolist() == [1, 3]
    assert event_of(taken, 0, 99).tolist() == [0, 4]
    assert event_of(taken, 5, 8).tolist() == [-1, -1]  # between two frames that were taken


def test_boxes_are_scaled_and_cut_off():
    inside, beyond, outside = (20, 40, 60, 120), (-20, 100, 40, 400), (300, 0, 400, 50)
    boxes = boxes_of([np.array([inside]), np.array([outside, beyond]), np.empty((0, 4))], 2, (240, 320), (120, 80))
    assert boxes.dtype == np.float32 and boxes.shape == (3, 2, 4)
    np.testing.assert_array_equal(boxes[0], [[10, 10, 30, 30], [np.nan] * 4])
    np.testing.assert_array_equal(boxes[1], [[0, 25, 20, 80], [np.nan] * 4])  # the one outside is none
    assert np.isnan(boxes[2]).all()
