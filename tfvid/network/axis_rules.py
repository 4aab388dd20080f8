"""How the axes of a tensor follow from those of the inputs of the operation that makes it; see `tfvid.network.axes`.

The rules are those of TensorFlow's operations, so they hold for functional and subclassed models and for code outside
of layers. An operation without a rule gives axes that are not known. Nothing is guessed from sizes.
"""

import numpy as np
import tensorflow as tf

from tfvid.network.axes import (
    PLACES,
    Atom,
    Axes,
    Axis,
    Picked,
    broadcast,
    features,
    flat,
    is_placed,
    places,
    reshaped,
    resized,
    size_of,
)

# Operations that keep the shape and move what lies in it, or that may do anything.
MOVING = {
    *("Roll", "ReverseV2", "ReverseSequence", "RandomShuffle", "TopK", "TopKV2", "FFT", "FFT2D", "FFT3D", "RFFT"),
    *("PartitionedCall", "StatefulPartitionedCall", "PyFunc", "EagerPyFunc"),
}
RESIZING = {
    *("Conv2D", "Conv3D", "DepthwiseConv2dNative", "Conv2DBackpropInput", "Conv3DBackpropInputV2"),
    *("MaxPool", "MaxPool3D", "AvgPool", "AvgPool3D", "Pad", "PadV2", "MirrorPad"),
    *("ResizeBilinear", "ResizeNearestNeighbor", "ResizeBicubic", "ResizeArea"),
}


def axes_of_graph(graph: tf.Graph, clips: tf.Tensor, by_layer: dict) -> dict[str, Axes]:
    """Returns the axes of the tensors of a model's graph, as far as they are known, by the tensor's name.

    Args:
      graph: the graph, with static shapes.
      clips: the model's input in it, `(B, T, H, W, C)`, of known sizes.
      by_layer: for tensors that a layer returns and no rule explains, as the result of a recurrent layer: by name, the
        input of the same axes but for their sizes, and the number of the axis of features.
    """
    kinds = ("B", *PLACES)
    sizes = clips.shape.as_list()
    start = Axes((*(places(kind, size) for kind, size in zip(kinds, sizes, strict=False)), features(sizes[-1])))
    known = {clips.name: start}
    for op in graph.get_operations():
        inputs = [known.get(tensor.name) for tensor in op.inputs]
        if any(inputs):
            for tensor, axes in zip(op.outputs, _outputs(op, inputs), strict=False):
                if axes is not None:
                    known[tensor.name] = axes
        for tensor in op.outputs:
            like, channels = by_layer.get(tensor.name, (None, -1))
            if tensor.name not in known and like is not None and like.name in known:
                axes = _same_but_sizes(known[like.name], tuple(tensor.shape), channels)
                if axes is not None:
                    known[tensor.name] = axes
    return known


def _outputs(op: tf.Operation, inputs: list[Axes | None]) -> list[Axes | None]:
    """The axes of all outputs of an operation."""
    shapes = [tuple(tensor.shape) if tensor.shape.rank is not None else (None,) for tensor in op.outputs]
    if op.type in MOVING or any(None in shape for shape in shapes):
        return [None] * len(shapes)
    if op.type in RULES:
        return RULES[op.type](op, inputs, shapes)
    if op.type in RESIZING:
        source = inputs[2] if op.type.endswith(("Input", "InputV2")) else inputs[0]
        return [source and _convolved(op, source, shapes[0])]
    if op.type == "IdentityN":
        return list(inputs)
    return [_elementwise(op, inputs, shape) for shape in shapes]


def _elementwise(op, inputs: list[Axes | None], shape: tuple[int, ...]) -> Axes | None:
    """The result of operations that go element by element, or along one axis without moving anything (softmax)."""
    for tensor in op.inputs:
        if tensor.shape.rank is None or tensor.shape.rank > len(shape):
            return None
    fits = [axes for axes in inputs if axes is not None and _broadcasts(axes, shape)]
    if len(fits) < sum(axes is not None for axes in inputs) or not fits:
        return None
    return broadcast(fits, shape)


def _broadcasts(axes: Axes, shape: tuple[int, ...]) -> bool:
    sizes = [size_of(axis) for axis in axes.of]
    return all(size in (1, whole) for size, whole in zip(sizes[::-1], shape[::-1], strict=False))


