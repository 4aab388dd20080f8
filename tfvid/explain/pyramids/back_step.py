"""The back-step: from the class down through a model, convolution by convolution, to the kernels that lead to it.

It walks down the operations that the model runs, so branches, shortcuts and subclassed models need no adaption. What is
passed down is which channels count, as a tensor of zeros and ones of the shape of the features. Batch norm, activations
and pooling keep the channels, a concatenation splits them, a sum passes them to all its terms.
"""

from dataclasses import dataclass

import tensorflow as tf

from tfvid.core.errors import ModelError
from tfvid.explain.propagation import operations as ops
from tfvid.explain.propagation.recording import Recording
from tfvid.explain.propagation.walk import one_to_one, ordinary, summed_to, walk
from tfvid.explain.pyramids.kernels import of_class, of_kernels

METHOD = "a class feature pyramid"
INSTEAD = "use 'grad_cam', 'layer_cam' or 'excitation_backprop'"
POOLS = ("MaxPool", "MaxPoolV2", "MaxPool3D", "AvgPool", "AvgPool3D")
LINEAR = ("Conv3D", "MatMul", "BatchMatMulV2", "BatchMatMulV3")
REDUCTIONS = ("Mean", "Sum", "Max", "Min")


@dataclass(frozen=True)
class Kernels:
    """The kernels of one convolution that count.

    Attributes:
      path: the path of its layer.
      level: the number of convolutions from here to the classifier, on the longest way, itself included; from 1.
      counts: float32 `(B, K)`, 1 for kernels that count, otherwise 0.
      features: the features that the kernels make, after activation, float32 `(B, T', H', W', K)`.
    """

    path: str
    level: int
    counts: tf.Tensor
    features: tf.Tensor


def back_step(recording: Recording, start: tf.Tensor, theta: float, depth: int | None) -> list[Kernels]:
    """Returns the kernels that lead to a class, of the convolutions nearest to the classifier.

    Args:
      recording: a run of the model.
      start: float32 `(B, classes)`, 1 for the class.
      theta: the threshold, in [0, 1].
      depth: the number of levels; None for all.

    Raises:
      ModelError: an operation without a rule, with the name of its layer, or no 3-D convolution.
    """
    steps = BackStep(recording, theta, depth)
    walk(recording, start, steps.rule)
    if not steps.found:
        raise ModelError(f"the model has no 3-D convolution below its classifier, as {METHOD} needs; {INSTEAD}")
    return sorted(steps.found, key=lambda kernels: kernels.level)


