"""Blobs: counts, sizes and places of discs drawn by hand."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfvid.core.errors import ConfigError, TfvidError
from tfvid.metrics.blobs import DETECTOR, VARIANTS, blob_statistics


def frame(*discs, size=(100, 120)):
    """A map of zeros with discs of (x, y, radius, value)."""
    drawn = np.zeros(size, np.float32)
    for x, y, radius, value in discs:
        cv2.circle(drawn, (x, y), radius, float(value), -1)
    return drawn


def clip(*frames):
    return np.stack(frames)[np.newaxis]


def test_one_disc_has_its_diameter_and_its_place():
    statistics = blob_statistics(clip(frame((59, 49, 10, 1)), frame((59, 49, 10, 1))))
    np.testing.assert_allclose(statistics.count, [1])
    np.testing.assert_allclose(statistics.size, [20], atol=1.5)  # the border lies within the disc
    np.testing.assert_allclose(statistics.centre_distance, [np.hypot(0.5, 0.5)], atol=0.1)


def test_count_is_a_mean_over_frames_and_size_one_over_blobs():
    statistics = blob_statistics(clip(frame((20, 50, 10, 1), (60, 50, 10, 1), (100, 50, 4, 1)), frame()))
    np.testing.assert_allclose(statistics.count, [1.5])
    np.testing.assert_allclose(statistics.size, [(20 + 20 + 8) / 3], atol=1.5)
    np.testing.assert_allclose(statistics.centre_distance, [(39.5 + 0.5 + 40.5) / 3], atol=0.5)


def test_centre_distance_on_a_wide_frame():
    """x and y are not mixed up: a disc at the right end of a wide frame, one at its lower edge."""
    right, below = (blob_statistics(clip(frame(disc, size=(60, 200)))) for disc in ((179, 30, 6, 1), (100, 49, 6, 1)))
    np.testing.assert_allclose(right.centre_distance, [179 - 99.5], atol=0.5)
    np.testing.assert_allclose(below.centre_distance, [49 - 29.5], atol=0.5)


def test_large_and_odd_shapes_are_blobs():
    """OpenCV's defaults drop what is above 5000 pixels or too long."""
    large = frame((110, 110, 100, 1), size=(224, 224))
    bar = np.zeros((224, 224), np.float32)
    bar[100:106, 10:200] = 1
    for shape in (large, bar):
        assert blob_statistics(clip(shape)).count == 1


def test_a_clip_is_scaled_by_its_own_maximum():
    """A frame that is faint beside the rest of its clip has no blob; a faint clip has its own."""
    strong, faint = frame((60, 50, 10, 1)), frame((60, 50, 10, 0.1))
    np.testing.assert_allclose(blob_statistics(clip(strong, faint)).count, [0.5])
    np.testing.assert_allclose(blob_statistics(clip(faint, faint)).count, [1])


def test_nothing_to_see():
    """A map of zeros, one below zero, and a clip beside it that has a blob."""
    statistics = blob_statistics(np.stack([[frame()], [frame((60, 50, 10, -1))], [frame((60, 50, 10, 1))]]))
    np.testing.assert_array_equal(statistics.count, [0, 0, 1])
    np.testing.assert_array_equal(np.isnan(statistics.size), [True, True, False])
    np.testing.assert_array_equal(np.isnan(statistics.centre_distance), [True, True, False])
    assert all(values.dtype == np.float32 for values in statistics)


def test_settings_decide_what_counts():
    """A faint disc, a small one, a long bar, and a large disc."""
    shapes = frame((112, 60, 45, 1), (30, 190, 16, 0.41), (70, 200, 3, 1), size=(224, 224))
    shapes[150:154, 10:210] = 1
    counts = {
        name: int(blob_statistics(clip(shapes), detector).count[0])
        for name, detector in {
            **VARIANTS,
            "no bars": {"min_inertia": 0.1},
            "no large ones": {"max_area": 5000},
            "no faint ones": {"min_threshold": 150},
            "one and all": {"min_distance": 500},
        }.items()
    }
    assert counts == {
        "as reported": 3,  # all but the small disc, whose border encloses less than 25 pixels
        "OpenCV's filters": 1,  # neither the bar nor the large disc, 6400 pixels
        "lower thresholds": 3,
        "higher thresholds": 2,  # the faint disc, 105 of 255, is seen at one threshold only
        "fine thresholds": 3,
        "small blobs too": 4,
        "large blobs only": 3,
        "no bars": 2,
        "no large ones": 2,
        "no faint ones": 2,
        "one and all": 1,
    }
    assert blob_statistics(clip(shapes), DETECTOR).count == 3


@pytest.mark.parametrize(
    ("detector", "message"),
    [
        ({"minarea": 3}, "unknown setting of the blob detector 'minarea'; did you mean 'min_area'"),
        ({"threshold_step": 0}, r"does not take \{'threshold_step': 0\} \(thresholdStep>0\)"),
        ({"min_area": "large"}, "min_area of the blob detector must be a number, got 'large'"),
        ({"min_threshold": None}, "min_threshold of the blob detector must be a number, got None"),
    ],
)
def test_bad_settings(detector, message):
    with pytest.raises(ConfigError, match=message):
        blob_statistics(clip(frame()), detector)


@given(
    st.lists(st.sampled_from([(24, 24), (24, 76), (96, 24), (96, 76), (60, 50)]), unique=True),
    st.floats(2**-10, 2**10, width=32),
)
@settings(max_examples=20, deadline=None)
def test_separate_discs_are_counted_at_any_scale(places, scale):
    drawn = scale * frame(*((x, y, 8, 1) for x, y in places))
    assert blob_statistics(clip(drawn)).count == len(places)


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        (np.zeros((4, 8, 8)), r"\(B, T, H, W\), got shape \(4, 8, 8\)"),
        (np.full((1, 1, 8, 8), np.nan), "NaN or infinite"),
        (np.full((1, 1, 8, 8), np.inf), "NaN or infinite"),
    ],
)
def test_bad_maps(maps, message):
    with pytest.raises(TfvidError, match=message):
        blob_statistics(maps)
