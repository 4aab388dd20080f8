"""How the output of a layer lies on the clip: which token, place or frame each of its values belongs to.

A layer may return `(B, T', H', W', K)`, `(B, H', W', K)` of single frames, channels-first `(B, K, T', H', W')`, or
tokens: `(B, N, D)` with or without class tokens, `(B, T', N, D)`, `(B T', N, D)`, `(B T' windows, N, D)`. The axes are
followed through the model's graph from the clip on, see `tfvid.network.axis_rules`, so the shape before the reshaping
that made the tokens is known, and so is what became of the class token. Where they cannot be followed,
``tokens=(T', h', w')`` says how tokens lie.
"""

from dataclasses import dataclass

import keras
import tensorflow as tf
from keras import layers

from tfvid.core.errors import TfvidError
from tfvid.network.axes import (
    PLACES,
    Axes,
    Axis,
    chain,
    features,
    flat,
    kinds,
    places,
    size_of,
)
from tfvid.network.axis_rules import axes_of_graph, with_class_tokens
from tfvid.network.tracing import CallTensors, LayerCall, Trace, source, trace_calls

CLIPS = 2  # of the symbolic run: fixed, so that all shapes in the graph are known


@dataclass(frozen=True)
class FeatureMap:
    """How a tensor lies on the clip.

    Attributes:
      axes: what each of its axes stands for.
      grid: (T', H', W'), the number of its steps, rows and columns.
    """

    axes: tuple[Axis, ...]
    grid: tuple[int, int, int]

    @property
    def has_time(self) -> bool:
        """Whether it has several steps; otherwise it is of a single frame, or of all frames together."""
        return self.grid[0] > 1

    @property
    def is_spatial(self) -> bool:
        """Whether it has several places in a frame."""
        return self.grid[1] * self.grid[2] > 1

    @property
    def is_of_tokens(self) -> bool:
        """Whether rows and columns are one axis, as in `(B, N, D)`."""
        return any({"H", "W"} <= kinds(axis) or any(atom.kind == "+" for atom in axis) for axis in self.axes)

    @property
    def class_tokens(self) -> int:
        """The number of class tokens, which are left out."""
        return sum(atom.before + atom.after for axis in self.axes for atom in axis)

    @property
    def size(self) -> int:
        """K, the number of features of a place."""
        out = 1
        for atom in flat(self.axes):
            out *= 1 if atom.kind else atom.size
        return out

    def read(self, tensor: tf.Tensor, num_clips) -> tf.Tensor:
        """Returns `tensor`, which lies like this, as float32 `(B, T', H', W', K)`, without class tokens.

        Args:
          tensor: of the shape that `axes` describe, with any number of clips.
          num_clips: B, an int or a scalar tensor.
        """
        tensor, atoms = tf.cast(tensor, tf.float32), [atom for axis in self.axes for atom in axis]
        tensor = tf.reshape(tensor, [num_clips if atom.kind == "B" else atom.size for atom in atoms])
        for number, atom in enumerate(atoms):
            if atom.kind == "+":
                index = [slice(None)] * number + [slice(atom.before, atom.size - atom.after)]
                tensor = tensor[tuple(index)]
        atoms = flat(self.axes)
        tensor = tf.reshape(tensor, [num_clips if atom.kind == "B" else atom.size for atom in atoms])
        order = sorted(range(len(atoms)), key=lambda n: (("B", *PLACES, "").index(atoms[n].kind), -atoms[n].stride))
        return tf.reshape(tf.transpose(tensor, order), (num_clips, *self.grid, self.size))


def feature_map(axes: tuple[Axis, ...]) -> FeatureMap | None:
    """Returns how a tensor of these axes lies on the clip.

    None if it is no map: it has no axis of clips, a single axis beside it, only a part of the rows, or tokens twice, as
    the weights of an attention.
    """
    whole = [atom for axis in axes for atom in axis if atom.kind == "B"]
    if len(axes) < 3 or len(whole) != 1 or whole[0].size != CLIPS:
        return None
    grid = []
    for kind in PLACES:
        atoms = chain(axes, kind)
        if atoms is None:
            return None
        grid.append(size_of(tuple(atoms)))
    return FeatureMap(axes, (grid[0], grid[1], grid[2]))