class BackStep:
    """The rule of each operation.

    Args:
      recording: a run of the model.
      theta: the threshold, in [0, 1].
      depth: the number of levels; None for all.

    Attributes:
      found: the kernels of the convolutions that were reached.
    """

    def __init__(self, recording: Recording, theta: float, depth: int | None):
        self.recording, self.theta = recording, theta
        self.found: list[Kernels] = []
        self._level: dict[str, int] = {}  # of convolutions, by the name of the operation
        self._above: set[str] = set()  # operations above the classifier's linear layer, and this layer
        self._find_levels()
        self.depth = depth or max(self._level.values(), default=1)

    def _find_levels(self):
        levels, above = {self.recording.logits.ref(): 0}, {self.recording.logits.ref()}
        for operation in reversed(self.recording.operations):
            known = [levels[y.ref()] for y in operation.outputs if y.ref() in levels]
            if not known:
                continue
            level, is_above = max(known), any(y.ref() in above for y in operation.outputs)
            if is_above:
                self._above.add(operation.name)
            elif operation.type == "Conv3D":
                level += 1
                self._level[operation.name] = level
            for x in self.recording.live_inputs(operation):
                levels[x.ref()] = max(levels.get(x.ref(), 0), level)
                if is_above and not self._is_linear(operation):
                    above.add(x.ref())

    def _is_linear(self, operation) -> bool:
        """Whether it is a dense layer or a 3-D convolution."""
        if operation.type not in LINEAR:
            return False
        weights = operation.inputs[1]
        return weights.shape.rank == (5 if operation.type == "Conv3D" else 2) and not self.recording.is_live(weights)

    def rule(self, operation, of_outputs):
        """Passes on which channels count, see `walk`."""
        of_outputs = [None if m is None else tf.sign(m) for m in of_outputs]
        kind, is_above = operation.type, operation.name in self._above
        if self._is_linear(operation):
            return self._of_linear(operation, of_outputs[0])
        if kind in ops.IDENTITIES:
            return one_to_one(operation, of_outputs)
        if kind in POOLS:
            return [(operation.inputs[0], _spread(of_outputs[0], operation))]
        if kind in REDUCTIONS:
            x = tf.identity(operation.inputs[0])
            total = tf.reduce_sum(x, operation.inputs[1], operation.get_attr("keep_dims"))
            return [(operation.inputs[0], tf.gradients(total, x, tf.cast(of_outputs[0], x.dtype))[0])]
        if kind in ops.MOVES and self._keeps_channels(operation) or is_above and kind in ops.AFFINE:
            return ordinary(operation, of_outputs)
        if kind in (*ops.ELEMENTWISE, "Select", "SelectV2"):
            floats = [x for x in self.recording.live_inputs(operation) if x.dtype.is_floating]
            return [(x, tf.cast(summed_to(of_outputs[0], x), x.dtype)) for x in floats]
        return self.recording.refuse(operation, METHOD, INSTEAD)

    def _keeps_channels(self, operation) -> bool:
        """Whether a reshape leaves places and channels apart. A flattened map has one unit for each place."""
        if operation.type != "Reshape":
            return True
        before, after = operation.inputs[0].shape, operation.outputs[0].shape
        if before.rank is None or after.rank is None:
            return False
        return before[-1] == after[-1] or sum(size != 1 for size in before[1:]) <= 1

    def _of_linear(self, operation, m):
        x, w = (tf.cast(tensor, tf.float32) for tensor in operation.inputs)
        places = list(range(1, x.shape.rank - 1))
        transposed = {"MatMul": "transpose_b", "Conv3D": None}.get(operation.type, "adj_y")
        if transposed and operation.get_attr(transposed):
            w = tf.transpose(w)
        w = tf.reduce_mean(tf.reshape(w, (-1, *w.shape[-2:])), axis=0)
        m = tf.sign(tf.reduce_sum(tf.cast(m, tf.float32), places))
        if operation.name in self._above:
            counts = of_class(w, m, self.theta)
        else:
            if (level := self._level.get(operation.name)) is not None:
                self._note(operation, tf.abs(m), level)
                if level >= self.depth:
                    return []
            counts = of_kernels(w, tf.reduce_mean(x, places), m != 0, self.theta)
        counts = tf.reshape(counts, (-1, *(1 for _ in places), counts.shape[-1]))
        return [(operation.inputs[0], _everywhere(counts, operation.inputs[0]))]

    def _note(self, operation, counts, level):
        if level <= self.depth:
            features = tf.cast(activation(self.recording, operation.outputs[0]), tf.float32)
            self.found.append(Kernels(self.recording.layer_of(operation), level, counts, features))


def activation(recording: Recording, y: tf.Tensor) -> tf.Tensor:
    """Returns the features that a convolution makes of its output: after batch norm, shortcut and activation.

    Args:
      recording: a run of the model.
      y: the output of the convolution, channels last.

    Returns:
      The last function of each of its elements, in the order of its axes.
    """
    made, current, axes = y, y, list(range(y.shape.rank))
    while (operation := recording.elementwise_user(current)) is not None:
        current = operation.outputs[0]
        if operation.type == "Transpose":  # a layer of channels-first features
            axes = [axes[axis] for axis in tf.get_static_value(operation.inputs[1])]
        if current.shape.rank == y.shape.rank:
            made = tf.transpose(current, [axes.index(axis) for axis in range(len(axes))])
    return made


def _spread(m, operation):
    """All places of a channel that counts, for the input of a pooling layer."""
    x = operation.inputs[0]
    first = b"NC" in operation.get_attr("data_format")
    places = range(2, x.shape.rank) if first else range(1, x.shape.rank - 1)
    return _everywhere(tf.reduce_max(m, list(places), keepdims=True) > 0, x)


def _everywhere(counts, x):
    """1 at all places of the channels of `x` that count, otherwise 0.

    Not by `tf.broadcast_to`: where H = W = 1, TensorFlow's graph optimiser takes it away, and the shapes do not fit.
    """
    return tf.where(counts, tf.ones_like(x), tf.zeros_like(x))
