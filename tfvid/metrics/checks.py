"""Checks of the arguments of measures."""

import numpy as np

from tfvid.core.errors import TfvidError


def checked_maps(maps, shape: tuple | None = None) -> np.ndarray:
    """Returns maps as float32 `(B, T, H, W)`.

    Args:
      maps: numbers or booleans `(B, T, H, W)`.
      shape: the shape that they must have; None for any.

    Raises:
      TfvidError: another shape, not numbers, or values that are NaN or infinite in float32.
    """
    maps = np.asarray(maps)
    if maps.dtype.kind not in "fiub" or maps.ndim != 4 or 0 in maps.shape or shape not in (None, maps.shape):
        expected = "" if shape is None else f" of {shape}"
        raise TfvidError(f"expected maps (B, T, H, W){expected}, got {maps.dtype} {maps.shape}")
    with np.errstate(over="ignore"):  # values too large for float32 become infinite, which is checked below
        maps = maps.astype(np.float32)
    bad = np.flatnonzero(~np.isfinite(maps).all(axis=(1, 2, 3)))
    if bad.size:
        raise TfvidError(f"the map of clip {bad[0]} has NaN or infinite values ({bad.size} of {len(maps)} maps have)")
    return maps


def checked_boxes(boxes, shape: tuple) -> np.ndarray:
    """Returns boxes cut at the edges of the frame; a box outside the frame, or with a NaN, becomes NaN.

    Args:
      boxes: `(B, T, N, 4)`, (top, left, bottom, right) in pixels.
      shape: `(B, T, H, W)` of the maps.

    Returns:
      Float64 `(B, T, N, 4)`.

    Raises:
      TfvidError: another shape, or a box whose bottom is above its top or whose right is left of its left.
    """
    boxes = np.asarray(boxes, np.float64)
    if boxes.ndim != 4 or boxes.shape[:2] != shape[:2] or boxes.shape[3] != 4:
        raise TfvidError(f"expected boxes (B, T, N, 4), B and T {shape[:2]} as the maps have, got {boxes.shape}")
    turned = np.argwhere((boxes[..., 2] < boxes[..., 0]) | (boxes[..., 3] < boxes[..., 1]))
    if turned.size:
        clip, frame, box = turned[0]
        raise TfvidError(
            f"clip {clip}, frame {frame}, box {box}: expected (top, left, bottom, right), got "
            f"{boxes[clip, frame, box].tolist()}, which ends before it starts"
        )
    height, width = shape[2:]
    boxes = np.clip(boxes, 0, [height, width, height, width])
    empty = (boxes[..., 2] == boxes[..., 0]) | (boxes[..., 3] == boxes[..., 1]) | np.isnan(boxes).any(axis=-1)
    return np.where(empty[..., np.newaxis], np.nan, boxes)


def checked_events(event, shape: tuple) -> np.ndarray:
    """Returns events as int `(B, 2)`.

    Args:
      event: int `(B, 2)`, first and one-past-last frame; (-1, -1) if unknown.
      shape: `(B, T, ...)` of the maps.

    Raises:
      TfvidError: another shape, not whole numbers, or a window that is empty or outside the clip.
    """
    event = np.asarray(event)
    if event.dtype.kind not in "iu" or event.shape != (shape[0], 2):
        raise TfvidError(f"expected events, ints ({shape[0]}, 2), got {event.dtype} {event.shape}")
    start, stop = event[:, 0], event[:, 1]
    fits = ((start >= 0) & (start < stop) & (stop <= shape[1])) | ((start == -1) & (stop == -1))
    if not fits.all():
        clip = np.flatnonzero(~fits)[0]
        raise TfvidError(
            f"event of clip {clip}: expected 0 <= first < one-past-last <= {shape[1]}, or (-1, -1) where it is not "
            f"known, got {tuple(event[clip].tolist())}"
        )
    return event