@dataclass(frozen=True)
class FeatureCall(LayerCall):
    """One call of one layer, and how what it takes and returns lies on the clip.

    Attributes:
      path: the names of the layers around the layer, and its own: ``"backbone/conv"``.
      layer: the layer.
      shape: the shape of its output, None for the number of clips; None if the output is not a single tensor.
      is_output: whether the layer's output is the model's output.
      is_new: whether no layer before it returned the same tensor.
      output: how its output lies on the clip; None if it is no map, or if that is not known.
      input: the same for its first argument, before reshapes and transposes (`tfvid.network.tracing.source`).
      tensors: both as tensors, and the operations of the call.
    """

    output: FeatureMap | None
    input: FeatureMap | None
    tensors: CallTensors


@dataclass(frozen=True)
class FeatureTrace:
    """One symbolic run of a model, in which it is known how tensors lie on the clip.

    Attributes:
      calls: the layer calls in the order in which they end.
      axes: the axes of tensors by name.
      graph: the graph.
      frame: (H, W) of the clips.
    """

    calls: list[FeatureCall]
    axes: dict[str, Axes]
    graph: tf.Graph
    frame: tuple[int, int]


def trace_features(model: keras.Model, clip_shape: tuple, tokens: tuple[int, int, int] | None = None) -> FeatureTrace:
    """Runs `model` on symbolic clips and finds how the features of its layers lie on the clip.

    Args:
      model: a built Keras model.
      clip_shape: `(T, H, W, C)`.
      tokens: (T', h', w'), how tokens lie that are T' h' w' and the class tokens before them. It decides where it fits.
    """
    trace = trace_calls(model, clip_shape, CLIPS)
    graph = trace.clips.graph
    axes = axes_of_graph(graph, trace.clips, _by_layer(trace))
    computed, calls, order = _computed_from(trace.clips), [], "channels_last"
    for call, tensors in zip(trace.calls, trace.tensors, strict=True):
        order = _data_format(call.layer) or order
        output = _map_of(_within(computed, tensors.output), axes, clip_shape[0], tokens, order)
        given = _map_of(_within(computed, source(tensors.input)), axes, clip_shape[0], tokens)
        shape = None if call.shape is None else (None, *call.shape[1:])
        parts = (call.path, call.layer, shape, call.is_output, call.is_new)
        calls.append(FeatureCall(*parts, output, given, tensors))
    return FeatureTrace(calls, axes, graph, (clip_shape[1], clip_shape[2]))


def _computed_from(clips: tf.Tensor) -> set[str]:
    """The names of the tensors that are computed from the pixels of `clips`, not from their shape alone."""
    found = {clips.name}
    for op in clips.graph.get_operations():  # an operation comes after those that it needs
        if op.type not in ("Shape", "ShapeN", "Size", "Rank") and any(tensor.name in found for tensor in op.inputs):
            found.update(tensor.name for tensor in op.outputs)
    return found


def _within(computed: set[str], tensor):
    """`tensor`, or None if it is no tensor, or of something else than the clip: a constant, another stream."""
    return tensor if tf.is_symbolic_tensor(tensor) and tensor.name in computed else None


def _map_of(tensor, axes: dict[str, Axes], frames: int, tokens, order: str | None = None) -> FeatureMap | None:
    """How a tensor lies on a clip of `frames`. `order` is that of a layer whose output could not be followed."""
    if not tf.is_tensor(tensor) or tensor.shape.rank is None or None in tuple(tensor.shape[1:]):
        return None
    shape, known = tuple(tensor.shape), axes.get(tensor.name)
    if None in shape:  # of a model of another make, which leaves the number of clips open
        shape = (CLIPS * frames if len(shape) == 4 else CLIPS, *shape[1:])
    found = feature_map(known.of) if known else None
    if tokens is not None and (found is None or found.grid != tuple(tokens)):
        said = tokens_on(shape, tokens)
        return found if said is None else feature_map(said)
    if known is None and order:
        said = _conventional(shape, order, frames, tensor.shape[0] is None)
        return None if said is None else feature_map(said)
    return found


