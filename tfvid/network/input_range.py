"""The range of pixel values that a model takes, read from its first operations.

A model that begins with ``Rescaling(1 / 255)`` takes 0 to 255. One that begins with ``Rescaling(2, -1)`` takes 0 to 1.
The range is read from the traced graph. So it does not matter whether the model has a `Rescaling` or `Normalization`
layer, has it inside another model or a `TimeDistributed` layer, or computes ``x / 255.`` in its own ``call``:

    y = scale * x + offset          x: the model's input, y: the input of the first other operation

The range is the one of `RANGES` that this equation maps to values of ordinary size around zero. Only constants are
read, not weights: a `BatchNormalization` says nothing about the range.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfvid.network.private_api import captured_tensors

RANGES = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0))
UNSCALED = None  # a branch that uses the values as they are
NARROWEST, LARGEST = 0.4, 10.0  # y has at least this range, and at most this absolute value
MOST_OPERATIONS = 4000  # read; the first frames of a model that loops over frames suffice

# Operations that move, drop, clip or average values, so that these stay in their range.
_MOVING = {
    *("Identity", "IdentityN", "StopGradient", "Cast", "EnsureShape", "Reshape", "Transpose", "ExpandDims", "Squeeze"),
    *("StridedSlice", "Slice", "Unpack", "Pack", "Split", "SplitV", "GatherV2", "ReverseV2", "ConcatV2"),
    *("Mean", "AvgPool", "AvgPool3D", "MaxPool", "MaxPool3D", "Minimum", "Maximum", "ClipByValue"),
    *("Pad", "PadV2", "MirrorPad", "ResizeBilinear", "ResizeNearestNeighbor", "ResizeArea", "ResizeBicubic"),
}
# Operations that do not use the size of the values: shapes, and comparisons, as masks use them.
_SILENT = {
    *("Shape", "ShapeN", "Size", "Rank", "ZerosLike", "OnesLike", "NoOp", "Assert"),
    *("Equal", "NotEqual", "Greater", "GreaterEqual", "Less", "LessEqual", "IsNan", "IsInf", "IsFinite"),
}


def read_ranges(clips: tf.Tensor) -> set[tuple[float, float] | None]:
    """Returns what each branch of a traced model says about the range of values.

    Args:
      clips: the symbolic tensor that the model was given, in its graph.

    Returns:
      Items of `RANGES`, and `UNSCALED` for a branch that uses the values as they are, e.g. a convolution of the input.
    """
    return set(_ranges(clips))


def agreed(ranges: set[tuple[float, float] | None]) -> tuple[float, float] | None:
    """Returns the range that all branches agree on, None where they disagree or say nothing.

    An unscaled branch alone says nothing. Beside a branch that takes [0, 1], it takes [0, 1], too.

    Args:
      ranges: from `read_ranges`.
    """
    said = ranges - {UNSCALED}
    agree = len(said) == 1 and (UNSCALED not in ranges or said == {RANGES[0]})
    return said.pop() if agree else None


def range_of(scale: np.ndarray, offset: np.ndarray) -> tuple[float, float] | None:
    """Returns the one of `RANGES` that ``y = scale * x + offset`` is made for; None if there is none.

    The range contains the x with y = 0, and y over the range is neither almost constant nor huge. Of several such
    ranges, it is the one with the smallest y. Subtracting colour means of 20 to 235 without a scale means 0 to 255.

    Args:
      scale: a number, or one for each channel.
      offset: like `scale`.
    """
    with np.errstate(all="ignore"):
        zero = -offset / scale
    if np.all(scale == 1) and np.all((zero > 20) & (zero < 235)):
        return RANGES[-1]
    fitting = []
    for place, (low, high) in enumerate(RANGES):
        ends = np.stack(np.broadcast_arrays(scale * low + offset, scale * high + offset))
        width, largest = np.ptp(ends, axis=0).min(), np.abs(ends).max()
        if width >= NARROWEST and largest <= LARGEST and np.all((zero >= low) & (zero <= high)):
            fitting.append((largest, place))
    return RANGES[min(fitting)[1]] if fitting else None


def _ranges(clips):
    """Yields the range that each branch says, where it ends in an operation that is neither affine nor in `_MOVING`."""
    captured = {id(inner): outer for outer, inner in captured_tensors(clips.graph)}
    waiting, seen = [(clips, np.ones(()), np.zeros(()), None)], set()
    while waiting and len(seen) < MOST_OPERATIONS:
        tensor, scale, offset, told = waiting.pop()
        for operation in tensor.consumers():
            state = (operation.name, tensor.name, scale.tobytes(), offset.tobytes(), told)
            if state in seen or operation.type in _SILENT:
                continue
            seen.add(state)
            if operation.type in _MOVING:
                waiting += [(output, scale, offset, told) for output in operation.outputs]
            elif (affine := _affine(operation, tensor, captured)) is not None:
                after = scale * affine[0], offset * affine[0] + affine[1]
                waiting.append((operation.outputs[0], *after, range_of(*after) or told))
            elif told is not None:
                yield told
            elif np.all(scale == 1) and np.all(offset == 0):
                yield UNSCALED


def _affine(operation, tensor, captured) -> tuple | None:
    """(scale, offset) of an operation on `tensor`; None if it is not affine or the numbers are not constant."""
    if operation.type not in ("Mul", "RealDiv", "AddV2", "Sub"):
        return None
    first, second = operation.inputs
    other = _per_channel(_constant(second if first is tensor else first, captured))
    if other is None or first is second:
        return None
    if operation.type == "Mul":
        return other, 0.0
    if operation.type == "AddV2":
        return 1.0, other
    if operation.type == "Sub":
        return (1.0, -other) if first is tensor else (-1.0, other)
    return (1 / other, 0.0) if first is tensor and np.all(other != 0) else None


_OF_CONSTANTS: dict[str, Callable] = {
    "Sqrt": np.sqrt,
    "Rsqrt": lambda x: 1 / np.sqrt(x),
    "Maximum": np.maximum,
    "Square": np.square,
    "Neg": np.negative,
    "Mul": np.multiply,
    "AddV2": np.add,
    "Sub": np.subtract,
    "RealDiv": np.divide,
    "Reshape": lambda x, shape: np.reshape(x, shape.astype(int)),
    "Cast": lambda x: x,
    "Identity": lambda x: x,
}


def _constant(tensor, captured) -> np.ndarray | None:
    """The value of a tensor that depends on constants only; None for other tensors."""
    value = tf.get_static_value(tensor)
    if value is not None:
        return np.asarray(value, np.float64)
    if id(tensor) in captured:
        outer = captured[id(tensor)]  # an eager tensor, or a weight, which is not constant
        known = outer.dtype.is_floating and hasattr(outer, "numpy")
        return outer.numpy().astype(np.float64) if known else None
    if tensor.op.type not in _OF_CONSTANTS:
        return None
    values = [_constant(part, captured) for part in tensor.op.inputs]
    return None if any(value is None for value in values) else _OF_CONSTANTS[tensor.op.type](*values)


def _per_channel(value: np.ndarray | None) -> np.ndarray | None:
    """A number, or one for each of three channels on the last axis; None if values differ between places."""
    if value is None or value.size == 1:
        return None if value is None else value.reshape(())
    return value.reshape(-1) if value.size == value.shape[-1] == 3 else None
