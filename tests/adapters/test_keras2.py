"""A Keras 2 model's scores, gradients and features equal its own."""

import numpy as np
import pytest
import tensorflow as tf

import tfvid
from tfvid.network.max_pool import max_pool3d

tf_keras = pytest.importorskip("tf_keras", reason="needs Keras 2: pip install tfvid[makes]")
layers = tf_keras.layers
SHAPE = (6, 8, 8, 3)


def clips(num_clips=2, seed=0):
    return np.random.default_rng(seed).random((num_clips, *SHAPE), np.float32)


def functional():
    tf_keras.utils.set_random_seed(0)
    inputs = tf_keras.Input(SHAPE)
    x = layers.Conv3D(4, 3, padding="same", activation="relu", name="conv")(inputs)
    x = layers.BatchNormalization(name="norm")(layers.Dropout(0.5)(x))
    x = layers.MaxPooling3D((1, 2, 2), name="pool")(x)
    return tf_keras.Model(inputs, layers.Dense(3, name="head")(layers.Flatten()(x)))


class Subclassed(tf_keras.Model):
    def __init__(self):
        super().__init__()
        tf_keras.utils.set_random_seed(0)
        self.body, self.head = layers.Conv3D(4, 3, activation="relu", name="conv"), layers.Dense(3)

    def call(self, inputs, training=None):
        return self.head(tf.reduce_mean(self.body(inputs["image"]), (1, 2, 3)))


@pytest.mark.parametrize("build", [functional, Subclassed])
def test_scores_and_gradients_are_its_own(build):
    net, values = build(), clips()
    inputs = {"image": tf.constant(values)} if build is Subclassed else tf.constant(values)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        score = net(inputs, training=False)[:, 1]
    expected = tf.nest.flatten(tape.gradient(score, inputs))[0]
    found = tfvid.Gradient(tfvid.VideoModel(net, clip="image" if build is Subclassed else None), reduce="sum")(
        values, 1
    )
    np.testing.assert_allclose(found.attribution, tf.reduce_sum(expected, -1), atol=1e-6)
    np.testing.assert_allclose(found.score, score, atol=1e-5)


def test_grad_cam_of_a_layer_by_its_name():
    net, values = functional(), clips()
    to_conv = tf_keras.Model(net.inputs, net.get_layer("conv").output)
    A = to_conv(values)
    with tf.GradientTape() as tape:
        tape.watch(A)
        x = net.get_layer("norm")(A, training=False)
        score = net.get_layer("head")(layers.Flatten()(max_pool3d(x, (1, 2, 2), (1, 2, 2), "VALID")))[:, 2]
    w = tf.reduce_mean(tape.gradient(score, A), (2, 3), keepdims=True)
    found = tfvid.GradCAM(net, layer="conv")(values, 2)
    np.testing.assert_allclose(found.native, tf.nn.relu(tf.reduce_sum(w * A, -1)), atol=1e-6)
    default = tfvid.GradCAM(net)
    default(values)
    assert default.layer == "conv"  # not the dropout, norm or pool behind it


def test_the_other_methods():
    net, values = functional(), clips()
    assert tfvid.TemporalMask(net, method="search")(values).mask.shape == (2, 6)
    assert tfvid.GuidedBackprop(net)(values).attribution.shape == (2, *SHAPE[:3])
    found = tfvid.explainer("occlusion", net, window=(2, 4, 4), stride=(2, 4, 4))(values, 0)
    expected = tfvid.explainer("occlusion", lambda x: net(x).numpy(), window=(2, 4, 4), stride=(2, 4, 4))(values, 0)
    np.testing.assert_allclose(found.attribution, expected.attribution, atol=1e-5)


def test_the_layers_stay_as_they_were():
    net = functional()
    tfvid.GradCAM(net, layer="conv")(clips())
    assert not any("call" in vars(layer) for layer in net.layers)
