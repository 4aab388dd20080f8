"""Models that other packages build have, in tfvid, the scores and gradients of a plain tape, and sensible maps.

All are `long` and need packages that tfvid's own tests do not: a test skips where its package is missing.
"""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from zoo.packages import CLASSES, KERAS, SHAPE

import tfvid
from tfvid.core.errors import TfvidError

pytestmark = pytest.mark.long
# The steps, rows and columns of the default layer of a class activation map.
GRIDS = {
    "k3im_vit": (4, 4, 4),
    "k3im_simple_vit": (4, 4, 4),
    "k3im_cct": (1, 3, 3),
    "k3im_conv_mixer": (4, 8, 8),
    "k3im_mlp_mixer": (4, 4, 4),
    "k3im_vivit": (4, 4, 4),
    "keras_cv_swin": (4, 4, 4),
}


@functools.cache
def built(name) -> keras.Model:
    keras.utils.set_random_seed(0)
    return KERAS[name]()


def clips():
    return np.random.default_rng(0).random((1, *SHAPE), np.float32)


def scores_before_softmax(net, x):
    """The scores of a model whose last layer is dense, before its activation."""
    last = net.layers[-1]
    return keras.Model(net.input, last.input)(x, training=False) @ last.kernel + last.bias


@pytest.mark.parametrize("name", KERAS)
def test_scores_and_gradients_are_those_of_a_plain_tape(name):
    net, white = built(name), 255 if name == "k3im_conv_mixer" else 1
    result = tfvid.Gradient(net)(clips(), 1)
    x = tf.constant(clips())
    with tf.GradientTape() as tape:
        tape.watch(x)
        score = scores_before_softmax(net, white * x)[:, 1]
    gradient = np.abs(tape.gradient(score, x)).max(axis=-1)
    np.testing.assert_allclose(result.score, score, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(result.attribution, gradient, rtol=1e-4, atol=1e-4 * gradient.max())
    assert gradient.max() > 0


@pytest.mark.parametrize("name", GRIDS)
def test_the_default_features_of_a_map_are_the_tokens(name):
    explainer = tfvid.LayerCAM(built(name))
    result = explainer(np.repeat(clips(), CLASSES, axis=0), np.arange(CLASSES))
    assert result.native.shape[1:] == GRIDS[name], explainer.explained
    assert result.attribution.shape == (CLASSES, *SHAPE[:3]) and result.attribution.max() > 0


@pytest.mark.parametrize("name", KERAS)
def test_masks_and_refusals(name):
    net = built(name)
    mask = tfvid.TemporalMask(net, method="search")(clips()).mask
    assert mask.shape == (1, SHAPE[0]) and set(np.unique(mask)) <= {0, 1}
    for method in ("excitation_backprop", "lrp"):
        try:
            result = tfvid.explainer(method, net)(clips())
        except TfvidError as error:
            assert str(error) and "\n" not in str(error)
        else:
            assert result.attribution.shape == (1, *SHAPE[:3]) and np.isfinite(result.attribution).all()
