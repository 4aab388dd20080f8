"""Keras layers that TensorFlow has faster ways for: the layers' own weights, and their results.

A model stays what it is, pure Keras: only while it is traced in `fast_layers` do these stand in for its layers' `call`.
They are for training as for inference. What they gain is in docs/performance.md.
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
    """While `model` is called in here, or traced, its layers run the faster way where there is one.

    A layer whose ``call`` is replaced already keeps that one. All 3-D max-pools are those of `tfvid.network.max_pool`,
    whose gradients are the same on every machine.
    """
    with ExitStack() as stack:
        stack.enter_context(first_maximum())
        for _, layer in named_layers(model):
            if type(layer) in FAST and "call" not in vars(layer):
                stack.enter_context(replaced(layer, "call", FAST[type(layer)](layer)))
        yield


def fast_batch_norm(layer: layers.BatchNormalization):
    """Its `call` in TensorFlow's fused operation, which knows images only: the frames of clips are images.

    Keras writes it as a dozen operations, on float32 copies of the features.
    """
    plain = layer.call
    left = layer.synchronized or layer.renorm or layer.epsilon <= 1.001e-5  # cuDNN's least

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
    """Normalised by the batch's own mean and variance, which the moving ones follow."""
    outputs, mean, variance = _fused(layer, images)
    values = tf.cast(tf.size(images) // images.shape[-1], tf.float32)
    variance *= tf.maximum(values - 1, 1) / values  # fused: of a sample; Keras: of all there is
    for moving, now in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
        moving.assign(moving * layer.momentum + now * (1 - layer.momentum))
    return outputs


def _fused(layer, images, mean=None, variance=None):
    """The outputs, mean and variance; those of the batch where none are given."""
    scale = layer.gamma if layer.scale else tf.ones(images.shape[-1])
    offset = layer.beta if layer.center else tf.zeros(images.shape[-1])
    return tf.compat.v1.nn.fused_batch_norm(
        images, scale, offset, mean, variance, epsilon=layer.epsilon, is_training=mean is None
    )


def fast_conv_lstm(layer: layers.ConvLSTM2D):
    """Its `call` in an eighth of the convolutions, see `tfvid.network.recurrence`."""
    plain, cell = layer.call, layer.cell

    def call(sequences, initial_state=None, mask=None, training=False):
        dropped = training and (cell.dropout or cell.recurrent_dropout)
        if not is_plain(layer) or dropped or initial_state is not None or mask is not None or not sequences.shape[1]:
            return plain(sequences, initial_state=initial_state, mask=mask, training=training)
        return recurrence(layer, input_gates(layer, sequences))

    return call


FAST = {layers.BatchNormalization: fast_batch_norm, layers.ConvLSTM2D: fast_conv_lstm}
