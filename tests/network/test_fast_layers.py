"""Fast layers: what Keras' own compute, in training and inference, and left to Keras where they would not."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import tfvid
from tfvid.network.activations import keras2_hard_sigmoid
from tfvid.network.fast_layers import FAST, fast_layers
from tfvid.network.max_pool import first_maximum
from tfvid.network.tracing import replaced

SHAPE = (4, 9, 8, 3)


def clips(num_clips=3):
    return tf.constant(np.random.default_rng(0).normal(1, 2, (num_clips, *SHAPE)).astype(np.float32))


def model_of(*body, shape=SHAPE):
    return keras.Sequential([keras.Input(shape), *body])


def outcome(model, training, fast):
    """Outputs, gradients of a weighted sum of them at the clips and all weights, and the weights afterwards."""
    before, x = model.get_weights(), clips()

    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.cast(model(x, training=training), tf.float32)
            total = tf.reduce_sum(y * tf.reshape(tf.range(tf.size(y), dtype=tf.float32) / 1000, tf.shape(y)))
        return y, tape.gradient(total, [x, *model.trainable_variables])

    run = tf.function(run, autograph=False)
    if fast:
        with fast_layers(model):
            result = run(x)
    else:
        result = run(x)
    after = model.get_weights()
    model.set_weights(before)
    return [np.asarray(tf.cast(value, tf.float32)) for value in tf.nest.flatten(result)] + after


def kernels_used(model, training=False):
    """The operations that `model` becomes in `fast_layers`."""
    with fast_layers(model):
        traced = tf.function(lambda x: model(x, training=training), autograph=False).get_concrete_function(clips())
    graphs = [traced.graph.as_graph_def().node, *(f.node_def for f in traced.graph.as_graph_def().library.function)]
    return [node.op for nodes in graphs for node in nodes]


def check_equal(model, training, rtol=1e-5):
    for layer in model.layers:  # numbers that are not the initial zeros and ones
        for weight in layer.weights:
            weight.assign(np.random.default_rng(1).uniform(0.2, 0.4, weight.shape))
    ours, keras_own = outcome(model, training, fast=True), outcome(model, training, fast=False)
    for mine, own in zip(ours, keras_own, strict=True):
        np.testing.assert_allclose(mine, own, rtol=rtol, atol=rtol * max(np.abs(own).max(), 1))


BATCH_NORMS = {
    "plain": {},
    "momentum": {"momentum": 0.7, "epsilon": 1e-2},
    "without scale": {"scale": False},
    "without centre": {"center": False},
    "frozen": {"trainable": False},
    "last axis by number": {"axis": 4},
}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("options", BATCH_NORMS.values(), ids=BATCH_NORMS)
def test_batch_norm(options, training):
    model = model_of(layers.BatchNormalization(**options))
    assert "FusedBatchNormV3" in kernels_used(model, training)
    check_equal(model, training, 2e-5)


def test_batch_norm_by_hand():
    """Two values, 1 and 3: mean 2, variance 1 (of all there is, not of a sample); the moving ones go half way."""
    model = model_of(layers.BatchNormalization(momentum=0.5, epsilon=0.5), shape=(2, 1, 1, 1))
    with fast_layers(model):
        outputs = model(tf.reshape([1.0, 3.0], (1, 2, 1, 1, 1)), training=True)
    np.testing.assert_allclose(np.ravel(outputs), [-1 / 1.5**0.5, 1 / 1.5**0.5], rtol=1e-6)
    np.testing.assert_allclose(model.layers[0].moving_mean, [1.0], rtol=1e-6)
    np.testing.assert_allclose(model.layers[0].moving_variance, [1.0], rtol=1e-6)


def test_batch_norm_of_images_and_of_any_size():
    frames = layers.TimeDistributed(keras.Sequential([keras.Input(SHAPE[1:]), layers.BatchNormalization()]))
    for model in (model_of(frames), model_of(layers.BatchNormalization(), shape=(None, None, None, 3))):
        assert "FusedBatchNormV3" in kernels_used(model)
        check_equal(model, True, 2e-5)


LEFT = {
    "another axis": lambda: layers.BatchNormalization(axis=1),
    "renorm": lambda: layers.BatchNormalization(renorm=True),
    "a small epsilon": lambda: layers.BatchNormalization(epsilon=1e-6),
    "float64": lambda: layers.BatchNormalization(dtype="float64"),
    "one's own": lambda: type("Own", (layers.BatchNormalization,), {})(),
}


@pytest.mark.parametrize("make", LEFT.values(), ids=LEFT)
def test_batch_norms_left_to_keras(make):
    model = model_of(make())
    assert "FusedBatchNormV3" not in kernels_used(model)
    check_equal(model, True)


@pytest.mark.parametrize("make", [layers.BatchNormalization, lambda: layers.ConvLSTM2D(2, 3)])
def test_masked_frames_are_left_to_keras(make):
    layer = make()
    frames = np.array([[True, True, False, True]] * 3)
    mask = frames if isinstance(layer, layers.ConvLSTM2D) else np.broadcast_to(frames[..., None, None], (3, *SHAPE[:3]))
    model = model_of(layer)
    before = model.get_weights()
    own = layer(clips(), mask=mask, training=True)
    model.set_weights(before)
    with fast_layers(model):
        np.testing.assert_allclose(layer(clips(), mask=mask, training=True), own, rtol=1e-5, atol=1e-5)
    assert not np.allclose(layer(clips(), training=True), own, atol=1e-2)


RECURRENT = {
    "plain": {"padding": "same", "return_sequences": True},
    "strided": {"strides": 2},
    "last step": {"return_sequences": False},
    "without bias": {"use_bias": False, "return_sequences": True},
    "hard gates": {"recurrent_activation": keras2_hard_sigmoid, "return_sequences": True},
    "backwards": {"go_backwards": True},
}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("options", RECURRENT.values(), ids=RECURRENT)
def test_conv_lstm(options, training):
    model = model_of(layers.ConvLSTM2D(2, 3, **options))
    assert ("While" in "".join(kernels_used(model, training))) == ("go_backwards" in options)
    check_equal(model, training)


def test_dropout_in_a_conv_lstm_is_left_to_keras():
    model = model_of(layers.ConvLSTM2D(2, 3, dropout=0.5, recurrent_dropout=0.5, seed=1))
    assert "While" in "".join(kernels_used(model, training=True))
    assert "While" not in "".join(kernels_used(model, training=False))
    check_equal(model, False)


@pytest.mark.parametrize("make", [layers.BatchNormalization, lambda **kw: layers.ConvLSTM2D(2, 3, **kw)])
def test_bfloat16(make):
    check_equal(model_of(make(dtype="mixed_bfloat16")), True, 3e-2)


def test_a_shared_batch_norm_moves_on_each_call():
    shared = layers.BatchNormalization(momentum=0.5)
    clip = keras.Input(SHAPE)
    check_equal(keras.Model(clip, shared(layers.Rescaling(3.0, 1.0)(shared(clip)))), True, 1e-4)


def test_layers_are_as_they_were_whatever_happens():
    model = model_of(layers.BatchNormalization(), layers.ConvLSTM2D(2, 3))
    with pytest.raises(KeyError), fast_layers(model):
        assert all("call" in vars(layer) for layer in model.layers)
        with fast_layers(model):  # within itself: one is enough
            model(clips())
        assert all("call" in vars(layer) for layer in model.layers)
        raise KeyError
    assert not any("call" in vars(layer) for layer in model.layers)


def test_what_stands_in_already_stays():
    model = model_of(layers.BatchNormalization())
    with replaced(model.layers[0], "call", lambda inputs, **_: inputs + 1), fast_layers(model):
        np.testing.assert_allclose(model(clips()), clips() + 1)


@pytest.mark.parametrize("make", [tfvid.I3D, tfvid.ConvLSTM])
def test_training_a_whole_model(make):
    """Two steps of SGD end with the weights that Keras alone ends with."""
    options = {"width": 0.1, "depth": 2} if make is tfvid.I3D else {"blocks": 2, "filters": 3}
    x, y = np.random.default_rng(2).random((4, 4, 16, 16, 3), np.float32), np.array([0, 1, 2, 1])
    ends = []
    for fast in (False, True):
        keras.utils.set_random_seed(3)
        model = make(3, 4, (16, 16), dropout=0.0, **options)
        model.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        if fast:
            with fast_layers(model):
                model.fit(x, y, batch_size=2, shuffle=False, verbose=0)
        else:
            with (
                first_maximum()
            ):  # without oneDNN Keras' own pools have other gradients: see tests/network/test_max_pool.py
                model.fit(x, y, batch_size=2, shuffle=False, verbose=0)
        ends.append(model.get_weights())
    for mine, own in zip(*reversed(ends), strict=True):
        np.testing.assert_allclose(mine, own, rtol=1e-3, atol=1e-4)


def test_each_fast_layer_has_a_test_of_its_own():
    assert set(FAST) == {layers.BatchNormalization, layers.ConvLSTM2D}
