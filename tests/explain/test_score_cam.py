"""Score-CAM by hand, and in chunks."""

import numpy as np
import pytest
import toy_models
from cam_by_hand import CLIP, HEAD, by_hand

from tfvid.core.errors import TfvidError
from tfvid.explain.cam.score_cam import ScoreCAM


def test_by_hand():
    """Features x and -x, the masks H = x / 5 and 1 - x / 5. The score of a clip z is mean(z) (1 - 0.5).

    mean(x x / 5) = 1.4 and mean(x - x x / 5) = 0.6, so the scores are 0.7 and 0.3, their softmax w and 1 - w with
    w = 1 / (1 + exp(-0.4)), and L = ReLU(w x - (1 - w) x) = tanh(0.2) x.
    """
    result = ScoreCAM(by_hand(), normalize=None)(CLIP, target=0)
    np.testing.assert_allclose(result.native, 0.197375 * CLIP[..., 0], rtol=1e-5)
    np.testing.assert_allclose(result.attribution, result.native)
    np.testing.assert_allclose(result.score, [1])


def test_only_the_channels_that_vary_most():
    """Features x and 3 x, one channel asked for: the second alone, with weight 1."""
    model = by_hand()
    model.get_layer("conv").kernel.assign(np.reshape([1.0, 3.0], (1, 1, 1, 1, 2)))
    result = ScoreCAM(model, channels=1, normalize=None)(CLIP, target=0)
    np.testing.assert_allclose(result.native, 3 * CLIP[..., 0], rtol=1e-6)
    every = ScoreCAM(model)(CLIP, target=0).native
    np.testing.assert_allclose(ScoreCAM(model, channels=99)(CLIP, target=0).native, every, rtol=1e-5)
    with pytest.raises(TfvidError, match="expected channels >= 1, got 0"):
        ScoreCAM(model, channels=0)


def test_a_feature_without_any_difference_weighs_as_the_black_clip():
    """Feature 1 is zero everywhere: its mask is, too. w_0 = softmax(0.7 * 2, 0)[0], where HEAD gives y_0 = mean(z)."""
    model = by_hand()
    model.get_layer("conv").kernel.assign(np.reshape([1.0, 0.0], (1, 1, 1, 1, 2)))
    assert HEAD[0, 0] == 1
    result = ScoreCAM(model, normalize=None)(CLIP, target=0)
    np.testing.assert_allclose(result.native, CLIP[..., 0] / (1 + np.exp(-1.4)), rtol=1e-5)


def test_masked_clips_go_through_in_batches():
    """4 feature maps of 3 clips are 12 masked clips, 1, 5 or all at a time."""
    model, clips = toy_models.build("functional"), toy_models.clips(3)
    expected = ScoreCAM(model, batch_size=12)(clips).native
    for batch_size in (1, 5):
        explain = ScoreCAM(model, batch_size=batch_size)
        np.testing.assert_allclose(explain(clips).native, expected, atol=1e-5)
        assert explain._compiled_scores.traces == explain.traces == 1
