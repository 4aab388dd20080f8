"""Orders the axes of clips as a model expects them.

A layout is written like a pattern of einops, without the batch: ``"CTHW"``, or ``"(BT)HWC"`` where the frames are part
of the batch.
"""

from dataclasses import dataclass

import tensorflow as tf

from tfvid.core.errors import TfvidError

FRAMES_IN_BATCH = "(BT)"
EXAMPLES = "'THWC', 'CTHW', 'TCHW', 'HWTC', '(BT)HWC' or '(BT)CHW'"


# Numbers of channels that a last axis of clips may have: grey, optical flow, RGB, RGB with depth or alpha.
COLOURS = (1, 2, 3, 4)


def likely_layout(shape: tuple[int | None, ...]) -> str | None:
    """Returns the layout that a model's input seems to have, if that is not "THWC"; None if nothing speaks against it.

    It is "CTHW" or "TCHW" if the last axis has too many values for colours and the first or the second of a clip has 3,
    or 1 before square frames; "HWTC" if rows come first and are as many as columns, with fewer frames; and "(BT)HWC" or
    "(BT)CHW" for single frames.

    Args:
      shape: of the input, the batch first, None for unknown sizes.
    """
    sizes = shape[1:]
    if len(sizes) not in (3, 4):
        return None
    if len(sizes) == 3:
        return "(BT)HWC" if sizes[-1] in COLOURS else "(BT)CHW" if sizes[0] in COLOURS else None
    if sizes[-1] in COLOURS:
        rows, columns, frames, _ = sizes
        is_square = rows is not None and columns is not None and rows == columns
        return "HWTC" if is_square and frames is not None and frames < (rows or 0) else None
    is_square = sizes[-1] is not None and sizes[-1] == sizes[-2]
    for place, pattern in enumerate(("CTHW", "TCHW")):
        if sizes[place] == 3 or sizes[place] == 1 and is_square:
            return pattern
    return None


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
