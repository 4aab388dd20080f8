"""Equality with tf-keras-vis where it computes the same thing on clips. Skipped where it is not installed."""

import keras
import numpy as np
import pytest
import toy_models
from keras import layers

from tfvid.explain.cam.grad_cam import GradCAM
from tfvid.explain.cam.layer_cam import LayerCAM
from tfvid.explain.pixels.gradients import Gradient

pytest.importorskip("tf_keras_vis", reason="tf-keras-vis is not installed: pip install tfvid[peers]")


@pytest.fixture
def model():
    keras.utils.set_random_seed(0)
    inputs = keras.Input(toy_models.SHAPE)
    x = layers.Conv3D(4, 3, name="conv")(inputs)
    x = layers.Activation("tanh")(x)
    # No max-pool: TensorFlow's kernels, eager and compiled, differ in where a tie's gradient goes.
    x = layers.AveragePooling3D((1, 2, 2))(x)
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


def assert_same_map(ours, theirs, model):
    """Theirs is one of tf-keras-vis' class activation maps; both at the layer's resolution, not normalised."""
    from tf_keras_vis.utils.scores import CategoricalScore

    clips, classes = toy_models.clips(2), [0, 2]
    expected = theirs(model, clone=False)(
        CategoricalScore(classes), clips, penultimate_layer="conv", expand_cam=False, normalize_cam=False
    )
    native = ours(clips, np.array(classes)).native
    assert native.max() > 1e-3
    np.testing.assert_allclose(native, expected, atol=1e-6)


def test_grad_cam_pooled_over_the_clip(model):
    from tf_keras_vis.gradcam import Gradcam

    assert_same_map(GradCAM(model, "conv", pool="clip"), Gradcam, model)


def test_layer_cam(model):
    from tf_keras_vis.layercam import Layercam

    assert_same_map(LayerCAM(model, "conv"), Layercam, model)


@pytest.mark.filterwarnings("ignore:The structure of `inputs`")
def test_gradient(model):
    from tf_keras_vis.saliency import Saliency
    from tf_keras_vis.utils.scores import CategoricalScore

    clips, classes = toy_models.clips(2), [0, 2]
    theirs = Saliency(model, clone=False)(CategoricalScore(classes), clips, keepdims=True, normalize_map=False)
    ours = Gradient(model)(clips, np.array(classes)).attribution
    np.testing.assert_allclose(ours, np.abs(theirs).max(axis=-1), atol=1e-6)
