"""Excitation backprop through time, for `LSTM` and `ConvLSTM2D`: EB-R.

    z = Wx x[t] + Wh h[t-1] + b,   i, f, o = sigmoid(z_i, z_f, z_o),   g = tanh(z_g)
    c[t] = f c[t-1] + i g,         h[t] = o tanh(c[t])

Bargal et al., "Excitation Backprop for RNNs", CVPR 2018. The inputs x[t] and the state h[t-1] excite z together, so
both get a share of its probability; through h[t-1] it goes back in time. There are two rules for the gates:

* "signal": a gate is a weight >= 0 of the signal that it passes on. So the rule of `rules` holds for c[t], the sum of
  f c[t-1] and i g, and the functions tanh in h and g are one to one. All probability stays with the signal, and none is
  lost. If c[t] or g is negative, the inputs that make it negative get the shares.
* "gradient": the gates pass on ordinary gradients, as in the published code. There the units are ReLUs; with tanh a
  gradient may be negative, and probability is not conserved.
"""

import keras
import tensorflow as tf
from keras import layers

from tfvid.core.errors import ModelError
from tfvid.explain.excitation.rules import INSTEAD, excitation, linear_excitation, linked

GATES = ("signal", "gradient")
RECURRENT = (layers.LSTM, layers.ConvLSTM2D)


def recurrent(layer, path: str, gates: str):
    """Returns the ``call`` of an LSTM or ConvLSTM2D, unrolled, with the rule as its gradient.

    Args:
      layer: the layer.
      path: its path, for messages.
      gates: "signal" or "gradient".

    Raises:
      ModelError: the layer does not just run forwards over whole clips.
    """
    _check_plain(layer, path)
    step = {"signal": _signal_step, "gradient": _gradient_step}[gates]

    def excited(sequences, initial_state=None, mask=None, training=False):
        if initial_state is not None or mask is not None:
            raise ModelError(f"layer {path!r}: excitation backprop supports no initial state and no mask; {INSTEAD}")
        if sequences.shape[1] is None:
            raise ModelError(f"layer {path!r}: excitation backprop expects a known number of steps; {INSTEAD}")
        cell, outputs = _Cell(layer), []
        h = c = None
        for x in tf.unstack(sequences, axis=1):
            h, c = step(cell, x, h, c)
            outputs.append(h)
        return tf.stack(outputs, axis=1) if layer.return_sequences else h

    return excited


def _check_plain(layer, path):
    for option in ("stateful", "go_backwards", "return_state"):
        if getattr(layer, option):
            raise ModelError(
                f"layer {path!r} ({type(layer).__name__}): excitation backprop has no rule for {option}; {INSTEAD}"
            )


class _Cell:
    """The linear maps and gates of an LSTM cell or a convolutional one, with the layer's own weights."""

    def __init__(self, layer):
        self.cell = cell = layer.cell
        dtype = layer.compute_dtype
        self.weights = [tf.cast(w, dtype) for w in (cell.kernel, cell.recurrent_kernel)]
        self.bias = tf.cast(cell.bias, dtype) if cell.use_bias else 0
        if isinstance(layer, layers.ConvLSTM2D):
            if cell.data_format != "channels_last":
                raise ModelError(f"layer {layer.name!r}: excitation backprop expects channels_last; {INSTEAD}")
            self.maps = [self._input_convolution, self._recurrent_convolution]
        else:
            self.maps = [keras.ops.matmul, keras.ops.matmul]

    def _input_convolution(self, x, w):
        cell = self.cell
        return tf.nn.conv2d(x, w, cell.strides, cell.padding.upper(), dilations=cell.dilation_rate)

    def _recurrent_convolution(self, h, w):
        return tf.nn.conv2d(h, w, 1, "SAME")

    def terms(self, inputs, weights):
        """The terms of z: (input, weights, map) for x[t] and, from the second step on, h[t-1]."""
        return [term for term in zip(inputs, weights, self.maps, strict=True) if term[0] is not None]

    def z(self, x, h):
        return sum(apply(x, w) for x, w, apply in self.terms([x, h], self.weights)) + self.bias

    def gates(self, z):
        """i, f, g, o in the order of Keras' weights."""
        i, f, g, o = tf.split(z, 4, axis=-1)
        gate = self.cell.recurrent_activation
        return gate(i), gate(f), self.cell.activation(g), gate(o)


def _gradient_step(cell, x, h, c):
    """One step; the gates have their ordinary gradient."""
    inputs = [tensor for tensor in (x, h) if tensor is not None]
    terms = cell.terms([x, h], cell.weights)
    z = linked(inputs, tf.stop_gradient(cell.z(x, h)), lambda P: linear_excitation(P, terms))
    i, f, g, o = cell.gates(z)
    c = i * g if c is None else f * c + i * g
    return o * cell.cell.activation(c), c


def _signal_step(cell, x, h, c):
    """One step; all probability stays with the signal: h to c, c to g and the old c, g to x and the old h."""
    inputs = [tensor for tensor in (x, h) if tensor is not None]
    i, f, g, o = [tf.stop_gradient(gate) for gate in cell.gates(cell.z(x, h))]
    of_g = cell.terms([x, h], [tf.split(w, 4, axis=-1)[2] for w in cell.weights])
    signal = linked(inputs, g, lambda P: _towards(g, P, of_g))
    c = _gated_sum([(i, signal)] if c is None else [(i, signal), (f, c)])
    return linked([c], tf.stop_gradient(o * cell.cell.activation(c)), lambda P: [P]), c


def _towards(output, P, terms):
    """The linear rule; inputs excite an output if they have its sign."""
    above = linear_excitation(tf.where(output >= 0, P, 0), terms)
    below = linear_excitation(tf.where(output < 0, P, 0), [(x, -w, apply) for x, w, apply in terms])
    return [a + b for a, b in zip(above, below, strict=True)]


def _gated_sum(pairs):
    """The sum of gate * signal; the signals with the sign of the sum get shares of its probability."""
    parts = [tf.stop_gradient(gate * signal) for gate, signal in pairs]
    total = tf.add_n(parts)

    def share(P):
        same = [tf.nn.relu(tf.cast(part * tf.sign(total), tf.float32)) for part in parts]
        return excitation(P, lambda *parts: tf.add_n(parts), same)

    return linked([signal for _, signal in pairs], total, share)
