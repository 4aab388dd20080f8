"""Preprocessing in TensorFlow operations, for `tfvid.VideoModel(model, preprocess=...)`.

Clips stay at their own size in [0, 1] for films and maps. A model gets what it was trained on, and gradients flow back
through the preprocessing to the pixels of the clip. Any function of TensorFlow operations from clips `(B, T, H, W, C)`
to clips is a preprocessing; these are the common ones.

Class activation maps are resized from the model's frame to the clip's. A function that adds borders therefore needs the
attribute `size` and the method `back` of `letterbox`, which cuts the borders off again.
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


class letterbox:  # noqa: N801  used like the functions beside it
    """Scales frames to fit into `size` at their own aspect ratio, centred between bars.

    Args:
      size: (H, W) in pixels.
      value: of the bars, in units of the model's `input_range`.
    """

    def __init__(self, size: tuple[int, int], value: float = 0.0):
        self.size, self.value = tuple(size), value

    def __call__(self, clips: tf.Tensor) -> tf.Tensor:
        top, left, rows, columns = self._picture(clips.shape[2:4])
        clips = resize((rows, columns))(clips)
        below, right = self.size[0] - rows - top, self.size[1] - columns - left
        bars = [[0, 0], [0, 0], [top, below], [left, right], [0, 0]]
        return tf.pad(clips, bars, constant_values=self.value)

    def back(self, maps: tf.Tensor, frame: tuple[int, int]) -> tf.Tensor:
        """Returns the part of maps that shows the picture, without the bars.

        Args:
          maps: of the letterboxed frames, float32 `(B, T, *size)`.
          frame: (H, W) of the clip's frames.

        Returns:
          float32 `(B, T, rows, columns)`, the picture's size inside the bars.
        """
        top, left, rows, columns = self._picture(frame)
        return maps[:, :, top : top + rows, left : left + columns]

    def _picture(self, frame) -> tuple[int, int, int, int]:
        """The first row and column of the picture inside the bars, and its numbers of rows and columns."""
        scale = min(self.size[0] / frame[0], self.size[1] / frame[1])
        rows, columns = max(round(frame[0] * scale), 1), max(round(frame[1] * scale), 1)
        return (self.size[0] - rows) // 2, (self.size[1] - columns) // 2, rows, columns


def center_crop(size: tuple[int, int]) -> Preprocess:
    """Returns the centre of each frame. What lies outside does not reach the model, and has no effect on its scores.

    Gradients outside are zero. Class activation maps are refused, since features then do not cover the whole frame.

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


class chain:  # noqa: N801  used like the functions beside it
    """Applies `steps` one after another.

    Args:
      *steps: functions of clips. At most one of them may be a `letterbox`.

    Raises:
      TfvidError: two letterboxes, whose maps cannot be brought back to the clip.
    """

    def __init__(self, *steps: Preprocess):
        self.steps = steps
        boxes = [step for step in steps if hasattr(step, "back")]
        if len(boxes) > 1:
            raise TfvidError("chain: expected one letterbox at most, got several")
        for box in boxes:
            self.size, self.back = box.size, box.back  # type: ignore[attr-defined]

    def __call__(self, clips: tf.Tensor) -> tf.Tensor:
        for step in self.steps:
            clips = step(clips)
        return clips
