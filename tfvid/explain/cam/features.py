"""A layer's features over time and space: which layer, in what shape, and back at the clip's resolution."""

import keras
import tensorflow as tf
from keras import layers

from tfvid.core.errors import ModelError, unknown
from tfvid.network.private_api import creation_order, running_order
from tfvid.network.tracing import LayerCall, distinct_layers, named_layers, trace_calls

# Layers that pass features on without making new ones, so that the default layer is looked for before them.
PASSING = (
    *(layers.InputLayer, layers.Rescaling, layers.Normalization),
    *(layers.BatchNormalization, layers.LayerNormalization, layers.GroupNormalization, layers.UnitNormalization),
    *(layers.MaxPooling2D, layers.MaxPooling3D, layers.AveragePooling2D, layers.AveragePooling3D),
    *(layers.GlobalMaxPooling2D, layers.GlobalMaxPooling3D),
    *(layers.GlobalAveragePooling2D, layers.GlobalAveragePooling3D),
    *(layers.Reshape, layers.Permute, layers.ZeroPadding2D, layers.ZeroPadding3D),
)


def resized(maps: tf.Tensor, shape: tuple, time: str = "nearest") -> tf.Tensor:
    """Maps `(B, T', H', W')` at another resolution, `(B, *shape)`, shape = (T, H, W).

    Bilinear in space; in time "nearest" (each step repeated) or "linear".
    """
    steps, rows, columns = tf.unstack(tf.shape(maps)[1:])  # T' is not always known when this is traced
    num_frames, height, width = shape
    maps = tf.reshape(maps, (-1, rows, columns, 1))
    maps = tf.image.resize(maps, (height, width), "bilinear")
    maps = tf.reshape(maps, (-1, steps, height * width, 1))
    method = {"nearest": "nearest", "linear": "bilinear"}[time]
    maps = tf.image.resize(maps, (num_frames, height * width), method)  # the pixels keep their places
    return tf.reshape(maps, (-1, num_frames, height, width))


NORMALIZATIONS = ("frame", "clip", "frame_range", "clip_range", None)


def normalized(maps: tf.Tensor, by: str | None) -> tf.Tensor:
    """Maps `(B, T, H, W)` divided by the largest absolute value of each "frame" or "clip".

    "frame_range" and "clip_range" subtract the minimum first. A map of zeros stays zero; None changes nothing.
    """
    if by is None:
        return maps
    unit, _, is_range = by.partition("_")
    axes = {"frame": (2, 3), "clip": (1, 2, 3)}[unit]
    if is_range:
        maps -= tf.reduce_min(maps, axis=axes, keepdims=True)
    return tf.math.divide_no_nan(maps, tf.reduce_max(tf.abs(maps), axis=axes, keepdims=True))


def per_step(outputs: list[tf.Tensor], num_clips) -> tf.Tensor:
    """What a layer returned in one use, in one call or in a call a frame, as float32 `(B, T', H', W', K)`."""
    outputs = [tf.cast(output, tf.float32) for output in outputs]
    if outputs[0].shape.rank == 5:
        return outputs[0]
    if len(outputs) > 1:  # one call a frame
        return tf.stack(outputs, axis=1)
    return tf.reshape(outputs[0], (num_clips, -1, *outputs[0].shape[1:]))


def find_uses(model: keras.Model, calls: list[LayerCall], layer: keras.Layer, clip_shape: tuple) -> list[list[int]]:
    """How often a model uses a layer on whole clips, as the two streams of a siamese network do.

    Args:
      model: the model.
      calls: its layer calls, in order.
      layer: the layer.
      clip_shape: `(T, H, W, C)`.

    Returns:
      For each use, the numbers of the layer's calls that it is made of: one call for all frames, or one a frame. The
      uses of a functional model are in the order in which they were made, which need not be the one in which they run;
      others, and uses in several `TimeDistributed` layers, in the order in which they run.

    Raises:
      ModelError: calls that are neither, or more calls on single frames than the clip has frames.
    """
    uses, waiting, count = [], [], 0
    for call in calls:
        if call.layer is layer:
            if len(call.shape or ()) == 5:
                uses.append([count])
            else:
                waiting.append(count)
            count += 1
        elif waiting and isinstance(call.layer, layers.TimeDistributed) and _is_inside(layer, call.layer):
            steps = call.shape[1]
            if not steps or len(waiting) % steps:
                raise ModelError(f"{len(waiting)} calls of layer {layer.name!r} in {call.path!r}, not one a frame")
            each = len(waiting) // steps
            uses += [waiting[use::each] for use in range(each)]
            waiting = []
    if len(waiting) == 1:
        uses.append(waiting)
    elif waiting:  # all frames of all clips in one batch each time, or one frame each time
        of_one_clip = [c.shape for c in trace_calls(model, clip_shape, 1).calls if c.layer is layer]
        in_batch = all(shape[0] is not None and shape[0] > 1 for shape in of_one_clip)
        if not in_batch and len(waiting) > clip_shape[0]:
            raise ModelError(
                f"layer {layer.name!r} is called {len(waiting)} times on single frames of a clip of {clip_shape[0]}; "
                "expected one call a frame at most, since it is not known which call belongs to which frame: use "
                "TimeDistributed in the model, or explain another layer, layer=..."
            )
        uses += [[number] for number in waiting] if in_batch else [waiting]
    return _as_made(model, layer, uses)


