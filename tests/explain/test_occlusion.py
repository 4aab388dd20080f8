"""Occlusion by frames, patches and tubes."""

import numpy as np
import pytest
import toy_models
from toy_scores import CLIP, PLAINLY, linear, pixels

from tfvid.core.errors import TfvidError
from tfvid.explain.pixels.occlusion import Occlusion, inside, unit_window, windows


def test_frames_by_hand():
    """Without frame 0 the score 10 falls by 1 + 2, without frame 1 by 3 + 4: every voxel has its frame's fall."""
    result = Occlusion(linear([1, 1, 1, 1]), "frame", **PLAINLY)(CLIP, 0)
    np.testing.assert_allclose(result.attribution, [[[[3, 3]], [[7, 7]]]])
    np.testing.assert_allclose(result.score, [10])
    np.testing.assert_array_equal(result.forward_passes, [3])  # the whole clip and two windows


def test_patches_by_hand():
    """Pixel 0 in both frames is 1 + 3, pixel 1 is 2 + 4, and counts against the class."""
    result = Occlusion(linear([1, -1, 1, -1]), "patch", **PLAINLY)(CLIP, 0)
    np.testing.assert_allclose(result.attribution, [[[[4, -6]], [[4, -6]]]])


def test_overlapping_windows_by_hand():
    """Windows of 2 of 3 pixels, one apart: falls 1 + 2 and 2 + 4; the middle one is under both, (3 + 6) / 2."""
    clip = np.array([1.0, 2.0, 4.0], np.float32).reshape(1, 1, 1, 3, 1)
    result = Occlusion(linear([1, 1, 1]), window=(1, 1, 2), stride=(1, 1, 1), **PLAINLY)(clip, 0)
    np.testing.assert_allclose(result.attribution, [[[[3, 4.5, 6]]]])


def test_what_interacts_falls_together():
    """The score is x0 x3: it falls by 4 without either, and by 4 without both."""
    product = pixels(lambda x: x[:, 0] * x[:, 3])
    single = Occlusion(product, window=(1, 1, 1), **PLAINLY)(CLIP, 0)
    np.testing.assert_allclose(single.attribution, [[[[4, 0]], [[0, 4]]]])
    np.testing.assert_allclose(Occlusion(product, window=(2, 1, 2), **PLAINLY)(CLIP, 0).attribution, 4)


def test_single_voxels_on_a_linear_model_are_gradient_times_input():
    clips = toy_models.clips(2)
    weights = np.random.default_rng(1).normal(size=clips.shape[1:])
    result = Occlusion(linear(weights), window=(1, 1, 1), stride=(1, 1, 1), **{**PLAINLY, "batch_size": 100})(clips, 0)
    np.testing.assert_allclose(result.attribution, (clips * weights).sum(-1), atol=1e-4)


def test_the_fill_is_what_the_clip_loses_against():
    """The mean of 1, 2, 3, 4 is 2.5: frame 0 gains 2 by it, frame 1 loses 2. Frozen at frame 0, frame 1 loses 4."""
    for fill, expected in (("mean", [-2, 2]), ("first_frame", [0, 4]), (lambda clips: clips + 1, [-2, -2])):
        result = Occlusion(linear([1, 1, 1, 1]), "frame", **{**PLAINLY, "fill": fill})(CLIP, 0)
        np.testing.assert_allclose(result.attribution[0, :, 0, 0], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "window", "stride"), [((6, 8, 8), (2, 3, 3), (1, 2, 3)), ((5, 7, 3), (5, 7, 3), (1, 1, 1))]
)
def test_windows_cover_every_voxel_and_stay_inside(shape, window, stride):
    found = windows(shape, window, stride)
    assert (found[..., 0] >= 0).all() and (found[..., 1] <= shape).all()
    np.testing.assert_array_equal(found[..., 1] - found[..., 0], np.broadcast_to(window, (len(found), 3)))
    assert len(np.unique(found, axis=0)) == len(found)
    masks = inside(found, shape)
    assert masks.dtype == np.float32 and masks.max(axis=0).min() == 1
    np.testing.assert_array_equal(masks.sum(axis=(1, 2, 3)), np.prod(window))


def test_windows_by_hand():
    np.testing.assert_array_equal(windows((1, 1, 5), (1, 1, 2), (1, 1, 2))[:, 2], [[0, 2], [2, 4], [3, 5]])
    assert [unit_window(unit, (16, 224, 112)) for unit in ("frame", "patch", "tube")] == [
        (1, 224, 112),
        (16, 56, 28),
        (4, 56, 28),
    ]
    assert unit_window("tube", (1, 2, 2)) == (1, 1, 1)


def test_bad_options():
    model, clips = toy_models.build("functional"), toy_models.clips(1)
    for options, message in [
        ({"unit": "pixel"}, "unknown unit 'pixel'; valid: frame, patch, tube"),
        ({"window": (7, 1, 1)}, r"window: expected \(t, h, w\) of 1 to \(6, 8, 8\) frames and pixels, got \(7, 1, 1\)"),
        ({"window": (2, 2)}, "window: expected"),
        ({"window": (2, 2, 2), "stride": (3, 1, 1)}, r"stride: expected .* of 1 to \(2, 2, 2\), the window"),
        ({"stride": (0, 1, 1)}, "stride: expected"),
        ({"fill": "grey"}, "unknown fill 'grey'; valid: fade, mean"),
        ({"score": "loss"}, "unknown score 'loss'; valid: probability, logit"),
        ({"fill": lambda clips: clips[:, :1]}, r"fill: expected clips \(1, 6, 8, 8, 3\) back, got \(1, 1, 8, 8, 3\)"),
    ]:
        with pytest.raises(TfvidError, match=message):
            Occlusion(model, **options)(clips)
