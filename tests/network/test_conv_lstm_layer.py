"""C-LSTM against Keras' own layers put together by hand, and its recurrence against the equations."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tfvid.core.errors import TfvidError
from tfvid.models.conv_lstm import ConvLSTM
from tfvid.network.activations import keras2_hard_sigmoid

FRAMES, SIZE, FILTERS = 5, (20, 28), 4


def model_with_random_weights(shared_batch_norm, gates="sigmoid"):
    model = ConvLSTM(3, FRAMES, SIZE, blocks=2, filters=FILTERS, shared_batch_norm=shared_batch_norm, gates=gates)
    rng = np.random.default_rng(0)
    for weight in model.weights:
        value = rng.normal(0, 0.3, weight.shape)
        weight.assign(np.abs(value) + 0.5 if "variance" in weight.path else value)
    return model


@pytest.mark.parametrize("shared_batch_norm", [True, False])
def test_equals_keras_layers_one_by_one(shared_batch_norm):
    """New layers, each given the model's weights, called one after the other without a model around them."""
    model = model_with_random_weights(shared_batch_norm)
    clips = np.random.default_rng(1).random((2, FRAMES, *SIZE, 3), np.float32)
    x = 2 * clips - 1

    def run(layer, name, x):
        layer.build(x.shape)
        layer.set_weights(model.get_layer(name).get_weights())
        return layer(x)

    for block in (1, 2):
        recurrent = layers.ConvLSTM2D(FILTERS, 5, strides=2, padding="same", return_sequences=True)
        x = run(recurrent, f"conv_lstm_{block}", x)
        x = run(layers.BatchNormalization(), "batch_norm" if shared_batch_norm else f"batch_norm_{block}", x)
        x = layers.TimeDistributed(layers.MaxPooling2D(2))(x)
    logits = run(layers.Dense(3), "logits", tf.reshape(x, (2, -1)))
    np.testing.assert_allclose(model(clips, training=False), logits, atol=1e-5)


@pytest.mark.parametrize("gates", ["sigmoid", "hard_sigmoid"])
def test_first_block_equals_the_recurrence(gates):
    """Shi et al., NIPS 2015, without peepholes; Keras' gates are in the order i, f, c, o.

    i = sigmoid(Wi * x + Ui * h + bi), f and o alike, c = f c + i tanh(Wc * x + Uc * h + bc), h = o tanh(c); strides on
    the input's convolution only. The gates' sigmoid is the logistic one, or the piecewise linear one of Keras 2.
    """
    model = model_with_random_weights(shared_batch_norm=True, gates=gates)
    sigmoid = {"sigmoid": tf.sigmoid, "hard_sigmoid": lambda x: np.clip(0.2 * x + 0.5, 0, 1)}[gates]
    layer = model.get_layer("conv_lstm_1")
    clips = np.random.default_rng(1).random((2, FRAMES, *SIZE, 3), np.float32)
    kernel, recurrent, bias = layer.get_weights()
    h = c = np.zeros((2, SIZE[0] // 2, SIZE[1] // 2, FILTERS), np.float32)
    steps = []
    for t in range(FRAMES):
        z = tf.nn.conv2d(2 * clips[:, t] - 1, kernel, 2, "SAME") + tf.nn.conv2d(h, recurrent, 1, "SAME") + bias
        i, f, g, o = tf.split(z, 4, axis=-1)
        c = sigmoid(f) * c + sigmoid(i) * tf.tanh(g)
        h = sigmoid(o) * tf.tanh(c)
        steps.append(h)
    first = keras.Model(model.input, layer.output)
    np.testing.assert_allclose(first(clips), tf.stack(steps, axis=1), atol=1e-5)


def test_the_hard_sigmoid_by_hand():
    """0.2 x + 0.5, cut at 0 and 1. Keras 3's own has slope 1/6: it gives 2/3 at 1, and is cut at 3 instead of 2.5."""
    x = np.array([-9, -2.5, -1, 0, 1, 2, 2.5, 9], np.float32)
    np.testing.assert_allclose(keras2_hard_sigmoid(x), [0, 0, 0.3, 0.5, 0.7, 0.9, 1, 1], atol=1e-7)


def test_hard_gates_survive_saving(tmp_path, forks):
    """Loaded in a process of its own, which knows the activation from `tfvid.load_model` alone."""
    model = model_with_random_weights(shared_batch_norm=True, gates="hard_sigmoid")
    clips = np.random.default_rng(1).random((2, FRAMES, *SIZE, 3), np.float32)
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "clips.npy", clips)
    script = (
        "import sys, numpy as np, tfvid; folder = sys.argv[1]; "
        "model = tfvid.load_model(folder + '/model.keras'); "
        "np.save(folder + '/logits.npy', model(np.load(folder + '/clips.npy'), training=False))"
    )
    done = forks.run(script, tmp_path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    logits = model(clips, training=False).numpy()
    np.testing.assert_allclose(np.load(tmp_path / "logits.npy"), logits, atol=1e-5)
    logistic = model_with_random_weights(shared_batch_norm=True)(clips, training=False)
    assert np.abs(logits - logistic).max() > 1e-3  # the activation is seen


def test_wrong_gates():
    with pytest.raises(TfvidError, match="unknown gates 'hard'; valid: sigmoid, hard_sigmoid"):
        ConvLSTM(3, gates="hard")
