"""Chooses the frames of a video that make up a clip."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from math import ceil, floor, inf

import numpy as np

_ROUNDING = 1e-6  # of a frame: 0.28 s at 25 frames a second are 7 frames, though 0.28 * 25 is above 7 in binary


def even_indices(count: int, num_frames: int) -> np.ndarray:
    """Returns the indices of `num_frames` frames spread evenly over `count`, with the first and the last one.

        indices = round(linspace(0, count - 1, num_frames))

    in float64. Halves are rounded to even, as `numpy.round` does: 3 of 4 frames are 0, 2, 3 (1.5 becomes 2), and 3 of
    6 frames are 0, 2, 5 (2.5 becomes 2). If `count` is below `num_frames`, frames repeat, still in order. One frame is
    the first one.

    Args:
      count: the number of frames of the video, 1 or more.
      num_frames: the number of frames of the clip, T, 1 or more.

    Returns:
      Int64 `(T,)`, in [0, count).

    Raises:
      ValueError: a number below 1.
    """
    if count < 1 or num_frames < 1:
        raise ValueError(f"count and num_frames must be 1 or more, got {count} and {num_frames}")
    return np.round(np.linspace(0.0, count - 1.0, num_frames)).astype(np.int64)


def frame_range(start: float, stop: float | None, fps: float) -> tuple[int, int | None]:
    """Returns the frames that are visible between two times; frame k is visible from k / fps to (k + 1) / fps.

    Args:
      start: in seconds, 0 or more.
      stop: in seconds, above `start`; None for the end of the video.
      fps: frames per second, constant over the video.

    Returns:
      The first frame, 0-based, and one past the last frame; None for the end of the video.
    """
    first = floor(start * fps + _ROUNDING)
    return first, None if stop is None else max(ceil(stop * fps - _ROUNDING), first + 1)


def frames_between(start: float, stop: float | None, times: Sequence[float]) -> tuple[int, int | None]:
    """Returns the frames that are visible between two times, for a video with a varying frame rate.

    Args:
      start: in seconds, 0 or more.
      stop: in seconds, above `start`; None for the end of the video.
      times: the time at which each frame appears, in seconds, ascending. A frame is visible until the next one
        appears; the last one for as long as the one before it.

    Returns:
      The first frame, 0-based, and one past the last frame; None for the end of the video. If the video ends before
      `start`, the first frame is the number of frames.
    """
    end = 2 * times[-1] - times[-2] if len(times) > 1 else inf
    first = bisect_right(times, start + _ROUNDING) - 1 if start < end else len(times)
    return first, None if stop is None else max(bisect_left(times, stop - _ROUNDING), first + 1)
