"""Grad-CAM++ by hand, and against the published formula."""

import keras
import numpy as np
import pytest
import toy_models
from cam_by_hand import CLIP, by_hand
from keras import layers

from tfvid.explain.cam.grad_cam_plus_plus import GradCAMPlusPlus


def test_by_hand_pooled_by_frame():
    """g = (1/8, 1/16); feature 0 sums to 10 and 6, feature 1 is negative, so that nothing speaks beside a place of it.

    Frame 0: w = 4 (1/8) / (2 + 10/8) = 2/13 and 4 (1/16) / 2 = 1/8, L = ReLU(2/13 x - 1/8 x) = 3/104 x.
    Frame 1: w = 4 (1/8) / (2 + 6/8) = 2/11 and 1/8, L = 5/88 x.
    """
    result = GradCAMPlusPlus(by_hand(), normalize=None)(CLIP, target=0)
    np.testing.assert_allclose(result.native[0, 0], 3 / 104 * CLIP[0, 0, ..., 0], rtol=1e-5)
    np.testing.assert_allclose(result.native[0, 1], 5 / 88 * CLIP[0, 1, ..., 0], rtol=1e-5)
    np.testing.assert_allclose(result.score, [1])


def test_by_hand_pooled_by_clip():
    """Feature 0 sums to 16: w = 8 (1/8) / (2 + 16/8) = 1/4, and feature 1's 8 (1/16) / 2 = 1/4 takes all of it away.
    With half the clip, the sum is 8: w = 1/3, L = x / 12."""
    np.testing.assert_allclose(GradCAMPlusPlus(by_hand(), pool="clip")(CLIP, target=0).native, 0, atol=1e-6)
    half = GradCAMPlusPlus(by_hand(), pool="clip", normalize=None)(CLIP / 2, target=0).native
    np.testing.assert_allclose(half, CLIP[..., 0] / 2 / 12, rtol=1e-5)


def published(A, g, axes):
    """Eqs. 5 and 19 as printed, for the derivatives of exp(y_c) without their common factor."""
    alpha = g**2 / (2 * g**2 + A.sum(axis=axes, keepdims=True) * g**3 + (g == 0))
    w = (alpha * np.maximum(g, 0)).sum(axis=axes, keepdims=True)
    return np.maximum((w * A).sum(axis=-1), 0)


@pytest.mark.parametrize(("pool", "axes"), [("frame", (2, 3)), ("clip", (1, 2, 3))])
def test_equals_the_published_formula_on_features_above_zero(pool, axes):
    keras.utils.set_random_seed(0)
    inputs = keras.Input(toy_models.SHAPE)
    conv = layers.Conv3D(4, 3, activation="sigmoid", name="conv")(inputs)
    head = layers.Dense(3, use_bias=False)
    model, features = keras.Model(inputs, head(layers.Flatten()(conv))), keras.Model(inputs, conv)
    clips = toy_models.clips(2)
    A = features(clips).numpy()
    g = np.broadcast_to(head.kernel.numpy()[:, 1].reshape(1, *A.shape[1:]), A.shape)
    native = GradCAMPlusPlus(model, "conv", pool=pool)(clips, target=1).native
    assert native.max() > 1e-2
    np.testing.assert_allclose(native, published(A, g, axes), rtol=1e-4, atol=1e-6)


def test_features_of_either_sign_stay_finite():
    """As printed, a sum S of -16 against a gradient of 1/8 divides by zero."""
    model = by_hand()
    result = GradCAMPlusPlus(model, pool="clip", normalize=None)(-CLIP, target=0)
    assert np.isfinite(result.native).all()  # A[..., 0] = -x sums to -16, A[..., 1] = x to 16, g = (1/8, 1/16)
    np.testing.assert_allclose(result.native, 0)  # w = 1/2 and 1/6: L = ReLU(-x / 2 + x / 6)
