"""Preprocessing in TensorFlow operations, for `tfvid.VideoModel(model, preprocess=...)`.

Clips stay at their own size in [0, 1] for films and maps. A model gets what it was trained on, and gradients flow back
through the preprocessing to the pixels of the clip. Any function of TensorFlow operations from clips `(B, T, H, W, C)`
to clips is a preprocessing; these are the common ones.
"""

from collections.abc import Callable

import tensorflow as tf

from tfvid.core.errors import TfvidError

Preprocess = Callable[[tf.Tensor], tf.Tensor]


def normalize(mean, std) -> Preprocess:
    """Returns ``(clips - mean) / std``.

    Args:
      mean: a number, or one for each channel, in units of the model's `input_range`.
      std: likewise, not 0.
    """
    mean, std = tf.constant(mean, tf.float32), tf.constant(std, tf.float32)
    if tf.reduce_any(std == 0):
        raise TfvidError("normalize: expected std without zeros")
    return lambda clips: (clips - mean) / std


def resize(size: tuple[int, int], method: str = "bilinear") -> Preprocess:
    """Returns clips with frames of another size; the whole frame is kept, its aspect ratio is not.

    Args:
      size: (H, W) in pixels.
      method: of `tf.image.resize`: "bilinear", "bicubic", "area" (no gradient), ...; without antialiasing.
    """

    def resized(clips):
        frames = tf.image.resize(tf.reshape(clips, (-1, *clips.shape[2:])), size, method)
        return tf.reshape(frames, (-1, clips.shape[1], *size, clips.shape[-1]))

    return resized


def letterbox(size: tuple[int, int], value: float = 0.0) -> Preprocess:
    """Returns frames scaled to fit into `size` at their own aspect ratio, centred between bars.

    Args:
      size: (H, W) in pixels.
      value: of the bars, in units of the model's `input_range`.
    """

    def boxed(clips):
        height, width = clips.shape[2:4]
        scale = min(size[0] / height, size[1] / width)
        rows, columns = max(round(height * scale), 1), max(round(width * scale), 1)
        clips = resize((rows, columns))(clips)
        top, left = (size[0] - rows) // 2, (size[1] - columns) // 2
        bars = [[0, 0], [0, 0], [top, size[0] - rows - top], [left, size[1] - columns - left], [0, 0]]
        return tf.pad(clips, bars, constant_values=value)

    return boxed


def center_crop(size: tuple[int, int]) -> Preprocess:
    """Returns the centre of each frame. What lies outside does not reach the model, and has no effect on its scores.

    Args:
      size: (H, W) in pixels, not larger than the frames.
    """

    def cropped(clips):
        height, width = clips.shape[2:4]
        if size[0] > height or size[1] > width:
            raise TfvidError(f"center_crop: expected frames of {size[0]}x{size[1]} or more, got {height}x{width}")
        top, left = (height - size[0]) // 2, (width - size[1]) // 2
        return clips[:, :, top : top + size[0], left : left + size[1]]

    return cropped


def chain(*steps: Preprocess) -> Preprocess:
    """Returns a preprocessing that applies `steps` one after another."""

    def chained(clips):
        for step in steps:
            clips = step(clips)
        return clips

    return chained
