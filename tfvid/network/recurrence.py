"""A ConvLSTM2D layer in fewer, larger convolutions, with the layer's own weights.

Keras runs eight small convolutions in each time step: for each of the four gates, one on the frame and one on the
state. The frames' part does not depend on the state, so here it is one convolution over all frames. The state's part is
one convolution in each step. Outputs and gradients equal the layer's (tested to 1e-5).
"""

import tensorflow as tf
from keras import layers


def is_plain(layer: layers.ConvLSTM2D) -> bool:
    """Returns whether `recurrence` computes all that the layer does, except dropout in training."""
    cell = layer.cell
    return (
        cell.data_format == "channels_last"
        and tuple(cell.dilation_rate) == (1, 1)
        and not (layer.stateful or layer.go_backwards or layer.return_state)
    )


def input_gates(layer: layers.ConvLSTM2D, inputs: tf.Tensor) -> tf.Tensor:
    """Returns the part of the gates that depends on the inputs, with the bias: `(B, T, H', W', 4 F)`.

    Args:
      layer: a plain layer, see `is_plain`.
      inputs: `(B, T, H, W, C)`.
    """
    cell, dtype = layer.cell, inputs.dtype
    frames = tf.reshape(inputs, (-1, *inputs.shape[2:]))
    gates = tf.nn.conv2d(frames, tf.cast(cell.kernel, dtype), cell.strides, cell.padding.upper())
    if cell.use_bias:
        gates += tf.cast(cell.bias, dtype)
    return tf.reshape(gates, (-1, inputs.shape[1], *gates.shape[1:]))


def recurrence(layer: layers.ConvLSTM2D, gates: tf.Tensor) -> tf.Tensor:
    """Computes the states over time; T must be known when this is traced.

    Args:
      layer: a plain layer, see `is_plain`.
      gates: `(B, T, H', W', 4 F)`, from `input_gates`.

    Returns:
      `(B, T, H', W', F)`; for a layer without ``return_sequences``, the last step, `(B, H', W', F)`.
    """
    cell = layer.cell
    kernel = tf.cast(cell.recurrent_kernel, gates.dtype)

    def gated(x):
        # TensorFlow's sigmoid of bfloat16 takes twice as long as that of float32 with the casts there and back.
        wide = tf.cast(x, tf.float32) if x.dtype == tf.bfloat16 else x
        return tf.cast(cell.recurrent_activation(wide), x.dtype)

    outputs: list[tf.Tensor] = []
    carry = None
    for gate in tf.unstack(gates, axis=1):
        if outputs:
            gate += tf.nn.conv2d(outputs[-1], kernel, 1, "SAME")
        i, f, c, o = tf.split(gate, 4, axis=-1)
        candidate = gated(i) * cell.activation(c)
        carry = candidate if carry is None else gated(f) * carry + candidate
        outputs.append(gated(o) * cell.activation(carry))
    return tf.stack(outputs, axis=1) if layer.return_sequences else outputs[-1]
