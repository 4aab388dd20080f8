"""Resizing by area: OpenCV's pixels."""

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tfvid.data.decode.resize import resize_into

SIDE = st.integers(1, 90)


def resize(frame: np.ndarray, size) -> np.ndarray:
    block = np.full((3, *size, 3), 7, np.uint8)  # as when it decodes: one of several frames
    resize_into(block[1], frame)
    assert (block[[0, 2]] == 7).all()
    return block[1]


@given(SIDE, SIDE, SIDE, SIDE)
@example(60, 106, 56, 56)
@example(30, 40, 56, 56)  # larger
@example(30, 80, 56, 56)  # higher and narrower
@example(56, 56, 56, 56)
@example(56, 112, 56, 56)  # a whole factor
@example(90, 90, 1, 1)
@example(7, 1, 5, 1)
@settings(max_examples=60, deadline=None)
def test_the_pixels_of_opencv(from_height, from_width, height, width):
    frame = np.random.default_rng(from_height).integers(0, 256, (from_height, from_width, 3), np.uint8)
    expected = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
    resized = resize(frame, (height, width))
    assert resized.shape == expected.shape and resized.dtype == np.uint8
    difference = np.abs(resized.astype(int) - expected)
    assert difference.max() <= 1 and (difference > 0).mean() < 0.01  # sums may be rounded in another order


@pytest.mark.parametrize("size", [(240, 426), (240, 427), (256, 340), (480, 640), (1080, 1920)])
def test_sizes_that_videos_have(size):
    frame = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    expected = cv2.resize(frame, (224, 224), interpolation=cv2.INTER_AREA).astype(int)
    difference = np.abs(resize(frame, (224, 224)) - expected)
    assert difference.max() <= 1 and (difference > 0).mean() < 1e-4


def test_by_hand():
    frame = np.repeat(np.array([[0, 90, 30]], np.uint8)[..., None], 3, -1)  # three pixels in a row, to two
    assert resize(frame, (1, 2))[0, :, 0].tolist() == [30, 50]  # (0 + 90/2) / 1.5, (90/2 + 30) / 1.5
