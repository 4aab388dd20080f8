"""Localization in time: the relevance of frames against event windows, one number for each clip.

Events are int `(B, 2)`, the first and one past the last frame, (-1, -1) if unknown. A clip with an unknown event has
the value 0; exclude it from a mean by `tfvid.metrics.localization.known_events`.
"""

import numpy as np

from tfvid.metrics.checks import checked_events, checked_maps
from tfvid.metrics.overlap import overlap


def frame_relevance(maps) -> np.ndarray:
    """Returns the relevance of each frame, the mean of the positive part of its map: float64 `(B, T)`.

    For maps that are normalised by frame, it is the share of the frame that is relevant.

    Args:
      maps: `(B, T, H, W)`.
    """
    return np.maximum(checked_maps(maps), 0).mean(axis=(2, 3), dtype=np.float64)


def temporal_pointing(maps, event) -> np.ndarray:
    """Returns 1 if the most relevant frame lies in the event, else 0; larger is better.

    Of several most relevant frames, it is the share that lies in the event.

    Args:
      maps: `(B, T, H, W)`; negative values count as zero.
      event: int `(B, 2)`, the first and one past the last frame; (-1, -1) if unknown.

    Returns:
      Float32 `(B,)` in [0, 1].

    Raises:
      TfvidError: shapes that do not fit, NaN in a map, or an event outside the clip.
    """
    relevance, within = _relevance_and_event(maps, event)
    largest = relevance == relevance.max(axis=1, keepdims=True)
    return (np.sum(largest & within, axis=1) / largest.sum(axis=1)).astype(np.float32)


def temporal_iou(maps, event, threshold: float | None = None) -> np.ndarray:
    """Returns the intersection over union of the most relevant frames and the event; larger is better.

    `tfvid.metrics.localization.temporal_iou` is that of a mask `(B, T)`.

    Args:
      maps: `(B, T, H, W)`; negative values count as zero.
      event: int `(B, 2)`, the first and one past the last frame; (-1, -1) if unknown.
      threshold: a number in [0, 1): frames above this share of the largest relevance count. None: as many frames as the
        event has; equally relevant frames at the limit count in equal shares.

    Returns:
      Float32 `(B,)` in [0, 1].

    Raises:
      TfvidError: shapes that do not fit, NaN in a map, an event outside the clip, or a threshold out of range.
    """
    return overlap(*_relevance_and_event(maps, event), threshold)


def average_precision(maps, event) -> np.ndarray:
    """Returns the average precision of finding the event's frames by their relevance; larger is better.

    It is the mean, over the event's frames, of the share of event frames among all frames that are at least as
    relevant. For a map with equal frames, it is the event's share of the clip.

    Args:
      maps: `(B, T, H, W)`; negative values count as zero.
      event: int `(B, 2)`, the first and one past the last frame; (-1, -1) if unknown.

    Returns:
      Float32 `(B,)` in [0, 1].

    Raises:
      TfvidError: shapes that do not fit, NaN in a map, or an event outside the clip.
    """
    relevance, within = _relevance_and_event(maps, event)
    before = relevance[:, np.newaxis] >= relevance[:, :, np.newaxis]  # (B, T, S): frame s is as relevant as t
    precision = np.sum(before & within[:, np.newaxis], axis=2) / before.sum(axis=2)
    return (np.sum(precision * within, axis=1) / np.maximum(within.sum(axis=1), 1)).astype(np.float32)


def _relevance_and_event(maps, event) -> tuple[np.ndarray, np.ndarray]:
    """Returns the relevance, `(B, T)`, and which frames belong to the event, bool `(B, T)`."""
    relevance = frame_relevance(maps)
    event, t = checked_events(event, np.shape(maps)), np.arange(relevance.shape[1])
    return relevance, (t >= event[:, :1]) & (t < event[:, 1:])
