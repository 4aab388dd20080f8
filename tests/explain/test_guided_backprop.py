"""Guided backpropagation and deconvolution by hand, for every way to write a ReLU."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import toy_models
from keras import layers
from toy_pixels import PIXELS, head

from tfvid.core.errors import ModelError
from tfvid.explain.pixels.gradients import Gradient
from tfvid.explain.pixels.guided_backprop import Deconv, GuidedBackprop

# Behind a ReLU of (2, -1, 3) the class's weights are (1, 1, -1): it is for the class, shut, against the class.
EXPECTED = {Gradient: [1, 0, -1], Deconv: [1, 1, 0], GuidedBackprop: [1, 0, 0]}


def identity_convolution(activation=None):
    layer = layers.Conv3D(1, 1, use_bias=False, activation=activation, name="conv")
    layer.build((None, 1, 1, 3, 1))
    layer.kernel.assign(np.ones((1, 1, 1, 1, 1)))
    return layer


class ReluInCall(keras.Model):
    def __init__(self, relu):
        super().__init__()
        self.relu, self.head = relu, head()

    def call(self, inputs):
        return self.head(self.relu(inputs))


MODELS = {
    "layer": lambda: head(layers.ReLU()),
    "activation layer": lambda: head(layers.Activation("relu")),
    "activation of a convolution": lambda: head(identity_convolution("relu")),
    "relu6": lambda: head(layers.ReLU(max_value=6.0)),
    "time distributed": lambda: head(layers.TimeDistributed(layers.ReLU())),
    "keras.ops in call": lambda: ReluInCall(keras.ops.relu),
    "tf.nn in call": lambda: ReluInCall(tf.nn.relu),
    "half precision": lambda: head(layers.ReLU(dtype="mixed_bfloat16")),
}


@pytest.mark.parametrize("method", [Gradient, Deconv, GuidedBackprop])
@pytest.mark.parametrize("name", MODELS)
def test_by_hand(name, method):
    result = method(MODELS[name](), reduce="sum")(PIXELS, target=0)
    np.testing.assert_allclose(result.attribution.ravel(), EXPECTED[method])
    np.testing.assert_allclose(result.score, [2 - 3])


def test_a_relu6_that_is_full_passes_nothing_under_guidance():
    pixels = np.array([7, -1, 3], np.float32).reshape(1, 1, 1, 3, 1)
    for method, expected in ((Gradient, [0, 0, -1]), (Deconv, [1, 1, 0]), (GuidedBackprop, [0, 0, 0])):
        result = method(head(layers.ReLU(max_value=6.0)), reduce="sum")(pixels, target=0)
        np.testing.assert_allclose(result.attribution.ravel(), expected)


def test_two_relus_one_behind_the_other():
    """x -> relu(x) -> (-1) -> relu(4 - .): under guidance a gradient must be positive at both."""
    negate = layers.Rescaling(-1.0, offset=4.0)
    model = head(layers.ReLU(), negate, layers.ReLU(), weights=[[1, 0], [1, 0], [1, 0]])
    for method, expected in ((Gradient, [-1, 0, -1]), (Deconv, [0, 0, 0]), (GuidedBackprop, [0, 0, 0])):
        result = method(model, reduce="sum")(PIXELS, target=0)
        np.testing.assert_allclose(result.attribution.ravel(), expected)


def test_the_rule_ends_with_the_method():
    """The same model explained by gradients, after: nothing of the rule is left, and its training is as ever."""
    model = head(layers.ReLU())
    GuidedBackprop(model)(PIXELS)
    np.testing.assert_allclose(Gradient(model, reduce="sum")(PIXELS, 0).attribution.ravel(), EXPECTED[Gradient])
    x = tf.constant(PIXELS)
    with tf.GradientTape() as tape:
        tape.watch(x)
        score = model(x)[0, 0]
    np.testing.assert_allclose(np.ravel(tape.gradient(score, x)), EXPECTED[Gradient])


def test_a_model_without_a_relu_is_refused():
    for model in (head(), head(layers.LeakyReLU()), head(layers.Activation("tanh"))):
        for method in (GuidedBackprop, Deconv):
            with pytest.raises(ModelError, match="the model has no ReLU.*use 'gradient'"):
                method(model)(PIXELS)


def test_a_relu_out_of_reach_is_refused():
    def recurrent(**options):
        inputs = keras.Input(toy_models.SHAPE)
        x = layers.LSTM(3, activation="relu", name="lstm", **options)(layers.Reshape((6, -1))(inputs))
        return keras.Model(inputs, layers.Dense(3)(x))

    inner = tf.function(lambda x: tf.nn.relu(x), autograph=False)
    clips = toy_models.clips(1)
    with pytest.raises(ModelError, match="inside .*lstm.*while.*, a loop .*use 'gradient', or unroll"):
        GuidedBackprop(recurrent())(clips)
    with pytest.raises(ModelError, match="a ReLU runs inside"):
        GuidedBackprop(head(layers.ReLU(), layers.Lambda(lambda x: inner(x))))(PIXELS)
    assert GuidedBackprop(recurrent(unroll=True))(clips).attribution.shape == (1, 6, 8, 8)
