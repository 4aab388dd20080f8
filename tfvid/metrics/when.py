"""Does a map find the event? The relevance of frames against event windows, one number a clip.

Events are int `(B, 2)`, first and one-past-last frame, (-1, -1) where not known; a clip without a known one has 0
everywhere: leave those out of a mean with `tfvid.metrics.localization.known_events`.
"""

import numpy as np

from tfvid.metrics.checks import checked_events, checked_maps
from tfvid.metrics.overlap import overlap


def frame_relevance(maps) -> np.ndarray:
    """How relevant each frame is, the mean of its map with zero for values below: `(B, T, H, W)` to float64 `(B, T)`.

    For maps normalised frame by frame it says how much of a frame is relevant, not how relevant frames are.
    """
    return np.maximum(checked_maps(maps), 0).mean(axis=(2, 3), dtype=np.float64)


def temporal_pointing(maps, event) -> np.ndarray:
    """1 where the most relevant frame lies in the event, else 0; larger is better.

    Where several frames are the most relevant, the share of them that lies in the event.

    Args:
      maps: `(B, T, H, W)`; values below zero count as zero.
      event: int `(B, 2)`.

    Returns:
      Float32 `(B,)` in [0, 1].

    Raises:
      TfvidError: shapes that do not fit, NaN in a map, an event that does not lie in the clip.
    """
    relevance, within = _relevance_and_event(maps, event)
    largest = relevance == relevance.max(axis=1, keepdims=True)
    return (np.sum(largest & within, axis=1) / largest.sum(axis=1)).astype(np.float32)


def temporal_iou(maps, event, threshold: float | None = None) -> np.ndarray:
    """Intersection over union of the most relevant frames and the event; larger is better.

    That of a mask `(B, T)` with its event is `tfvid.metrics.localization.temporal_iou`.

    Args:
      maps: `(B, T, H, W)`; values below zero count as zero.
      event: int `(B, 2)`.
      threshold: None takes as many frames as the event has (equally relevant ones at the limit by shares, as if
        drawn); a number in [0, 1) those above this share of the largest relevance.

    Returns:
      Float32 `(B,)` in [0, 1].

    Raises:
      TfvidError: as `temporal_pointing`, or a threshold out of range.
    """
    return overlap(*_relevance_and_event(maps, event), threshold)


def average_precision(maps, event) -> np.ndarray:
    """Average precision of ranking the event's frames before the others by relevance; larger is better.

    The mean, over the event's frames, of the share of event frames among all that are at least as relevant. A map that
    is equal in all frames has the event's share of the clip.

    Args:
      maps: `(B, T, H, W)`; values below zero count as zero.
      event: int `(B, 2)`.

    Returns:
      Float32 `(B,)` in [0, 1].

    Raises:
      TfvidError: as `temporal_pointing`.
    """
    relevance, within = _relevance_and_event(maps, event)
    before = relevance[:, np.newaxis] >= relevance[:, :, np.newaxis]  # (B, T, S): frame s is as relevant as t
    precision = np.sum(before & within[:, np.newaxis], axis=2) / before.sum(axis=2)
    return (np.sum(precision * within, axis=1) / np.maximum(within.sum(axis=1), 1)).astype(np.float32)


def _relevance_and_event(maps, event) -> tuple[np.ndarray, np.ndarray]:
    """Relevance `(B, T)` and which frames are of the event, bool `(B, T)`."""
    relevance = frame_relevance(maps)
    event, t = checked_events(event, np.shape(maps)), np.arange(relevance.shape[1])
    return relevance, (t >= event[:, :1]) & (t < event[:, 1:])
