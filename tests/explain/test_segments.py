"""How a clip is cut into segments."""

import sys

import numpy as np
import pytest
import toy_models
from toy_scores import CLIP, PLAINLY, linear

from tfvid.core.errors import TfvidError
from tfvid.explain.pixels.segments import cutter, frames, grid, numbered, supervoxels
from tfvid.explain.pixels.shapley import Shapley


def test_frames_and_grid_by_hand():
    np.testing.assert_array_equal(frames(CLIP), [[[[0, 0]], [[1, 1]]]])
    np.testing.assert_array_equal(grid(CLIP, (2, 1, 2)), [[[[0, 1]], [[2, 3]]]])
    five = np.zeros((1, 5, 1, 1, 1))
    np.testing.assert_array_equal(grid(five, (2, 3, 3)).ravel(), [0, 0, 0, 1, 1])  # no more cells than voxels


def test_grid_has_every_cell():
    labels = grid(toy_models.clips(1), (4, 3, 8))
    assert labels.shape == (1, 6, 8, 8) and labels.dtype == np.int32
    np.testing.assert_array_equal(np.unique(labels), np.arange(4 * 3 * 8))


def test_labels_of_ones_own_are_numbered_in_their_order():
    """Labels 7 and -2 are segments 1 and 0; the score is the sum of pixels, so a segment's value is its pixels' sum."""
    labels = np.array([7, -2, 7, 7]).reshape(2, 1, 2)
    np.testing.assert_array_equal(numbered(labels).ravel(), [1, 0, 1, 1])
    for segments in (labels, labels[np.newaxis], lambda clips: labels[np.newaxis]):
        result = Shapley(linear([1, 1, 1, 1]), segments, **PLAINLY)(CLIP, 0)
        np.testing.assert_allclose(result.values, [[2, 8]])
        np.testing.assert_allclose(result.attribution.ravel(), [8, 2, 8, 8])
        np.testing.assert_array_equal(result.segments.ravel(), [1, 0, 1, 1])


@pytest.mark.parametrize("batch_size", [1, 2])
def test_each_clip_may_have_its_own(batch_size):
    """Two segments and three: the first clip's third is none, and worth nothing."""
    clips = np.concatenate([CLIP, CLIP])
    labels = np.array([[0, 0, 1, 1], [5, 5, 6, 9]]).reshape(2, 2, 1, 2)
    result = Shapley(linear([1, 1, 1, 1]), labels, **PLAINLY, batch_size=batch_size)(clips, 0)
    np.testing.assert_allclose(result.values, [[3, 7, 0], [3, 3, 4]])
    np.testing.assert_allclose(result.attribution.reshape(2, 4), [[3, 3, 7, 7], [3, 3, 3, 4]])


def test_supervoxels():
    """A bright block in a dark clip is a segment of its own, and time is cut."""
    pytest.importorskip("skimage")
    clips = np.zeros((2, 8, 24, 24, 3), np.float32)
    clips[0, :, 4:14, 10:20] = 1
    labels = supervoxels(clips, count=16, steps=2)
    assert labels.shape == clips.shape[:4] and labels.dtype == np.int32
    inside, outside = np.unique(labels[0][:, 4:14, 10:20]), np.unique(labels[0][clips[0, ..., 0] == 0])
    assert not set(inside) & set(outside)
    assert not set(np.unique(labels[0][:4])) & set(np.unique(labels[0][4:]))
    assert all(8 <= len(np.unique(clip)) <= 32 for clip in labels)
    np.testing.assert_array_equal(supervoxels(clips[1:], 16, 2)[0], labels[1])


def test_supervoxels_without_their_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.segmentation", None)
    with pytest.raises(TfvidError, match="supervoxels need scikit-image: pip install scikit-image"):
        supervoxels(CLIP)


def test_bad_players():
    with pytest.raises(TfvidError, match=r"unknown segments 'frame'; did you mean 'frames'\? valid: frames, superv"):
        cutter("frame")
    model, clips = toy_models.build("functional"), toy_models.clips(2)
    for segments, message in [
        ((2, 2), "segments: expected cells along"),
        ((2, 2.0, 2), "segments: expected cells along"),
        (np.zeros((6, 8, 7), int), r"segments: expected whole numbers \(1 or 2, 6, 8, 8\), got int64 \(1, 6, 8, 7\)"),
        (np.zeros((3, 6, 8, 8), int), r"segments: expected whole numbers .* got int64 \(3, 6, 8, 8\)"),
        (np.zeros((6, 8, 8)), "segments: expected whole numbers .* got float64"),
        (np.zeros((6, 8), int), "segments: expected whole numbers"),
    ]:
        with pytest.raises(TfvidError, match=message):
            Shapley(model, segments)(clips)
