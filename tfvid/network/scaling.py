"""Scales clips in [0, 1] to the values that a model expects, and orders their colours."""

from typing import Any

import tensorflow as tf

from tfvid.core.errors import TfvidError, warn_caller
from tfvid.network.input_range import UNSCALED, agreed
from tfvid.network.model_format import checked_range

# Clips may lie outside [0, 1] by this much: measures add noise to them. Clips of other ranges lie further outside.
SLACK = 0.5


class Scaling:
    """The map from clips in [0, 1], RGB, to the values that a model takes.

    Args:
      input_range: the values (low, high) that the model expects for black and white; clips in [0, 1] are scaled
        to them, other clips raise an error. None: the model gets clips unchanged. "auto": what the model's first layers
        say, see `tfvid.network.input_range`, from `settle` on; None if they say nothing.
      channels: the colour order that the model expects, "rgb" or "bgr".

    Raises:
      TfvidError: another value of `input_range`.
    """

    def __init__(self, input_range, channels: str):
        self.input_range: Any = checked_range(input_range)
        self.channels = channels
        self._unused_range: Any = None  # what the first layers say, if the first clips disagree

    def settle(self, clips: tf.Tensor, ranges: set):
        """Replaces "auto" by a range, once, and checks the range of the clips.

        If the layers say a range and the clips lie outside [0, 1], the caller has scaled the clips already: the model
        gets clips unchanged, with a warning. If branches of the model disagree, the same.

        Args:
          clips: the first clips, float32.
          ranges: what the branches of the model say, from `read_ranges`.
        """
        if self.input_range == "auto":
            read = agreed(ranges)
            self.input_range = read if _is_unit(clips) else None
            if read is None and ranges - {UNSCALED} and _is_unit(clips):
                warn_caller(_disagreement(ranges))
            elif read is not None and self.input_range is None:
                low, high = self._unused_range = read
                warn_caller(
                    f"expected clips in [0, 1], got {_values(clips)}; they are given to the model as they are, and its "
                    f"first layers take {low:g} to {high:g}; input_range=None says that this is right"
                )
        self.check(clips)

    def check(self, clips: tf.Tensor):
        """Warns of clips in [0, 1] after clips of another range.

        Raises:
          TfvidError: clips outside [0, 1] that would be scaled.
        """
        if self._unused_range not in (None, (0.0, 1.0)) and _is_unit(clips) and tf.reduce_max(clips) > 0:
            low, high = self._unused_range
            warn_caller(
                f"got clips of {_values(clips)} after clips outside [0, 1]; they are given to the model as they are, "
                f"and its first layers take {low:g} to {high:g}; input_range=({low:g}, {high:g}) scales such clips"
            )
        if self.input_range is not None and not _is_unit(clips):
            low, high = self.input_range
            raise TfvidError(
                f"expected clips in [0, 1], which are scaled to the model's {low:g} to {high:g}, got {_values(clips)}; "
                "input_range=None gives the model clips as they are"
            )

    def __call__(self, clips: tf.Tensor) -> tf.Tensor:
        """Returns the values that the model expects: ``clips * (high - low) + low``, colours in the model's order."""
        if self.channels == "bgr":
            clips = tf.reverse(clips, axis=[-1])
        low, high = self.input_range or (0.0, 1.0)
        return clips if (low, high) == (0.0, 1.0) else clips * (high - low) + low


def _is_unit(clips: tf.Tensor) -> bool:
    """Whether clips are in [0, 1], within `SLACK`."""
    return bool(tf.reduce_min(clips) >= -SLACK) and bool(tf.reduce_max(clips) <= 1 + SLACK)


def _values(clips: tf.Tensor) -> str:
    return f"{float(tf.reduce_min(clips)):g} to {float(tf.reduce_max(clips)):g}"


def _disagreement(ranges: set) -> str:
    """The warning for branches that say different ranges."""
    low, high = max(ranges - {UNSCALED})
    said = " and ".join(f"{low:g} to {high:g}" for low, high in sorted(ranges - {UNSCALED}))
    unscaled = "; another branch uses the clips unscaled" if UNSCALED in ranges else ""
    return (
        f"the model's first layers take {said}{unscaled}; clips in [0, 1] are given to the model as they are; "
        f"say the range that the model takes, e.g. input_range=({low:g}, {high:g}), or input_range=None for clips as "
        "they are"
    )
