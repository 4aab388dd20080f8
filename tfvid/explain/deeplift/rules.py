"""The rules of DeepLIFT: the multiplier of each operation's input, from the model's runs on a clip and on a baseline.

Below, x is a tensor of the run on the clip, x0 the same tensor of the run on the baseline, and d = x - x0. The
multiplier m of x says what x adds to the score: m d. It is passed down so that the sum over the inputs of an operation
is what its outputs add, for

* linear operations by the ordinary gradient (the linear rule);
* an activation y = f(x) by  m_x = m_y (y - y0) / (x - x0)  (the rescale rule); where x = x0, by the derivative;
* products by  m_a = m_y (b + b0) / 2,  m_b = m_y (a + a0) / 2, the mean of both orders of a and b. This is the ordinary
  gradient half-way between x0 and x, which is exact for all operations of second order: squares and matrix products,
  as in attention and gates;
* a maximum: the rise from y0 to y goes to the clip's maximum, a fall to the baseline's. If windows overlap, an element
  gets the sum. captum 0.9 states the same rule, but uses the ordinary gradient for a pool behind a ReLU, and one of the
  windows that overlap, so its maps are not complete there: ReLU and a pool of two frames, clip (3, 1), baseline (0, 2),
  has y - y0 = 1. The maps are (1, 0) here and (3, 0) there;
* a softmax as exp, sum and quotient.

Shrikumar, Greenside, Kundaje, "Learning Important Features Through Propagating Activation Differences", ICML 2017,
section 3.5.2 for rescale; products and maxima as in Lundberg & Lee's SHAP (NeurIPS 2017) and captum.
"""

import tensorflow as tf

from tfvid.core.errors import ModelError
from tfvid.explain.propagation import operations as ops
from tfvid.explain.propagation.recording import Recording
from tfvid.explain.propagation.walk import Shares, one_to_one, ordinary, walk

SAME = 1e-6  # changes smaller than this count as none
INSTEAD = "use 'integrated_gradients', 'occlusion' or 'rise'"


