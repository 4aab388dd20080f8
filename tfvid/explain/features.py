"""A layer's features over time and space: which layer, in what shape, and back at the clip's resolution."""

import keras
import tensorflow as tf
from keras import layers

from tfvid.errors import ModelError, unknown
from tfvid.layers import LayerCall, named_layers

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
    """What a layer returned, in one or several calls, as float32 `(B, T', H', W', K)`."""
    outputs = [tf.cast(output, tf.float32) for output in outputs]
    if outputs[-1].shape.rank == 5:
        return outputs[-1]
    if len(outputs) > 1:  # one call a frame
        return tf.stack(outputs, axis=1)
    return tf.reshape(outputs[0], (num_clips, -1, *outputs[0].shape[1:]))


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

    by_path = dict(named_layers(model))
    paths = [name] if name in by_path else [path for path in by_path if path.rpartition("/")[2] == name]
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
