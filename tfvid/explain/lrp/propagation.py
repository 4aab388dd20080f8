"""The backward pass of LRP: the rule of each operation.

Below, R is the relevance of a tensor and m = R / x its multiplier, which is what is passed down (see
`tfvid.explain.propagation.walk`). With m the rules are short:

* sums, means, padding, concatenation, average pooling: the ordinary gradient, which is the epsilon rule;
* maximum pooling: the ordinary gradient; the winner takes all;
* an activation y = f(x): R stays, so m y / x;
* a product of two features: half each; a matrix product, as in attention, likewise;
* a gate of a recurrent layer, the standard deviation of a normalisation, a denominator: a constant, so the signal
  takes all (Arras et al., "Explaining and Interpreting LSTMs", 2019, section 11.3);
* a softmax: R_i = x_i (R_i' - s_i sum_j R_j') for R' of its outputs s: again the ordinary gradient;
* dense layers and convolutions: `rules`.

Achtibat et al., "AttnLRP", ICML 2024 (arXiv 2402.05602), Eqs. 13 to 15 and Prop. 3.4 for softmax, products and layer
norms.
"""

from contextlib import ExitStack, contextmanager

import keras
import tensorflow as tf

from tfvid.explain.lrp.linear import LinearUnit, linear_units
from tfvid.explain.lrp.rules import Composite, stabilized
from tfvid.explain.propagation import operations as ops
from tfvid.explain.propagation.recording import Recording
from tfvid.explain.propagation.walk import Multipliers, one_to_one, ordinary, walk
from tfvid.network.tracing import named_layers, replaced

BLOCKED = ("StopGradient", "Rsqrt")  # constants for LRP: gates, and 1 / standard deviation
HOMOGENEOUS = ("Relu", "LeakyRelu")  # f(x) = f'(x) x
TINY = 1e-9


class Relevance:
    """One backward pass of LRP.

    Args:
      recording: a run of the model, with `BLOCKED`.
      composite: the rules.
      epsilon: what is added to the size of denominators.
      gamma: of the gamma rule.
      box: the least and the largest value of a pixel, for the box rule.
    """

    def __init__(self, recording: Recording, composite: Composite, epsilon: float, gamma: float, box):
        self.recording = recording
        self.composite = composite
        self.epsilon, self.gamma, self.box = epsilon, gamma, box
        self._units = linear_units(recording)
        self._at_pixels = Multipliers()  # relevance itself, where a rule gives some to a pixel of value 0

    def of_clips(self, start) -> tf.Tensor:
        """Returns the relevance of the pixels, float32 `(B, T, H, W, C)`; `start` says which logit counts."""
        clips = self.recording.clips
        m = walk(self.recording, start, self._rule)
        direct = self._at_pixels.take(clips)
        return clips * m if direct is None else clips * m + direct

    def _rule(self, operation, of_outputs):
        if operation.name in self._units:
            unit = self._units[operation.name]
            rule = self._rule_of(unit)
            if rule != "epsilon":
                return self._of_unit(unit, rule, of_outputs[0])
            y = unit.output
            of_outputs = [of_outputs[0] * y / stabilized(y, tf.cast(self.epsilon, y.dtype)), *of_outputs[1:]]
        elif all(y.ref() in self.recording.pixels for y in operation.outputs):
            return self._of_pixels(operation, of_outputs)
        return self._of_operation(operation, of_outputs)

    def _rule_of(self, unit: LinearUnit) -> str:
        if self.composite.first and unit.input.ref() in self.recording.pixels:
            return self.composite.first
        return getattr(self.composite, unit.kind)

    def _of_unit(self, unit, rule, m):
        x = unit.input
        if rule == "flat":
            relevance = unit.flat(m)
        elif rule == "box":
            low, high = (self._value_at(x, value) for value in self.box)
            relevance = unit.box(m, tf.minimum(low, high), tf.maximum(low, high), self.epsilon)
        else:
            return [(x, tf.cast(unit.multipliers(rule, m, self.epsilon, self.gamma), x.dtype))]
        self._at_pixels.add([(x, relevance)])
        return [(x, tf.zeros_like(x))]  # so that the walk goes on

    def _value_at(self, x, value: float):
        """The values of `x`, which are pixels that are scaled or moved, for a clip of pixels `value`."""
        if x is self.recording.clips:
            return tf.fill(tf.shape(x), tf.cast(value, x.dtype))
        live = [self._value_at(y, value) if self.recording.is_live(y) else y for y in x.op.inputs]
        return tf.cast(ops.again(x.op, live)[x.value_index], tf.float32)

    def _of_pixels(self, operation, of_outputs):
        """Pixels that are scaled, shifted or moved keep their relevance."""
        relevance = []
        for y, m in zip(operation.outputs, of_outputs, strict=True):
            R = tf.zeros_like(y) if m is None else m * y
            direct = self._at_pixels.take(y)
            relevance.append(R if direct is None else R + tf.cast(direct, R.dtype))
        live = self.recording.live_inputs(operation)
        if operation.type in ops.MOVES or operation.type == "IdentityN":
            share = one_to_one if operation.type == "IdentityN" else ordinary
            shares = [(x, R) for x, R in share(operation, relevance) if self.recording.is_live(x)]
        else:
            shares = [(self.recording.fused.get(operation.name, live[0]), relevance[0])]
        self._at_pixels.add([(x, None if R is None else tf.cast(R, x.dtype)) for x, R in shares])
        return [(x, tf.zeros_like(x)) for x, _ in shares]

    def _of_operation(self, operation, of_outputs):
        kind, live = operation.type, self.recording.live_inputs(operation)
        if operation.name in self.recording.fused:
            return [self._kept(self.recording.fused[operation.name], operation, of_outputs[0])]
        if kind in ops.IDENTITIES:
            return one_to_one(operation, of_outputs)
        if kind in (*ops.LINEAR, *ops.MAXIMA, *ops.CHOICES, *HOMOGENEOUS, "Softmax"):
            return ordinary(operation, of_outputs)
        if kind in (*ops.PRODUCTS, "SquaredDifference"):
            operands = sum(self.recording.is_live(x) for x in operation.inputs)
            return [(x, None if m is None else m / operands) for x, m in ordinary(operation, of_outputs)]
        if kind == "RealDiv" and self.recording.is_live(operation.inputs[0]):
            return ordinary(operation, of_outputs)[:1]
        if kind in ("Maximum", "Minimum") and len(live) == 2:
            return ordinary(operation, of_outputs)
        if kind in (*ops.CURVES, "RealDiv") and len(live) == 1:
            return [self._kept(live[0], operation, of_outputs[0])]
        return self.recording.refuse(operation, "LRP", INSTEAD)

    def _kept(self, x, operation, m):
        """An activation: the relevance stays at its element."""
        return x, tf.cast(m, x.dtype) * tf.cast(operation.outputs[0], x.dtype) / stabilized(x, tf.cast(TINY, x.dtype))


INSTEAD = "use 'deep_lift', 'occlusion' or 'rise'"


@contextmanager
def constant_gates(model: keras.Model):
    """Inside, the gates of LSTM, GRU and ConvLSTM layers count as constants, so that the signal takes all relevance."""
    with ExitStack() as stack:
        for _, layer in named_layers(model):
            gate = getattr(layer, "recurrent_activation", None)
            if callable(gate) and not isinstance(layer, keras.layers.RNN):  # a cell
                stack.enter_context(replaced(layer, "recurrent_activation", _stopped(gate)))
        yield


def _stopped(gate):
    return lambda z: tf.stop_gradient(gate(z))