class Differences:
    """One backward pass of DeepLIFT.

    Args:
      clip: the run on the clips.
      baseline: the run on the baselines.

    Raises:
      ModelError: the runs do not consist of the same operations.
    """

    def __init__(self, clip: Recording, baseline: Recording):
        self.clip, self.baseline = clip, baseline
        if [o.type for o in clip.operations] != [o.type for o in baseline.operations]:
            raise ModelError(f"DeepLIFT expects a model that always runs the same operations; {INSTEAD}")
        self._twins = {one.name: other for one, other in zip(clip.operations, baseline.operations, strict=True)}

    def multipliers(self, start) -> tf.Tensor:
        """Returns the multipliers of the pixels, float32 `(B, T, H, W, C)`; `start` says which logit counts."""
        return walk(self.clip, start, self._rule)

    def _twin(self, x) -> tf.Tensor:
        """The same tensor in the run on the baseline."""
        if x is self.clip.clips:
            return self.baseline.clips
        return self._twins[x.op.name].outputs[x.value_index] if self.clip.is_live(x) else x

    def _rule(self, operation, of_outputs) -> Shares:
        kind, live = operation.type, self.clip.live_inputs(operation)
        if operation.name in self.clip.fused:
            return self._of_fused(operation, of_outputs[0])
        if kind in (*ops.IDENTITIES, "StopGradient"):
            return one_to_one(operation, of_outputs)
        if kind in (*ops.LINEAR, *ops.CHOICES):
            return ordinary(operation, of_outputs)
        if kind in (*ops.PRODUCTS, "Square", "SquaredDifference"):
            return self._half_way(operation, of_outputs)
        if kind in ops.MAXIMA or kind in ("Maximum", "Minimum") and len(live) == 2:
            return self._of_maximum(operation, of_outputs[0])
        if kind == "Softmax":
            return self._of_softmax(operation, of_outputs[0])
        if kind == "RealDiv" and self.clip.is_live(operation.inputs[1]):
            return self._of_quotient(operation, of_outputs[0])
        if kind == "RealDiv":
            return ordinary(operation, of_outputs)
        if kind in ops.CURVES and len(live) == 1:
            slopes = [slope for x, slope in ordinary(operation, of_outputs) if x is live[0]]
            return [(live[0], self._rescaled(live[0], operation.outputs[0], of_outputs[0], slopes[0]))]
        return self.clip.refuse(operation, "DeepLIFT", INSTEAD)

    def _rescaled(self, x, y, m, otherwise):
        """The rescale rule; `otherwise` where x does not change."""
        change = x - self._twin(x)
        is_same = tf.abs(change) < SAME
        return tf.where(is_same, otherwise, m * (y - self._twin(y)) / tf.where(is_same, tf.ones_like(change), change))

    def _of_fused(self, operation, m):
        """A function of each element that takes several operations, such as GELU, as one activation."""
        x, y = self.clip.fused[operation.name], operation.outputs[0]
        return [(x, self._rescaled(x, y, m, tf.gradients(y, x, m)[0]))]

    def _half_way(self, operation, of_outputs):
        middle = [(x + self._twin(x)) / 2 if self.clip.is_live(x) else x for x in operation.inputs]
        shares = ordinary(ops.again(operation, middle)[0].op, of_outputs)
        return [(x, m) for x, (_, m) in zip(operation.inputs, shares, strict=True)]

    def _of_maximum(self, operation, m):
        """All that y rises above y0 goes to the clip's maximum; all that it falls below, to the baseline's."""
        (y, *_), twin = operation.outputs, self._twins[operation.name]
        y0, between = twin.outputs[0], tf.minimum if operation.type in ("Min", "Minimum") else tf.maximum
        middle = between(y, y0)
        of_clip, of_baseline = ordinary(operation, [m * (middle - y0)]), ordinary(twin, [m * (y - middle)])
        shares = []
        for (x, rise), (_, fall) in zip(of_clip, of_baseline, strict=True):
            if self.clip.is_live(x):
                change = x - self._twin(x)
                is_same = tf.abs(change) < SAME
                shares.append((x, tf.math.divide_no_nan(rise + fall, tf.where(is_same, tf.zeros_like(change), change))))
        return shares

    def _of_softmax(self, operation, m):
        """Of y = e / S with e = exp(x - c) and S = sum e; c is the same for the clip and the baseline."""
        x = operation.inputs[0]
        now, before = tf.cast(x, tf.float64), tf.cast(self._twin(x), tf.float64)
        c = tf.reduce_max(tf.maximum(now, before), axis=-1, keepdims=True)
        e, e0 = tf.exp(now - c), tf.exp(before - c)  # in float64, so that S is not 0 for a clip far from the baseline
        S, S0 = (tf.reduce_sum(of, axis=-1, keepdims=True) for of in (e, e0))
        m = tf.cast(m, tf.float64)
        of_S = -tf.reduce_sum(m * (e + e0) / 2, axis=-1, keepdims=True) / (S * S0)
        of_e = m * (1 / S + 1 / S0) / 2 + of_S
        is_same = tf.abs(now - before) < SAME
        slope = tf.where(is_same, e, (e - e0) / tf.where(is_same, tf.ones_like(now), now - before))
        return [(x, tf.cast(of_e * slope, x.dtype))]

    def _of_quotient(self, operation, m):
        """Of a / b as the product of a and 1 / b."""
        a, b = operation.inputs
        a0, b0 = self._twin(a), self._twin(b)
        a_middle, r_middle = tf.identity((a + a0) / 2), tf.identity((1 / b + 1 / b0) / 2)
        of_a, of_r = tf.gradients(a_middle * r_middle, [a_middle, r_middle], m)
        return [(a, of_a), (b, -of_r / (b * b0))]