def _same_but_sizes(axes: Axes, shape: tuple, channels: int | None) -> Axes | None:
    """Axes of the same order with other sizes; those number `channels` are new features."""
    if len(axes.of) != len(shape) or None in shape:
        return None
    out = [resized(axes.of, number, size) for number, size in enumerate(shape)]
    if channels is not None:
        out[channels] = features(shape[channels])
    return None if None in out else Axes(tuple(out), axes.picked)  # type: ignore[arg-type]


def _convolved(op, axes: Axes, shape: tuple[int, ...]) -> Axes | None:
    channels = None
    if "Conv" in op.type:  # makes new features
        channels = 1 if op.get_attr("data_format").startswith(b"NC") else -1
    return _same_but_sizes(axes, shape, channels)


def _reshape(op, inputs, shapes):
    axes = inputs[0]
    of = reshaped(axes.of, shapes[0]) if axes else None
    return [None if of is None else Axes(of, axes.picked)]


def _transpose(op, inputs, shapes):
    order = tf.get_static_value(op.inputs[1])
    if inputs[0] is None or order is None:
        return [None]
    return [Axes(tuple(inputs[0].of[number] for number in order), inputs[0].picked)]


def _matmul(op, inputs, shapes):
    """x @ y: rows of x, columns of y; the axes before them go element by element."""
    names = ("transpose_a", "transpose_b") if op.type == "MatMul" else ("adj_x", "adj_y")
    swapped = [op.get_attr(name) for name in names]
    shape, parts = shapes[0], []
    for place, (axes, turn) in enumerate(zip(inputs, swapped, strict=True)):
        if axes is None:
            continue
        *batch, rows, columns = axes.of
        rows, columns = (columns, rows) if turn else (rows, columns)
        kept = (rows, features(shape[-1])) if place == 0 else (features(shape[-2]), columns)
        parts.append(Axes((*batch, *kept), axes.picked))
    return [broadcast(parts, shape) if all(_broadcasts(part, shape) for part in parts) else None]


def _einsum(op, inputs, shapes):
    left, right = op.get_attr("equation").decode().split("->")
    named: dict[str, Axis] = {}
    for letters, axes, tensor in zip(left.split(","), inputs, op.inputs, strict=True):
        for letter, axis in zip(_letters(letters, tensor.shape.rank), axes.of if axes else (), strict=False):
            if is_placed(axis) and is_placed(named.get(letter, ())) and named[letter] != axis:
                return [None]
            if letter not in named or is_placed(axis):
                named[letter] = axis
    letters = _letters(right, len(shapes[0]))
    out = [named.get(letter) or features(size) for letter, size in zip(letters, shapes[0], strict=True)]
    known = [axes for axes in inputs if axes is not None]
    return [Axes(tuple(out), broadcast(known, ()).picked)]


def _letters(term: str, rank: int) -> list[str]:
    """The letters of a term of an equation; "..." stands for as many numbered ones as `rank` needs, from the right."""
    if "..." not in term:
        return list(term)
    before, after = term.split("...")
    rest = rank - len(before) - len(after)
    return [*before, *(f".{number}" for number in range(rest, 0, -1)), *after]


def _reduced(op, inputs, shapes):
    axes, over = inputs[0], tf.get_static_value(op.inputs[1])
    if axes is None or over is None:
        return [None]
    over = {int(number) % len(axes.of) for number in np.ravel(over)}
    kept = [() if number in over else axis for number, axis in enumerate(axes.of)]
    if not op.get_attr("keep_dims"):
        kept = [axis for number, axis in enumerate(kept) if number not in over]
    return [Axes(tuple(kept), axes.picked)]


def _strided_slice(op, inputs, shapes):
    axes, index = inputs[0], _index(op)
    if axes is None or index is None:
        return [None]
    return [_indexed(axes, index)]


