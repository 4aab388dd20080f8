"""Which frames of a video make a clip."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from math import ceil, floor, inf

import numpy as np

_ROUNDING = 1e-6  # of a frame: 0.28 s at 25 frames a second are 7 frames, though 0.28 * 25 is above 7 in binary


def even_indices(count: int, num_frames: int) -> np.ndarray:
    """Indices of `num_frames` frames spread evenly over `count`, the first and the last included.

        indices = round(linspace(0, count - 1, num_frames))

    in float64. A tie (x.5) goes to the even neighbour, as `numpy.round` does: of 4 frames, 3 are 0, 2, 3 (1.5
    goes up to 2), and of 6 frames, 3 are 0, 2, 5 (2.5 goes down to 2). Where `count` is below `num_frames`,
    frames are repeated, still in order. One frame is the first.

    Args:
      count: frames there are, 1 or more.
      num_frames: frames wanted, T, 1 or more.

    Returns:
      int64 `(T,)`, in [0, count).
    """
    if count < 1 or num_frames < 1:
        raise ValueError(f"count and num_frames must be 1 or more, got {count} and {num_frames}")
    return np.round(np.linspace(0.0, count - 1.0, num_frames)).astype(np.int64)


def frame_range(start: float, stop: float | None, fps: float) -> tuple[int, int | None]:
    """The frames that are on screen between two times: frame k is on screen from k / fps to (k + 1) / fps.

    Args:
      start: in seconds, 0 or more.
      stop: in seconds, above `start`; None for the end of the video.
      fps: frames a second, the same for the whole video.

    Returns:
      First frame, 0-based, and one past the last; None for the end of the video.
    """
    first = floor(start * fps + _ROUNDING)
    return first, None if stop is None else max(ceil(stop * fps - _ROUNDING), first + 1)


def frames_between(start: float, stop: float | None, times: Sequence[float]) -> tuple[int, int | None]:
    """The frames that are on screen between two times, where each frame is on screen until the next one is.

    Args:
      start: in seconds, 0 or more.
      stop: in seconds, above `start`; None for the end of the video.
      times: when each frame is first on screen, in seconds, ascending; the last frame stays as long as the one before.

    Returns:
      First frame, 0-based, and one past the last; None for the end of the video. Where the video has ended by `start`,
      the first is the number of its frames.
    """
    end = 2 * times[-1] - times[-2] if len(times) > 1 else inf
    first = bisect_right(times, start + _ROUNDING) - 1 if start < end else len(times)
    return first, None if stop is None else max(bisect_left(times, stop - _ROUNDING), first + 1)
