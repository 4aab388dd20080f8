"""Orders the axes of clips as a model expects them.

A layout is written like a pattern of einops, without the batch: ``"CTHW"``, or ``"(BT)HWC"`` where the frames are part
of the batch.
"""

from dataclasses import dataclass

import tensorflow as tf

from tfvid.core.errors import TfvidError

FRAMES_IN_BATCH = "(BT)"
EXAMPLES = "'THWC', 'CTHW', 'TCHW', 'HWTC', '(BT)HWC' or '(BT)CHW'"


@dataclass(frozen=True)
class Layout:
    """The order of the axes of a clip, and the conversion from tfvid's own order, `(B, T, H, W, C)`.

    Args:
      pattern: each of the letters T (time), H (rows), W (columns) and C (channels) once, e.g. "CTHW"; C may be left out
        for grey clips. "(BT)" at the start means that the frames of all clips form one batch.

    Raises:
      TfvidError: another pattern.
    """

    pattern: str = "THWC"

    def __post_init__(self):
        axes = str(self.pattern).removeprefix(FRAMES_IN_BATCH)
        expected = "HWC" if self.has_frames_in_batch else "THWC"
        if sorted(axes) not in (sorted(expected), sorted(expected.replace("C", ""))):
            raise TfvidError(f"layout: expected an order of axes such as {EXAMPLES}, got {self.pattern!r}")

    @property
    def has_frames_in_batch(self) -> bool:
        """Whether the frames of all clips form one batch."""
        return str(self.pattern).startswith(FRAMES_IN_BATCH)

    @property
    def axes(self) -> str:
        """The letters of the axes, without B: the order within one clip."""
        return self.pattern.replace(FRAMES_IN_BATCH, "T")

    def arranged(self, clips: tf.Tensor) -> tf.Tensor:
        """Returns clips `(B, T, H, W, C)` with their axes in this order.

        Raises:
          TfvidError: the layout has no axis for colours, and the clips have more than one channel.
        """
        if "C" not in self.axes:
            if clips.shape[-1] != 1:
                raise TfvidError(
                    f"layout {self.pattern!r} has no axis for colours, and the clips have {clips.shape[-1]} channels; "
                    "channels='grey' converts them"
                )
            clips = tf.squeeze(clips, axis=-1)
        order = [0, *(1 + "THWC".index(letter) for letter in self.axes)]
        if order != sorted(order):
            clips = tf.transpose(clips, order)
        if self.has_frames_in_batch:
            frame = clips.shape[2:]
            clips = tf.ensure_shape(tf.reshape(clips, tf.concat([[-1], tf.shape(clips)[2:]], axis=0)), (None, *frame))
        return clips

    def clip_shape(self, shape) -> tuple[int | None, ...]:
        """Returns `(T, H, W, C)` of clips that the model receives with the axes `shape`, the batch included.

        Unknown sizes are None; so is T where the frames are part of the batch.
        """
        sizes = dict(
            zip(self.axes.removeprefix("T") if self.has_frames_in_batch else self.axes, shape[1:], strict=True)
        )
        return tuple(sizes.get(letter, 1 if letter == "C" else None) for letter in "THWC")

    def num_axes(self) -> int:
        """Returns the rank of the tensor that the model receives, the batch included."""
        return len(self.axes) + (0 if self.has_frames_in_batch else 1)
