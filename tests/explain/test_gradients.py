"""Gradient and gradient x input, worked out by hand."""

import numpy as np
import pytest
import tensorflow as tf
import toy_models
from keras import layers
from toy_pixels import PIXELS, WEIGHTS, head, power, smooth

from tfvid.core.errors import ModelError, TfvidError
from tfvid.explain.pixels.gradients import Gradient, GradientXInput


def test_gradient_by_hand():
    """y_0 = x_0^2 + x_1^2 - x_2^2 at (2, -1, 3): d y_0 / d x = (4, -2, -6)."""
    model = head(power(2))
    result = Gradient(model, reduce="sum")(PIXELS, target=0)
    np.testing.assert_allclose(result.attribution.ravel(), [4, -2, -6])
    np.testing.assert_allclose(result.score, [4 + 1 - 9])
    np.testing.assert_allclose(Gradient(model)(PIXELS, target=0).attribution.ravel(), [4, 2, 6])
    np.testing.assert_allclose(GradientXInput(model)(PIXELS, target=0).attribution.ravel(), [8, 2, -18])


def test_colours_are_reduced_as_named():
    """One pixel of two colours with gradients 1 and -3."""
    model = head(shape=(1, 1, 1, 2), weights=[[1.0, 0.0], [-3.0, 0.0]])
    pixel = np.array([2.0, 1.0], np.float32).reshape(1, 1, 1, 1, 2)
    for reduce, gradient, product in (("abs_max", 3, 3), ("abs_sum", 4, 5), ("sum", -2, -1)):
        assert Gradient(model, reduce=reduce)(pixel, 0).attribution.item() == pytest.approx(gradient)
        assert GradientXInput(model, reduce=reduce)(pixel, 0).attribution.item() == pytest.approx(product)
    with pytest.raises(TfvidError, match="unknown reduce 'mean'; valid: abs_max, abs_sum, sum"):
        Gradient(model, reduce="mean")


def test_gradient_x_input_of_a_linear_model_is_what_each_pixel_adds_to_the_score():
    model = head(bias=(5.0, -1.0))
    result = GradientXInput(model)(PIXELS, target=1)
    np.testing.assert_allclose(result.attribution.ravel(), PIXELS.ravel() * WEIGHTS[:, 1])
    at_zero = model(np.zeros_like(PIXELS))[0, 1]
    np.testing.assert_allclose(result.attribution.sum(), result.score[0] - at_zero, rtol=1e-6)


def test_gradient_is_the_slope_of_the_score():
    """Along a direction that is grey, so that the sum over colours is all of it."""
    model, clips = smooth()
    direction = np.random.default_rng(1).normal(0, 1e-3, (*clips.shape[:-1], 1)).astype(np.float32)
    ahead, behind = (model(clips + sign * direction, training=False).numpy()[:, 1] for sign in (1, -1))
    gradient = Gradient(model, reduce="sum")(clips, 1).attribution
    slope = (gradient * direction[..., 0]).sum(axis=(1, 2, 3))
    assert np.abs(slope).min() > 1e-3
    np.testing.assert_allclose(slope, (ahead - behind) / 2, rtol=1e-2)


def test_the_logit_is_explained_also_behind_a_softmax():
    plain, soft, clips = toy_models.build("functional"), toy_models.build("softmax"), toy_models.clips(2)
    soft.set_weights(plain.get_weights())
    np.testing.assert_allclose(Gradient(soft)(clips).attribution, Gradient(plain)(clips).attribution, atol=1e-6)


def test_scores_without_a_gradient():
    model = head(layers.Lambda(tf.stop_gradient))
    with pytest.raises(ModelError, match="no gradient at the clips' pixels; use .* 'rise' or 'occlusion'"):
        Gradient(model)(PIXELS)
