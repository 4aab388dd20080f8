"""Blur integrated gradients by hand, against SciPy's blur, and complete."""

import numpy as np
import pytest
import toy_models
from scipy.ndimage import gaussian_filter
from toy_pixels import head, power, smooth

from tfvid.core.errors import TfvidError
from tfvid.explain.pixels.blur_ig import BlurIG


@pytest.mark.parametrize("steps", [1, 3])
def test_two_pixels_by_hand(steps):
    """Pixels (1, 0) blurred at 0.5: weights e^-8, e^-2, 1, e^-2, e^-8 with the edges going on, so that
    (e^-2 + e^-8) / (1 + 2 e^-2 + 2 e^-8) = 0.106715 of the light changes places. A linear model, weights 3 and 5."""
    model = head(shape=(1, 1, 2, 1), weights=[[3.0, 0.0], [5.0, 0.0]])
    clip = np.array([1, 0], np.float32).reshape(1, 1, 1, 2, 1)
    result = BlurIG(model, max_sigma=0.5, steps=steps)(clip, target=0)
    np.testing.assert_allclose(result.attribution.ravel(), [3 * 0.106715, -5 * 0.106715], rtol=1e-4)
    np.testing.assert_allclose(result.baseline_score, [3 * (1 - 0.106715) + 5 * 0.106715], rtol=1e-4)
    np.testing.assert_allclose(result.completeness_gap, [0], atol=1e-5)


def test_quadratic_model_in_closed_form():
    """y = w x^2, two steps: (L(s0) - L(s1)) 2 w L(between) + (L(s1) - L(s2)) 2 w L(between), with SciPy's blur."""
    clip = np.random.default_rng(0).random((1, 2, 8, 6, 1), np.float32)
    weights = np.random.default_rng(1).normal(size=(clip.size, 2)).astype(np.float32)
    result = BlurIG(head(power(2), shape=clip.shape[1:], weights=weights), max_sigma=2.0, steps=2)(clip, 0)

    def L(sigma):
        return gaussian_filter(clip[0, ..., 0], (0, sigma, sigma), mode="nearest", truncate=3)

    w = weights[:, 0].reshape(2, 8, 6)
    expected = (L(0) - L(1)) * 2 * w * L(0.5) + (L(1) - L(2)) * 2 * w * L(1.5)
    np.testing.assert_allclose(result.attribution[0], expected, atol=1e-5)
    np.testing.assert_allclose(result.baseline_score, [(w * L(2) ** 2).sum()], rtol=1e-4)


def test_the_gap_closes_as_steps_grow():
    model, clips = smooth()
    coarse, fine = (BlurIG(model, max_sigma=2.0, steps=steps)(clips, 1) for steps in (1, 16))
    rise = fine.score - fine.baseline_score
    np.testing.assert_allclose(fine.attribution.sum(axis=(1, 2, 3)), rise, atol=0.01 * np.abs(rise).max())
    assert np.abs(fine.completeness_gap).max() < 0.5 * np.abs(coarse.completeness_gap).max()


def test_frames_without_detail_have_nothing_to_attribute():
    model = toy_models.build("functional")
    plain = np.broadcast_to(toy_models.clips(1)[:, :, :1, :1], (1, *toy_models.SHAPE)).copy()
    assert np.abs(BlurIG(model, steps=2)(plain).attribution).max() < 1e-4


def test_the_default_blur_is_a_sixth_of_the_shorter_side():
    model, clips = toy_models.build("functional"), toy_models.clips(1)
    default, named = (BlurIG(model, max_sigma=sigma, steps=2)(clips) for sigma in (None, 8 / 6))
    np.testing.assert_allclose(default.attribution, named.attribution, atol=1e-6)


def test_bad_options():
    with pytest.raises(TfvidError, match="expected max_sigma > 0 pixels, got 0"):
        BlurIG(head(), max_sigma=0)