def _index(op) -> list | None:
    """The index of a `StridedSlice`, as in Python: ``[slice, int, None, ...]``."""
    begin, end, step = (tf.get_static_value(tensor) for tensor in op.inputs[1:])
    if begin is None or end is None or step is None:
        return None
    masks = {name: op.get_attr(f"{name}_mask") for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")}
    index: list = []
    for number in range(len(begin)):
        has = {name: bool(mask >> number & 1) for name, mask in masks.items()}
        if has["ellipsis"] or has["new_axis"]:
            index.append(... if has["ellipsis"] else None)
        elif has["shrink_axis"]:
            index.append(int(begin[number]))
        else:
            first = None if has["begin"] else int(begin[number])
            index.append(slice(first, None if has["end"] else int(end[number]), int(step[number])))
    return index


def _indexed(axes: Axes, index: list) -> Axes | None:
    if not any(part is ... for part in index):
        index = [*index, ...]
    place = next(number for number, part in enumerate(index) if part is ...)
    taken = sum(part is not None and part is not ... for part in index)
    index = [*index[:place], *[slice(None)] * (len(axes.of) - taken), *index[place + 1 :]]
    out: list[Axis] = []
    picked, number = list(axes.picked), 0
    for part in index:
        if part is None:
            out.append(())
            continue
        taken_axis = _taken(axes.of, number, np.arange(size_of(axes.of[number]))[part], picked)
        if taken_axis is None:
            return None
        if not isinstance(part, int):
            out.append(taken_axis)
        number += 1
    return Axes(tuple(out), tuple(picked))


def _taken(of: tuple[Axis, ...], number: int, indices: np.ndarray, picked: list[Picked]) -> Axis | None:
    """Some indices of an axis; a single frame is added to `picked`."""
    axis, size = of[number], size_of(of[number])
    indices = np.asarray(indices)
    if indices.ndim and np.array_equal(indices, np.arange(size)):
        return axis
    if not is_placed(axis):
        return features(indices.size)
    atom = axis[0]
    if len(axis) > 1:
        return None
    if atom.kind == "+":
        return _of_class_tokens(atom, np.atleast_1d(indices))
    if atom.kind not in PLACES or sum(other.kind == atom.kind for other in flat(of)) > 1:
        return None
    if indices.ndim == 0:
        picked.append(Picked(atom.kind, int(indices), size))
        return ()
    return places(atom.kind, indices.size) if _covers(indices, size) else None


def _covers(indices: np.ndarray, size: int) -> bool:
    """Whether indices go through an axis at equal distances, from end to end."""
    steps = np.unique(np.diff(indices))
    return len(steps) == 1 and steps[0] > 0 and indices[0] < steps[0] and indices[-1] >= size - steps[0]


def _of_class_tokens(atom: Atom, indices: np.ndarray) -> Axis | None:
    """Some indices of places with class tokens: all places, with or without class tokens, or class tokens alone."""
    first, last = atom.before, atom.size - atom.after
    of_places = indices[(indices >= first) & (indices < last)]
    if not of_places.size:
        return features(indices.size)
    if not np.array_equal(of_places, np.arange(first, last)) or not (np.diff(indices) > 0).all():
        return None
    before, after = int((indices < first).sum()), int((indices >= last).sum())
    return with_class_tokens(atom.inside, before, after)


def with_class_tokens(inside: Axis, before: int, after: int) -> Axis:
    """Returns an axis of places with class tokens before and after them."""
    if not before and not after:
        return inside
    return (Atom("+", before + size_of(inside) + after, 1, inside, before, after),)


def _slice(op, inputs, shapes):
    axes, begin = inputs[0], tf.get_static_value(op.inputs[1])
    if axes is None or begin is None:
        return [None]
    return [_indexed(axes, [slice(int(b), int(b) + size) for b, size in zip(begin, shapes[0], strict=True)])]


def _gather(op, inputs, shapes):
    axes, indices, number = inputs[0], tf.get_static_value(op.inputs[1]), tf.get_static_value(op.inputs[2])
    if axes is None or indices is None or indices.ndim > 1 or op.get_attr("batch_dims"):
        return [None]
    number, picked = int(number) % len(axes.of), list(axes.picked)
    taken = _taken(axes.of, number, indices, picked)
    if taken is None:
        return [None]
    rest = [taken] if indices.ndim else []
    return [Axes((*axes.of[:number], *rest, *axes.of[number + 1 :]), tuple(picked))]


def _split(op, inputs, shapes):
    """`Split` has (axis, value), `SplitV` (value, sizes, axis)."""
    axes, number = (inputs[1], op.inputs[0]) if op.type == "Split" else (inputs[0], op.inputs[2])
    number = tf.get_static_value(number)
    if axes is None or number is None:
        return [None] * len(shapes)
    start, out = 0, []
    for shape in shapes:
        part = slice(start, start + shape[int(number)])
        out.append(_indexed(axes, [*[slice(None)] * (int(number) % len(shape)), part]))
        start = part.stop
    return out


def _unpack(op, inputs, shapes):
    axes, number = inputs[0], op.get_attr("axis")
    if axes is None:
        return [None] * len(shapes)
    index = [slice(None)] * (number % len(axes.of))
    return [_indexed(axes, [*index, place]) for place in range(len(shapes))]


def _pack(op, inputs, shapes):
    number = op.get_attr("axis") % len(shapes[0])
    rest = shapes[0][:number] + shapes[0][number + 1 :]
    return [_stacked(inputs, number, rest)]


def _stacked(inputs: list[Axes | None], number: int, rest: tuple[int, ...]) -> Axes | None:
    """Tensors side by side along a new axis `number`: the frames of a clip in their order, or features."""
    known = [axes for axes in inputs if axes is not None]
    if len(known) < len(inputs) or len({axes.of for axes in known}) > 1:
        return None
    for pick in known[0].picked:
        each = [[other for other in axes.picked if other.kind == pick.kind] for axes in known]
        if any(len(found) != 1 for found in each):
            continue
        indices = np.array([found[0].place for found in each])
        whole = np.array_equal(indices, np.arange(pick.size)) or _covers(indices, pick.size)
        if whole and all(atom.kind != pick.kind for atom in flat(known[0].of)):
            picked = tuple(other for other in known[0].picked if other.kind != pick.kind)
            return Axes((*known[0].of[:number], places(pick.kind, len(known)), *known[0].of[number:]), picked)
    merged = broadcast(known, rest)
    return merged and Axes((*merged.of[:number], features(len(known)), *merged.of[number:]), merged.picked)


def _concatenated(op, inputs, shapes):
    number = tf.get_static_value(op.inputs[-1])
    parts, tensors, shape = inputs[:-1], list(op.inputs)[:-1], shapes[0]
    if number is None:
        return [None]
    number = int(number) % len(shape)
    known = [axes for axes in parts if axes is not None]
    if all(size_of(axes.of[number]) == 1 for axes in known) and len(known) == len(parts):
        without = [Axes(axes.of[:number] + axes.of[number + 1 :], axes.picked) for axes in known]
        return [_stacked(without, number, shape[:number] + shape[number + 1 :])]
    others = [Axes((*axes.of[:number], (), *axes.of[number + 1 :]), axes.picked) for axes in known]
    merged = broadcast(others, (*shape[:number], 1, *shape[number + 1 :]))
    along = _beside([axes.of[number] if axes else () for axes in parts], [tensor.shape[number] for tensor in tensors])
    if merged is None or along is None:
        return [None]
    return [Axes((*merged.of[:number], along, *merged.of[number + 1 :]), merged.picked)]


def _beside(parts: list[Axis], sizes: list[int]) -> Axis | None:
    """Axes one after the other: features, or the places of the clip among class tokens."""
    placed = [number for number, axis in enumerate(parts) if is_placed(axis)]
    if not placed:
        return features(sum(sizes))
    axis = parts[placed[0]]
    if len(placed) > 1 or any(atom.kind == "B" for atom in axis):
        return None
    before, after = sum(sizes[: placed[0]]), sum(sizes[placed[0] + 1 :])
    if len(axis) == 1 and axis[0].kind == "+":
        return with_class_tokens(axis[0].inside, axis[0].before + before, axis[0].after + after)
    return with_class_tokens(axis, before, after)


def _tiled(op, inputs, shapes):
    """`Tile` and `BroadcastTo`: axes whose size stays, or new features."""
    axes, shape = inputs[0], shapes[0]
    if axes is None or not _broadcasts(axes, shape):
        return [None]
    return [broadcast([axes], shape)]


RULES = {
    **dict.fromkeys(("Reshape", "ExpandDims", "Squeeze"), _reshape),
    **dict.fromkeys(("MatMul", "BatchMatMul", "BatchMatMulV2"), _matmul),
    **dict.fromkeys(("Mean", "Sum", "Max", "Min", "Prod", "All", "Any"), _reduced),
    **dict.fromkeys(("Split", "SplitV"), _split),
    **dict.fromkeys(("Tile", "BroadcastTo"), _tiled),
    "Transpose": _transpose,
    "Einsum": _einsum,
    "StridedSlice": _strided_slice,
    "Slice": _slice,
    "GatherV2": _gather,
    "Unpack": _unpack,
    "Pack": _pack,
    "ConcatV2": _concatenated,
}
