"""A layer's features over time and space: their shape, their scale, and maps at the clip's resolution."""

import tensorflow as tf

from tfvid.network.classifier import Classifier
from tfvid.network.feature_map import FeatureMap


def on_clip(maps: tf.Tensor, clips: tf.Tensor, classifier: Classifier, time: str = "nearest") -> tf.Tensor:
    """Returns maps `(B, T', H', W')` of the model's frames at the places of the clip's pixels: `(B, T, H, W)`.

    They are resized, see `resized`. The borders that the model's preprocessing adds are cut off.

    Args:
      maps: float32 `(B, T', H', W')`.
      clips: `(B, T, H, W, C)`.
      classifier: the model.
      time: "nearest" or "linear".
    """
    if (box := classifier.borders) is not None:
        maps = box.back(resized(maps, (clips.shape[1], *box.size), time), clips.shape[2:4])
    return resized(maps, clips.shape[1:4], time)


def resized(maps: tf.Tensor, shape: tuple, time: str = "nearest") -> tf.Tensor:
    """Returns maps `(B, T', H', W')` resized to `shape` (T, H, W): bilinear in space, "nearest" or "linear" in time.

    Args:
      maps: float32 `(B, T', H', W')`.
      shape: (T, H, W).
      time: "nearest" repeats steps; "linear" interpolates.
    """
    steps, rows, columns = tf.unstack(tf.shape(maps)[1:])  # T' may be unknown when this is traced
    num_frames, height, width = shape
    maps = tf.reshape(maps, (-1, rows, columns, 1))
    maps = tf.image.resize(maps, (height, width), "bilinear")
    maps = tf.reshape(maps, (-1, steps, height * width, 1))
    method = {"nearest": "nearest", "linear": "bilinear"}[time]
    maps = tf.image.resize(maps, (num_frames, height * width), method)  # resizes time only
    return tf.reshape(maps, (-1, num_frames, height, width))


NORMALIZATIONS = ("frame", "clip", "frame_range", "clip_range", None)


def normalized(maps: tf.Tensor, by: str | None) -> tf.Tensor:
    """Returns maps divided by the largest absolute value of each "frame" or "clip".

    "frame_range" and "clip_range" subtract the minimum first. A map of zeros stays zero.

    Args:
      maps: float32 `(B, T, H, W)`.
      by: one of `NORMALIZATIONS`; None returns `maps`.
    """
    if by is None:
        return maps
    unit, _, is_range = by.partition("_")
    axes = {"frame": (2, 3), "clip": (1, 2, 3)}[unit]
    if is_range:
        maps -= tf.reduce_min(maps, axis=axes, keepdims=True)
    return tf.math.divide_no_nan(maps, tf.reduce_max(tf.abs(maps), axis=axes, keepdims=True))


def laid_out(tensors: list[tf.Tensor], maps: list[FeatureMap], num_clips) -> tf.Tensor:
    """Returns the features of one use of a layer, float32 `(B, T', H', W', K)`.

    Args:
      tensors: of one call, or of one call for each frame.
      maps: how each of them lies on the clip.
      num_clips: B.
    """
    steps = [found.read(tensor, num_clips) for tensor, found in zip(tensors, maps, strict=True)]
    return steps[0] if len(steps) == 1 else tf.concat(steps, axis=1)
