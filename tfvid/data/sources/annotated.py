"""Converts annotations of the frames of a video to the frames of a clip."""

import numpy as np

from tfvid.core.sampling import even_indices
from tfvid.data.decode.clip import Sample


def frames_taken(sample: Sample, decoded: int, num_frames: int) -> np.ndarray:
    """Returns the frames that `tfvid.data.decode.video.decode_clip` chooses: int64 `(T,)`, 0-based frames of the video.

    Args:
      sample: the sample of the clip.
      decoded: number of frames in its range, see `tfvid.data.decode.clip.Clip`.
      num_frames: T.
    """
    return sample.start + even_indices(decoded, num_frames)


def event_of(taken: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Returns where the frames [start, stop) of a video are in a clip, int32 `(2,)`.

    These are the first and the one-past-last frame of the clip; (-1, -1) if the clip has none of the frames.

    Args:
      taken: the frames of the video in the clip, see `frames_taken`.
      start: first frame of the event in the video, 0-based.
      stop: one past its last frame.
    """
    inside = np.flatnonzero((taken >= start) & (taken < stop))
    return np.array([inside[0], inside[-1] + 1] if inside.size else [-1, -1], np.int32)


def boxes_of(frames: list[np.ndarray], max_boxes: int, size: tuple[int, int], to: tuple[int, int]) -> np.ndarray:
    """Returns the boxes of a clip, in its pixels.

    Args:
      frames: the boxes of each of T frames, float `(n, 4)`, n up to `max_boxes`: (top, left, bottom, right).
      max_boxes: N.
      size: (H, W) of the annotated frames.
      to: (H, W) of the clip.

    Returns:
      float32 `(T, N, 4)`, clipped to the frame; NaN where a frame has fewer boxes. Boxes outside the frame are left
      out.
    """
    boxes = np.full((len(frames), max_boxes, 4), np.nan, np.float32)
    scale = np.array([to[0] / size[0], to[1] / size[1]] * 2)
    for t, drawn in enumerate(frames):
        within = np.clip(np.reshape(drawn, (-1, 4)) * scale, 0, [*to, *to])
        within = within[(within[:, 2:] > within[:, :2]).all(axis=1)]
        boxes[t, : len(within)] = within
    return boxes
