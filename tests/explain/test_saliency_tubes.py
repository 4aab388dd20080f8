"""Saliency Tubes by hand, the sum they are, and the models they are for."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import toy_models
from cam_by_hand import CLIP, by_hand
from keras import layers

from tfvid.core.errors import ModelError
from tfvid.explain.cam.grad_cam import GradCAM
from tfvid.explain.cam.saliency_tubes import SaliencyTubes
from tfvid.models.conv_lstm import ConvLSTM
from tfvid.models.i3d import I3D


def test_by_hand():
    """Features x and -x, weights (1, 0.5) and (-2, 3): L = 0.5 x for the first class, -5 x for the second."""
    for target, factor in ((0, 0.5), (1, -5)):
        result = SaliencyTubes(by_hand(), normalize=None)(CLIP, target=target)
        np.testing.assert_allclose(result.native, factor * CLIP[..., 0])
        np.testing.assert_allclose(result.native.mean(), result.score[0], rtol=1e-6)
    signed = SaliencyTubes(by_hand())(CLIP, target=1).attribution
    np.testing.assert_allclose(signed, -CLIP[..., 0] / 5, rtol=1e-6)  # the largest, 25, is a loss: down to -1


@pytest.mark.parametrize("build", toy_models.BUILDS)
def test_equals_grad_cam_up_to_relu_and_the_number_of_places(build):
    model, clips = toy_models.build(build, pooled=True), toy_models.clips(2)
    tubes = SaliencyTubes(model)
    result = tubes(clips, 1)
    atol = 1e-2 if build == "mixed_precision" else 1e-5
    places = np.prod(result.native.shape[1:])
    grad_cam = GradCAM(model, tubes.layer)(clips, 1).native
    np.testing.assert_allclose(np.maximum(result.native, 0), places * grad_cam, atol=atol * np.abs(result.native).max())
    bias = model.get_layer(index=-1).bias if build != "nested" else model.get_layer("top").layers[-1].bias
    np.testing.assert_allclose(result.native.mean(axis=(1, 2, 3)) + bias.numpy()[1], result.score, rtol=10 * atol)


def test_i3d():
    model = I3D(3, 4, (32, 32), width=0.05, depth=2)
    tubes = SaliencyTubes(model)
    clips = np.random.default_rng(0).random((2, 4, 32, 32, 3), np.float32)
    result = tubes(clips)
    assert tubes.layer == "Mixed_3c"
    assert result.native.shape == (2, 4, 4, 4)


def pooled_head(*head, features="relu"):
    conv = layers.Conv3D(4, 3, activation=features, name="conv")
    return keras.Sequential([keras.Input(toy_models.SHAPE), conv, *head])


HEADS = {
    "convolution of size 1": lambda: pooled_head(
        layers.GlobalAveragePooling3D(keepdims=True), layers.Dropout(0.5), layers.Conv3D(3, 1), layers.Flatten()
    ),
    "convolution, then the mean": lambda: pooled_head(layers.Conv3D(3, 1), layers.GlobalAveragePooling3D()),
    "pooled in two steps": lambda: pooled_head(
        layers.AveragePooling3D((2, 3, 3)), layers.GlobalAveragePooling3D(), layers.Dense(3)
    ),
    "mean in a function": lambda: pooled_head(layers.Lambda(lambda x: tf.reduce_mean(x, (1, 2, 3))), layers.Dense(3)),
    "softmax": lambda: pooled_head(layers.GlobalAveragePooling3D(), layers.Dense(3), layers.Softmax()),
    "no bias": lambda: pooled_head(layers.GlobalAveragePooling3D(), layers.Dense(3, use_bias=False)),
}


@pytest.mark.parametrize("head", HEADS)
def test_heads_that_are_one_linear_layer_on_a_mean(head):
    model, clips = HEADS[head](), toy_models.clips(2)
    tubes = SaliencyTubes(model, normalize=None)
    result = tubes(clips, 2)
    assert tubes.layer == "conv"
    assert result.native.shape == (2, 4, 6, 6)
    np.testing.assert_allclose(result.native.mean(axis=(1, 2, 3)), result.score, rtol=1e-4)  # biases are zero here


@pytest.mark.parametrize(
    ("build", "layer"),
    [
        (lambda: pooled_head(layers.Flatten(), layers.Dense(3, name="logits")), "logits"),
        (lambda: pooled_head(layers.GlobalMaxPooling3D(), layers.Dense(3, name="logits")), "logits"),
        (
            lambda: pooled_head(layers.GlobalAveragePooling3D(), layers.Dense(8), layers.Dense(3, name="logits")),
            "logits",
        ),
        (lambda: ConvLSTM(3, 6, (8, 8), filters=2, blocks=1), "logits"),
        (lambda: toy_models.build("per_frame"), "dense"),
    ],
)
def test_other_models_are_refused(build, layer):
    message = f"layer '{layer}.*' is not given the mean over time and space of a layer's features; .* use 'grad_cam'"
    with pytest.raises(ModelError, match=message):
        SaliencyTubes(build())(toy_models.clips(2))


def test_a_model_without_a_linear_layer_is_refused():
    model = keras.Sequential(
        [keras.Input(toy_models.SHAPE), layers.Conv3D(3, 3), layers.GlobalAveragePooling3D(name="end")]
    )
    with pytest.raises(ModelError, match="ends in layer 'end', without a linear layer to the classes.* use 'grad_cam'"):
        SaliencyTubes(model)(toy_models.clips(2))


def test_an_activation_used_at_two_sizes_does_not_stand_in_the_way():
    """On frames folded into the batch, once before a pool and once behind it."""
    fold = layers.Lambda(lambda x: tf.reshape(x, (-1, *x.shape[2:])))
    unfold = layers.Lambda(lambda x: tf.reshape(x, (-1, 6, *x.shape[1:])))
    relu, inputs = layers.ReLU(), keras.Input(toy_models.SHAPE)
    x = layers.MaxPooling2D()(relu(layers.Conv2D(4, 3)(fold(inputs))))
    x = layers.Rescaling(2.0, name="last")(relu(layers.Conv2D(4, 1)(x)))
    model = keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling3D()(unfold(x))))
    tubes = SaliencyTubes(model, "last", normalize=None)
    result = tubes(toy_models.clips(2), 1)
    assert result.native.shape == (2, 6, 3, 3)
    np.testing.assert_allclose(result.native.mean(axis=(1, 2, 3)), result.score, rtol=1e-4)
    np.testing.assert_allclose(SaliencyTubes(model, normalize=None)(toy_models.clips(2), 1).native, result.native)


def test_a_layer_that_is_not_the_pooled_one_is_refused():
    model, clips = toy_models.build("functional", pooled=True), toy_models.clips(2)
    assert SaliencyTubes(model, "pool")(clips).native.shape == (2, 6, 4, 4)
    with pytest.raises(ModelError, match="layer 'head' is not given .* of the features of layer 'conv'"):
        SaliencyTubes(model, "conv")(clips)
    wider = pooled_head(layers.Conv3D(5, 1), layers.GlobalAveragePooling3D(), layers.Dense(3, name="head"))
    with pytest.raises(ModelError, match="layer 'head' is not given .* of the features of layer 'conv'"):
        SaliencyTubes(wider, "conv")(clips)
    with pytest.raises(ModelError, match="unknown layer 'cnov'"):
        SaliencyTubes(model, "cnov")(clips)
