"""Localization of events and objects: temporal masks against event windows, maps against boxes."""

import numpy as np


def known_events(event) -> np.ndarray:
    """Returns which events are known, bool `(B,)`, of events, int `(B, 2)`; an unknown event is (-1, -1)."""
    return np.asarray(event)[:, 0] >= 0


def temporal_iou(mask, event, threshold: float = 0.5) -> np.ndarray:
    """Returns the intersection over union of the masked frames and the event window.

    Args:
      mask: `(B, T)` in [0, 1]; frames with m > threshold are masked.
      event: int `(B, 2)`, first and one-past-last frame of each event; (-1, -1) if unknown.
      threshold: in [0, 1).

    Returns:
      `(B,)` in [0, 1]. 0 for an unknown event; exclude these from a mean by `known_events`.
    """
    masked = np.asarray(mask) > threshold
    t, event = np.arange(masked.shape[1]), np.asarray(event)
    within = (t >= event[:, :1]) & (t < event[:, 1:])
    union = np.sum(masked | within, axis=1)
    return np.sum(masked & within, axis=1) / np.maximum(union, 1)


def random_mask(mask, seed: int, threshold: float = 0.5) -> np.ndarray:
    """Returns masks with as many frames as each mask, at random places: the baseline for masks of any form.

    Args:
      mask: `(B, T)`.
      seed: of the random places.
      threshold: frames with m > threshold are masked.

    Returns:
      Float32 `(B, T)`, binary.
    """
    masked = np.asarray(mask) > threshold
    return np.random.default_rng(seed).permuted(masked, axis=1).astype(np.float32)


def random_window(mask, seed: int, threshold: float = 0.5) -> np.ndarray:
    """Returns one window as long as each mask, at a random place: the baseline for contiguous masks.

    Args:
      mask: `(B, T)`.
      seed: of the random places.
      threshold: frames with m > threshold are masked.

    Returns:
      Float32 `(B, T)`, binary.
    """
    lengths = np.sum(np.asarray(mask) > threshold, axis=1)
    num_frames = np.shape(mask)[1]
    start = np.random.default_rng(seed).integers(0, num_frames - lengths, endpoint=True)
    return windows(start, lengths, num_frames)


def centred_window(mask, threshold: float = 0.5) -> np.ndarray:
    """Returns one window as long as each mask, in the middle of the clip: the baseline for centred events.

    Args:
      mask: `(B, T)`.
      threshold: frames with m > threshold are masked.

    Returns:
      Float32 `(B, T)`, binary.
    """
    lengths = np.sum(np.asarray(mask) > threshold, axis=1)
    num_frames = np.shape(mask)[1]
    return windows((num_frames - lengths) // 2, lengths, num_frames)


def pointing_hits(maps, boxes, margin: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """The pointing game: returns whether the maximum of each frame lies in one of its boxes.

    Args:
      maps: `(B, T, H, W)`.
      boxes: `(B, T, N, 4)`, (top, left, bottom, right) in pixels, NaN if an object is absent.
      margin: the pixels by which boxes grow on each side.

    Returns:
      hits: bool `(B, T)`.
      counted: bool `(B, T)`, the frames with a box; report ``hits[counted].mean()``.
    """
    maps = np.asarray(maps)
    boxes = np.asarray(boxes)
    width = maps.shape[3]
    peak = np.argmax(maps.reshape(*maps.shape[:2], -1), axis=-1)[..., np.newaxis]  # the first of several
    inside = _in_box(peak // width, peak % width, boxes, margin)
    return inside.any(axis=-1), has_box(boxes)


def energy_in_boxes(maps, boxes) -> np.ndarray:
    """Returns the share of the positive map inside the boxes, over the frames with a box.

    Args:
      maps: `(B, T, H, W)`; negative values count as zero.
      boxes: `(B, T, N, 4)`, (top, left, bottom, right) in pixels, NaN if an object is absent.

    Returns:
      `(B,)` in [0, 1]; 0 if the map is zero on all frames with a box.
    """
    boxes = np.asarray(boxes)
    energy = np.maximum(maps, 0) * has_box(boxes)[..., np.newaxis, np.newaxis]
    inside = inside_boxes(boxes, *energy.shape[2:])
    total = energy.sum(axis=(1, 2, 3))
    return np.divide((energy * inside).sum(axis=(1, 2, 3)), total, out=np.zeros_like(total), where=total > 0)


def inside_boxes(boxes, height: int, width: int, margin: float = 0.0) -> np.ndarray:
    """Returns which pixels have their centre in a box, grown by `margin`: bool `(B, T, H, W)`.

    Args:
      boxes: `(B, T, N, 4)`, (top, left, bottom, right) in pixels, NaN if an object is absent.
      height: H.
      width: W.
      margin: the pixels by which boxes grow on each side.
    """
    rows, columns = np.ogrid[:height, :width]
    boxes = np.asarray(boxes)[:, :, np.newaxis, np.newaxis]  # (B, T, 1, 1, N, 4)
    return _in_box(rows[..., np.newaxis], columns[..., np.newaxis], boxes, margin).any(axis=-1)


def windows(start, lengths, num_frames: int) -> np.ndarray:
    """Returns binary masks of one window each, float32 `(B, T)`, from starts and lengths, int `(B,)`."""
    t = np.arange(num_frames)
    start, lengths = start[:, np.newaxis], lengths[:, np.newaxis]
    return ((t >= start) & (t < start + lengths)).astype(np.float32)


def has_box(boxes) -> np.ndarray:
    """Returns which frames have a box, bool `(B, T)`, of boxes `(B, T, N, 4)`."""
    return ~np.isnan(boxes).any(axis=-1).all(axis=-1)


def _in_box(row, column, boxes, margin):
    """Whether the centre of a pixel lies in each box; an absent box (NaN) contains no pixel."""
    top, left, bottom, right = np.moveaxis(boxes, -1, 0)
    row, column = row + 0.5, column + 0.5
    return (row >= top - margin) & (row <= bottom + margin) & (column >= left - margin) & (column <= right + margin)
