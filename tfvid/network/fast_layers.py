"""Faster versions of some Keras layers, with the layers' own weights and results.

The model stays unchanged: they replace the ``call`` of its layers only while the model is traced in `fast_layers`, for
training and for inference. docs/performance.md states the speed-ups.
"""

from contextlib import ExitStack, contextmanager

import keras
import tensorflow as tf
from keras import layers

from tfvid.network.max_pool import first_maximum
from tfvid.network.recurrence import input_gates, is_plain, recurrence
from tfvid.network.tracing import named_layers, replaced


@contextmanager
def fast_layers(model: keras.Model):
    """Inside, the layers of `model` run in their faster versions while the model is called or traced.

    A layer whose ``call`` is replaced already keeps that ``call``. All 3-D max-pools are those of
    `tfvid.network.max_pool`, whose gradients are equal on all machines.

    Args:
      model: a built Keras model.
    """
    with ExitStack() as stack:
        stack.enter_context(first_maximum())
        for _, layer in named_layers(model):
            if type(layer) in FAST and "call" not in vars(layer):
                stack.enter_context(replaced(layer, "call", FAST[type(layer)](layer)))
        yield


def fast_batch_norm(layer: layers.BatchNormalization):
    """Returns the ``call`` of `layer` by TensorFlow's fused operation, which takes images: here, the frames of clips.

    Keras runs a dozen operations on float32 copies of the features instead.
    """
    plain = layer.call
    left = layer.synchronized or layer.renorm or layer.epsilon <= 1.001e-5  # the smallest epsilon of cuDNN

    def call(inputs, training=None, mask=None):
        of_batch = bool(training) and layer.trainable
        is_last = layer.axis in (-1, inputs.shape.rank - 1)
        fits = mask is None and inputs.shape.rank in (4, 5) and is_last and inputs.dtype != tf.float64
        # On a GPU the fused gradient in inference has no deterministic kernel.
        if left or not fits or not of_batch and tf.config.list_physical_devices("GPU"):
            return plain(inputs, training=training, mask=mask)
        shape = tf.shape(inputs)
        images = tf.reshape(inputs, tf.concat([[-1], shape[-3:]], axis=0))
        images = tf.ensure_shape(images, (None, *inputs.shape[-3:]))
        if of_batch:
            outputs = _trained(layer, images)
        else:
            outputs, *_ = _fused(layer, images, layer.moving_mean, layer.moving_variance)
        return tf.ensure_shape(tf.reshape(outputs, shape), inputs.shape)

    return call


def _trained(layer, images):
    """Normalises by the mean and variance of the batch, and updates the moving averages."""
    outputs, mean, variance = _fused(layer, images)
    values = tf.cast(tf.size(images) // images.shape[-1], tf.float32)
    variance *= tf.maximum(values - 1, 1) / values  # fused: divided by N - 1; Keras: by N
    for moving, now in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
        moving.assign(moving * layer.momentum + now * (1 - layer.momentum))
    return outputs


def _fused(layer, images, mean=None, variance=None):
    """Returns outputs, mean and variance. Without `mean` and `variance`, they are those of the batch."""
    scale = layer.gamma if layer.scale else tf.ones(images.shape[-1])
    offset = layer.beta if layer.center else tf.zeros(images.shape[-1])
    return tf.compat.v1.nn.fused_batch_norm(
        images, scale, offset, mean, variance, epsilon=layer.epsilon, is_training=mean is None
    )


def fast_conv_lstm(layer: layers.ConvLSTM2D):
    """Returns the ``call`` of `layer` with an eighth of the convolutions, see `tfvid.network.recurrence`."""
    plain, cell = layer.call, layer.cell

    def call(sequences, initial_state=None, mask=None, training=False):
        dropped = training and (cell.dropout or cell.recurrent_dropout)
        if not is_plain(layer) or dropped or initial_state is not None or mask is not None or not sequences.shape[1]:
            return plain(sequences, initial_state=initial_state, mask=mask, training=training)
        return recurrence(layer, input_gates(layer, sequences))

    return call


FAST = {layers.BatchNormalization: fast_batch_norm, layers.ConvLSTM2D: fast_conv_lstm}