def _conventional(shape: tuple[int, ...], order: str, frames: int, foreign: bool) -> tuple[Axis, ...] | None:
    """The axes of a tensor that could not be followed: of rank 5, what its layers mean by their `data_format`.

    Of rank 4 in a model of another make, the frames of all clips in one batch; None for all others.
    """
    first = order == "channels_first"
    *sizes, channels = (*shape[:1], *shape[2:], shape[1]) if first else shape
    if len(shape) == 5 and shape[0] == CLIPS:
        placed = [places(kind, size) for kind, size in zip(("B", *PLACES), sizes, strict=True)]
    elif len(shape) == 4 and foreign:
        batch = (*places("B", CLIPS), *places("T", frames))
        placed = [batch, places("H", sizes[1]), places("W", sizes[2])]
    else:
        return None
    return (placed[0], features(channels), *placed[1:]) if first else (*placed, features(channels))


def _data_format(layer: keras.Layer) -> str | None:
    return getattr(layer, "data_format", None) or getattr(getattr(layer, "cell", None), "data_format", None)


def tokens_on(shape: tuple[int, ...], tokens: tuple[int, int, int]) -> tuple[Axis, ...] | None:
    """Returns the axes of a tensor of tokens that lie as the caller says; None for a tensor that is not of this size.

    Args:
      shape: `(B, N, D)`, `(B, T', N, D)` or `(B T', N, D)`, of `CLIPS` clips. N may include class tokens, which then
        come first.
      tokens: (T', h', w').
    """
    steps, rows, columns = tokens
    frame = (*places("H", rows), *places("W", columns))
    clip, clips, time = (*places("T", steps), *frame), places("B", CLIPS), places("T", steps)
    layouts = {
        (CLIPS, steps * rows * columns): (clips, clip),
        (CLIPS, steps, rows * columns): (clips, time, frame),
        (CLIPS * steps, rows * columns): ((*clips, *time), frame),
    }
    for sizes, (*others, axis) in layouts.items():
        given = shape[: len(sizes)]
        if len(shape) == len(sizes) + 1 and given[:-1] == sizes[:-1] and sizes[-1] <= given[-1] <= sizes[-1] + MOST:
            return (*others, with_class_tokens(axis, given[-1] - sizes[-1], 0), features(shape[-1]))
    return None


MOST = 8  # class tokens, and registers, that `tokens` takes


def check_tokens(tokens) -> tuple[int, int, int] | None:
    """Returns `tokens` as a tuple.

    Raises:
      TfvidError: not three whole numbers of 1 or more.
    """
    if tokens is None:
        return None
    try:
        steps, rows, columns = (int(size) for size in tokens)
        whole = tuple(tokens) == (steps, rows, columns) and min(steps, rows, columns) > 0
    except (TypeError, ValueError):
        whole = False
    if not whole:
        raise TfvidError(f"tokens: expected (T', h', w'), the steps, rows and columns of tokens, got {tokens!r}")
    return steps, rows, columns


# Layers whose output has the axes of their input, whatever they run inside: loops, convolutions in steps.
KEEPING = (
    *(layers.RNN, layers.Conv1D, layers.Conv2D, layers.Conv3D, layers.DepthwiseConv1D, layers.DepthwiseConv2D),
    *(layers.SeparableConv1D, layers.SeparableConv2D),
)


def _by_layer(trace: Trace) -> dict[str, tuple[tf.Tensor, int]]:
    """The inputs of layers whose outputs have the same axes, and their axis of features, by the name of the output."""
    found = {}
    for call, tensors in zip(trace.calls, trace.tensors, strict=True):
        layer = call.layer.forward_layer if isinstance(call.layer, layers.Bidirectional) else call.layer
        if not isinstance(layer, KEEPING) or getattr(call.layer, "go_backwards", False):
            continue
        if tf.is_symbolic_tensor(tensors.output) and tf.is_symbolic_tensor(tensors.input):
            found[tensors.output.name] = tensors.input, 1 if _data_format(layer) == "channels_first" else -1
    return found
