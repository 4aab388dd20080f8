"""Dense layers and convolutions, with the bias and the batch normalisation after them, as LRP sees them.

Such a unit computes y = a (W x) + b: W is the layer's, b its bias, and a batch norm after it changes a and b. So a
batch norm is merged into the layer before it, without a change of the model: the contributions of the inputs are
a_j w_ij x_i, and b_j is one more contribution. All this is computed by running the unit's own operations again, on
other inputs and weights.
"""

import tensorflow as tf

from tfvid.explain.lrp.rules import share_weights, stabilized
from tfvid.explain.propagation.operations import AFFINE, CONVOLUTIONS, MATRIX_PRODUCTS, again
from tfvid.explain.propagation.recording import Recording

# What may follow W x in a unit; `Transpose` follows a channels-first convolution.
FOLLOWING = (*AFFINE, "Reshape", "Squeeze", "BatchToSpaceND", "Transpose")


class LinearUnit:
    """A dense layer or convolution with what follows it up to the next layer.

    Args:
      recording: the run of the model.
      operation: the convolution or the matrix product.
      x: the position of its features among its inputs.
      w: the position of its weights.

    Attributes:
      kind: "convolution" or "dense".
      input: the features x.
      end: the last operation of the unit.
      output: y.
    """

    def __init__(self, recording: Recording, operation: tf.Operation, x: int, w: int):
        self.kind = "convolution" if operation.type in CONVOLUTIONS else "dense"
        self.operation, self._x, self._w = operation, x, w
        self.input = operation.inputs[x]
        self._rest: list[tuple[tf.Operation, int]] = []  # what follows: operations and the position of their input
        self.end = operation
        while (following := self._following(recording)) is not None:
            position = [recording.is_live(x) for x in following.inputs].index(True)
            self._rest.append((following, position))
            self.end = following
        self.output = self.end.outputs[0]

    def _following(self, recording):
        y = self.end.outputs[0]
        users = recording.users(y)
        if len(users) != 1 or y is recording.logits or users[0].type not in FOLLOWING:
            return None
        following = users[0]
        is_scale_by = following.type != "RealDiv" or following.inputs[0] is y
        is_alone = sum(recording.is_live(x) for x in following.inputs) == 1 and len(following.outputs) in (1, 6)
        return following if is_alone and is_scale_by else None

    def _linear(self, x, w):
        """W x for other features and weights."""
        inputs = list(self.operation.inputs)
        inputs[self._x], inputs[self._w] = x, w
        return again(self.operation, inputs)[0]

    def _after(self, z):
        """a z + b."""
        for operation, position in self._rest:
            inputs = list(operation.inputs)
            inputs[position] = z
            z = again(operation, inputs)[0]
        return z

    def _measure(self):
        """Sets x, W, its positive and negative part, a and b, in float32."""
        self.x, self.w = (tf.cast(self.operation.inputs[i], tf.float32) for i in (self._x, self._w))
        self.w_above, self.w_below = tf.nn.relu(self.w), -tf.nn.relu(-self.w)
        z = self._linear(self.x, self.w)
        self.b = self._after(tf.zeros_like(z))
        self.a = self._after(tf.ones_like(z)) - self.b

    def _scaled(self, z):
        """a z."""
        return self._after(z) - self.b

    def _back(self, w, m):
        """The gradient of the sum of m a (W x) with respect to x."""
        x = tf.identity(self.x)
        return tf.gradients(self._after(self._linear(x, w)), x, m)[0]

    def multipliers(self, rule: str, m, epsilon: float, gamma: float):
        """Returns R_i / x_i of the features by a rule of `share_weights`, from R_j / y_j = `m` of the outputs."""
        self._measure()
        x_above, x_below = tf.nn.relu(self.x), -tf.nn.relu(-self.x)
        above = self._scaled(self._linear(x_above, self.w_above) + self._linear(x_below, self.w_below))
        below = self._scaled(self._linear(x_above, self.w_below) + self._linear(x_below, self.w_above))
        keeps_sign = self.a >= 0
        P = tf.where(keeps_sign, above, below) + tf.nn.relu(self.b)
        N = tf.where(keeps_sign, below, above) - tf.nn.relu(-self.b)
        y, m = tf.cast(self.output, tf.float32), tf.cast(m, tf.float32)
        u, v = share_weights(rule, y * m, y, P, N, epsilon, gamma)
        s, t = tf.where(keeps_sign, u, v), tf.where(keeps_sign, v, u)
        of_positive = self._back(self.w_above, s) + self._back(self.w_below, t)
        of_negative = self._back(self.w_above, t) + self._back(self.w_below, s)
        return tf.where(self.x >= 0, of_positive, of_negative)

    def flat(self, m):
        """Returns the relevance of the features by the flat rule: all inputs of an output get the same."""
        self._measure()
        R = tf.cast(self.output, tf.float32) * tf.cast(m, tf.float32)
        ones = tf.ones_like(self.w)
        z = self._linear(tf.ones_like(self.x), ones)
        (R,) = tf.gradients(self._after(z), z, tf.math.divide_no_nan(R, self.a))
        x = tf.identity(self.x)
        return tf.gradients(self._linear(x, ones), x, R / z)[0]

    def box(self, m, low, high, epsilon: float):
        """Returns the relevance of features between `low` and `high` by the z^B rule.

            R_i = sum_j R_j c_ij / sum_k c_kj,    c_ij = x_i w_ij - low_i max(w_ij, 0) - high_i min(w_ij, 0)

        with a_j w_ij for w_ij.
        """
        self._measure()
        keeps_sign = self.a >= 0
        R = tf.cast(self.output, tf.float32) * tf.cast(m, tf.float32)
        of_low = [self._scaled(self._linear(low, w)) for w in (self.w_above, self.w_below)]
        of_high = [self._scaled(self._linear(high, w)) for w in (self.w_below, self.w_above)]
        z = self._scaled(self._linear(self.x, self.w)) - tf.where(keeps_sign, *of_low) - tf.where(keeps_sign, *of_high)
        u = R / stabilized(z, epsilon)
        kept, turned = tf.where(keeps_sign, u, 0.0), tf.where(keeps_sign, 0.0, u)
        to_low = self._back(self.w_above, kept) + self._back(self.w_below, turned)
        to_high = self._back(self.w_below, kept) + self._back(self.w_above, turned)
        return self.x * self._back(self.w, u) - low * to_low - high * to_high


def linear_units(recording: Recording) -> dict[str, LinearUnit]:
    """Returns the dense layers and convolutions of a run, by the name of the last operation of each."""
    units = {}
    for operation in recording.operations:
        if operation.type not in (*CONVOLUTIONS, *MATRIX_PRODUCTS):
            continue
        places = CONVOLUTIONS.get(operation.type, (0, 1))
        live = [place for place in places if recording.is_live(operation.inputs[place])]
        is_known = len(operation.inputs) == 2 or operation.type in CONVOLUTIONS
        if is_known and len(live) == 1 and (operation.type in MATRIX_PRODUCTS or live[0] == places[0]):
            (weights,) = set(places) - set(live)
            unit = LinearUnit(recording, operation, live[0], weights)
            units[unit.end.name] = unit
    return units
