"""SmoothGrad, its square and VarGrad: by hand on a quadratic model, and what ties them together."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_pixels import PIXELS, WEIGHTS, head, power, smooth

from tfvid.core.errors import TfvidError
from tfvid.explain.pixels.gradients import Gradient
from tfvid.explain.pixels.smooth_grad import SmoothGrad, SmoothGradSquared, VarGrad


@settings(max_examples=3, deadline=None)
@given(samples=st.integers(1, 6), noise=st.sampled_from([0.05, 0.15, 1.0]), seed=st.integers(0, 2**31 - 1))
def test_quadratic_model_in_closed_form(samples, noise, seed):
    """y = w x^2 has the gradient 2 w (x + sigma e): its mean and variance are those of the draws e."""
    sigma = noise * 4  # the pixels lie from -1 to 3
    e = np.stack([tf.random.stateless_normal(PIXELS.shape[1:], (seed, n)) for n in range(samples)])
    w, x = WEIGHTS[:, 0].reshape(1, 1, 3, 1), PIXELS[0]
    gradients = 2 * w * (x + sigma * e)
    model, options = head(power(2)), {"samples": samples, "noise": noise, "seed": seed, "reduce": "sum"}
    for method, expected in (
        (SmoothGrad, gradients.mean(axis=0)),
        (SmoothGradSquared, (gradients**2).mean(axis=0)),
        (VarGrad, gradients.var(axis=0)),
    ):
        result = method(model, **options)(PIXELS, target=0)
        np.testing.assert_allclose(result.attribution[0], expected[..., 0], rtol=1e-4, atol=1e-4)


def test_square_is_variance_and_squared_mean():
    """On clips of one colour, so that nothing is reduced."""
    model, clips = smooth((4, 6, 6, 1))
    mean, square, variance = (
        method(model, samples=5, noise=0.5, reduce="sum")(clips, 1).attribution
        for method in (SmoothGrad, SmoothGradSquared, VarGrad)
    )
    assert variance.max() > 1e-6
    np.testing.assert_allclose(variance, square - mean**2, atol=1e-3 * variance.max())


def test_without_noise_it_is_the_gradient():
    model, clips = smooth()
    gradient = Gradient(model)(clips, 0).attribution
    for noise, atol in ((0.0, 1e-6), (1e-3, 1e-2 * gradient.max())):
        np.testing.assert_allclose(SmoothGrad(model, noise=noise)(clips, 0).attribution, gradient, atol=atol)
    assert VarGrad(model, noise=0.0)(clips, 0).attribution.max() < 1e-10


def test_a_linear_model_has_no_variance():
    result = VarGrad(head())(PIXELS, target=0)
    np.testing.assert_allclose(result.attribution, 0, atol=1e-10)
    np.testing.assert_allclose(SmoothGradSquared(head())(PIXELS, target=0).attribution.ravel(), WEIGHTS[:, 0] ** 2)


def test_the_noise_is_scaled_by_each_clips_own_range():
    """A clip of one value has no range, so no noise, whatever its batch mate."""
    model = head(power(2))
    clips = np.concatenate([np.full_like(PIXELS, 2), PIXELS])
    result = VarGrad(model)(clips, target=0).attribution
    np.testing.assert_allclose(result[0], 0, atol=1e-10)
    np.testing.assert_allclose(result[1:], VarGrad(model)(PIXELS, target=0).attribution, rtol=1e-4)
    assert result[1].min() > 0.1


def test_the_seed_draws_the_noise():
    model, clips = smooth()
    first, again, other = (SmoothGrad(model, samples=2, seed=seed)(clips).attribution for seed in (1, 1, 2))
    np.testing.assert_allclose(first, again, atol=1e-6)
    assert np.abs(first - other).max() > 1e-4


def test_bad_options():
    for options in ({"samples": 0}, {"noise": -0.1}):
        with pytest.raises(TfvidError, match="expected samples >= 1 and noise >= 0"):
            SmoothGrad(head(), **options)
