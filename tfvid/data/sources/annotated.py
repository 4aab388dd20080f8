"""Annotations of a video's own frames, on the frames of a clip: which of them were taken, and how large they became."""

import numpy as np

from tfvid.core.sampling import even_indices
from tfvid.data.decode.clip import Sample


def frames_taken(sample: Sample, decoded: int, num_frames: int) -> np.ndarray:
    """The frames of the video that `tfvid.data.decode.video.decode_clip` takes for the clip: int64 `(T,)`, 0-based.

    Args:
      sample: whose range the clip is of.
      decoded: frames the file held in that range, see `tfvid.data.base.Clip`.
      num_frames: T.
    """
    return sample.start + even_indices(decoded, num_frames)


def event_of(taken: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Where the frames [start, stop) of a video are in a clip of its frames `taken`: int32 `(2,)`.

    First and one-past-last frame of the clip; (-1, -1) where it has none of them.
    """
    inside = np.flatnonzero((taken >= start) & (taken < stop))
    return np.array([inside[0], inside[-1] + 1] if inside.size else [-1, -1], np.int32)


def boxes_of(frames: list[np.ndarray], max_boxes: int, size: tuple[int, int], to: tuple[int, int]) -> np.ndarray:
    """Boxes of a clip, in its pixels.

    Args:
      frames: for each of T frames its boxes, float `(n, 4)`, n up to `max_boxes`: (top, left, bottom, right).
      max_boxes: N.
      size: (H, W) of the frames they were drawn on.
      to: (H, W) of the clip.

    Returns:
      float32 `(T, N, 4)`, cut off at the frame's edges; NaN where a frame has no more boxes. A box that lies outside
      the frame is none.
    """
    boxes = np.full((len(frames), max_boxes, 4), np.nan, np.float32)
    scale = np.array([to[0] / size[0], to[1] / size[1]] * 2)
    for t, drawn in enumerate(frames):
        within = np.clip(np.reshape(drawn, (-1, 4)) * scale, 0, [*to, *to])
        within = within[(within[:, 2:] > within[:, :2]).all(axis=1)]
        boxes[t, : len(within)] = within
    return boxes