def _as_made(model: keras.Model, layer: keras.Layer, uses: list[list[int]]) -> list[list[int]]:
    """The uses of a functional model in the order in which its code made them, where one part of it has them all."""
    parts = [(node, node.operation) for node in running_order(model) if isinstance(node.operation, keras.Layer)]
    parts = [(node, part) for node, part in parts if part is layer or _is_inside(layer, part)]
    if len({id(part) for _, part in parts}) != 1 or len(uses) % len(parts):
        return uses
    made, each = creation_order(parts[0][1]), len(uses) // len(parts)
    order = sorted(range(len(parts)), key=lambda place: made.index(parts[place][0]))
    return [use for place in order for use in uses[place * each : (place + 1) * each]]


def _is_inside(layer: keras.Layer, outer: keras.Layer) -> bool:
    return any(inner is layer for _, inner in named_layers(outer))


def find_layer(model: keras.Model, calls: list[LayerCall], name: str | None) -> tuple[str, keras.Layer]:
    """The layer called `name`, by path or by its own name, or the default one for None; see `cam.LayerExplainer`.

    Args:
      model: the model.
      calls: its layer calls, in order.
      name: path, name or None.

    Returns:
      The layer's path and the layer.

    Raises:
      ModelError: no such layer, several of that name, or one without a feature map; lists the layers that fit. Or
        the model has channels-first layers.
    """
    check_channels_last(model)
    if name is None:
        for call in reversed(calls):
            if has_features(call) and call.is_new and not _passes(call.layer) and max(call.shape[-3:-1]) > 1:
                return call.path, call.layer
        raise ModelError("the model has no layer that makes a feature map over space; expected one of (B, T, H, W, K)")

    by_path, first_path = dict(named_layers(model)), {id(layer): path for path, layer in distinct_layers(model)}
    paths = [name] if name in by_path else [path for path in by_path if path.rpartition("/")[2] == name]
    paths = list(dict.fromkeys(first_path[id(by_path[path])] for path in paths))  # a shared layer has several
    if len(paths) > 1:
        raise ModelError(f"layer {name!r}: several of that name, say which: {', '.join(paths)}")
    if not paths:
        raise ModelError(unknown("layer", name, _fitting(calls)))
    shapes = [call.shape for call in calls if call.layer is by_path[paths[0]]]
    if not any(has_features(call) for call in calls if call.layer is by_path[paths[0]]):
        raise ModelError(
            f"layer {name!r} returns {shapes[-1] if shapes else 'nothing in this model'}, "
            f"expected (B, T, H, W, K) or (B, H, W, K); those that fit: {', '.join(_fitting(calls))}"
        )
    return paths[0], by_path[paths[0]]


def check_channels_last(model: keras.Model):
    """Raises ModelError for a model with channels-first layers: features `(B, K, T, H, W)` look like `(B, T, H, W, K)`.

    One such layer is enough, for an activation or a sum behind it does not say how its features lie.
    """
    for path, layer in named_layers(model):
        if "channels_first" in (getattr(part, "data_format", None) for part in (layer, getattr(layer, "cell", None))):
            raise ModelError(
                f"layer {path!r} is channels-first, and features are read channels-last, (B, T, H, W, K); use a method "
                "that needs none, e.g. 'gradient' or 'occlusion'"
            )


def has_features(call: LayerCall) -> bool:
    """Whether the call returns features over space: `(B, T', H', W', K)` or `(B, H', W', K)`."""
    return call.shape is not None and len(call.shape) in (4, 5) and None not in call.shape[-3:]


def _fitting(calls: list[LayerCall]) -> list[str]:
    return list(dict.fromkeys(call.path for call in calls if has_features(call)))


def _passes(layer) -> bool:
    if isinstance(layer, layers.TimeDistributed):
        return _passes(layer.layer)
    return isinstance(layer, PASSING)
