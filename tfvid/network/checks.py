"""Checks of clips and class indices that a caller passes for a model."""

import numpy as np
import tensorflow as tf

from tfvid.core.errors import ModelError, TfvidError, warn_caller
from tfvid.network.described import Described
from tfvid.network.layout import likely_layout
from tfvid.network.shapes import shapes
from tfvid.network.stated import input_shape


def checked_clips(clips, model) -> tf.Tensor:
    """Returns `clips` as a float32 tensor that the model takes.

    Args:
      clips: float `(B, T, H, W, C)`, an array or a tensor.
      model: a Keras model or another callable.

    Returns:
      Float32 `(B, T, H, W, C)`.

    Raises:
      TfvidError: clips that are not floats, not of rank 5, empty, of another shape than the model's input, or not
        finite.
      ModelError: a model of several inputs, of integers, or of a fixed batch size.
    """
    clips = tf.convert_to_tensor(clips)
    if clips.shape.rank != 5 or 0 in clips.shape:
        raise TfvidError(f"expected clips of shape (B, T, H, W, C), got {tuple(clips.shape)}")
    if not clips.dtype.is_floating:
        raise TfvidError(
            f"expected float clips in the range the model was trained on, got {clips.dtype.name}; "
            "tfvid's models take tf.cast(clips, tf.float32) / 255"
        )
    if not isinstance(model, Described):
        _check_inputs(getattr(model, "inputs", None) or [])
    _check_shape(clips, input_shape(model))
    clips = tf.cast(clips, tf.float32)
    bad = np.flatnonzero(~tf.reduce_all(tf.math.is_finite(clips), axis=(1, 2, 3, 4)).numpy())
    if bad.size:
        raise TfvidError(f"clip {bad[0]} has NaN or infinite pixels ({bad.size} of {len(clips)} clips have)")
    return clips


def warn_of_layout(model):
    """Warns of a model whose input seems to have another order of axes, and of which no layout was given."""
    inner, given = (model.inner, model.description.layout) if isinstance(model, Described) else (model, "THWC")
    stated = input_shape(model) if given == "THWC" else None
    likely = None if stated is None else likely_layout(stated)
    if likely is not None:
        name = getattr(inner, "name", "model")
        warn_caller(
            f"the input of {name!r}, {stated}, looks like {likely}, and clips are given to it as (B, T, H, W, C); if "
            f"it is, set tfvid.VideoModel(model, layout={likely!r})"
        )


def _check_inputs(inputs: list):
    """Checks the symbolic inputs of a functional model."""
    if len(inputs) > 1:
        raise ModelError(
            f"expected a model with one input, clips (B, T, H, W, C), got {shapes(inputs)}; say what the inputs "
            f"{', '.join(one.name for one in inputs)} get: tfvid.VideoModel(model, clip={inputs[0].name!r}, inputs=...)"
        )
    for expected in inputs:
        if not tf.as_dtype(expected.dtype).is_floating:
            raise ModelError(
                f"expected a model of float clips, got one whose input is {expected.dtype}, which has no gradient; "
                "leave out its cast, or use tfvid.VideoModel(model) and a method that needs scores only"
            )
        if expected.shape[0] is not None:
            raise ModelError(
                f"expected a model of any batch size, got one of {expected.shape[0]} clips exactly; "
                "tfvid.VideoModel(model) runs it in batches of that size"
            )


def _check_shape(clips: tf.Tensor, expected: tuple | None):
    if expected is not None and not clips.shape.is_compatible_with(expected):
        hint, likely, usual = "", likely_layout(expected), "CTHW" if len(expected) == 5 else "THW"
        if clips.shape[-1] == 3 and expected[-1] == 1 and len(expected) == 5:
            hint = "; for a model of grey clips: tfvid.VideoModel(model, channels='grey')"
        elif likely is not None or clips.shape[-1] not in (1, 3) or expected[-1] not in (None, 1, 3):
            hint = f"; for a model with another order of axes: tfvid.VideoModel(model, layout={likely or usual!r})"
        raise TfvidError(f"the model takes clips of shape {expected}, got {tuple(clips.shape)}{hint}")


def class_indices(value, num_clips: int, num_classes: int, name: str = "target", lowest: int = 0) -> np.ndarray:
    """Returns class indices, one for each clip.

    Args:
      value: an int for all clips, or ints `(B,)`.
      num_clips: B.
      num_classes: K.
      name: the name of the argument, for the error message.
      lowest: the lowest index allowed; -1 where it stands for no class.

    Returns:
      Int32 `(B,)`.

    Raises:
      TfvidError: another type or shape, or a class that the model does not have.
    """
    value = np.asarray(value)
    if value.dtype.kind not in "iu" or value.shape not in ((), (num_clips,)):
        raise TfvidError(
            f"{name}: expected an int or ints of shape ({num_clips},), one a clip, got {value.dtype} {value.shape}"
        )
    indices = np.broadcast_to(value, (num_clips,))
    if indices.min() < lowest or indices.max() >= num_classes:
        bad = indices[(indices < lowest) | (indices >= num_classes)][0]
        raise TfvidError(f"{name}: expected classes {lowest} to {num_classes - 1}, got {bad}")
    return indices.astype(np.int32)
