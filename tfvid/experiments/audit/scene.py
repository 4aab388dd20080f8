"""What moves in a clip, and its still background: the parts of a clip that interventions swap or remove."""

from dataclasses import dataclass

import cv2
import numpy as np

from tfvid.metrics.localization import inside_boxes

THRESHOLD = 0.1  # a pixel moves if it differs from the clip's median frame by more than this share of the range


@dataclass(frozen=True)
class Scene:
    """The parts of a clip.

    Attributes:
      foreground: bool `(T, H, W)`, the pixels of the objects: those in boxes, or those that move.
      background: float32 `(H, W, C)`, the still background of the clip.
      other: float32 `(H, W, C)`, the still background of a clip of another class; None if there is none.
    """

    foreground: np.ndarray
    background: np.ndarray
    other: np.ndarray | None = None


def scene_of(clip: np.ndarray, boxes: np.ndarray | None = None, other: np.ndarray | None = None) -> Scene:
    """Divides a clip into foreground and background.

    Args:
      clip: float32 `(T, H, W, C)` in [0, 1].
      boxes: `(T, N, 4)`, (top, left, bottom, right) in pixels, NaN if an object is absent. If the clip has a box, the
        foreground is what lies in its boxes; without any, or with None, it is what moves.
      other: see `Scene`.
    """
    if boxes is not None and boxes.size and np.isfinite(boxes).all(axis=-1).any():
        foreground = inside_boxes(boxes[np.newaxis], *clip.shape[1:3])[0]
    else:
        foreground = moving_pixels(clip)
    return Scene(foreground, still_background(clip, foreground), other)


def moving_pixels(clip: np.ndarray, threshold: float = THRESHOLD) -> np.ndarray:
    """Returns the pixels that differ from the median frame of the clip, and those near them: bool `(T, H, W)`.

    "Near" is half of a sixteenth of the shorter side. If the camera moves, this is most of the frame.

    Args:
      clip: float32 `(T, H, W, C)` in [0, 1].
      threshold: the largest difference of a colour that counts as still.
    """
    difference = np.abs(clip - np.median(clip, axis=0)).max(axis=-1)
    moving = (difference > threshold).astype(np.uint8)
    side = min(clip.shape[1:3]) // 16 | 1  # odd, so that the area grows equally to all sides
    return np.stack([cv2.dilate(frame, np.ones((side, side), np.uint8)) for frame in moving]).astype(bool)


def still_background(clip: np.ndarray, foreground: np.ndarray) -> np.ndarray:
    """Returns what a clip shows behind its foreground, float32 `(H, W, C)`.

    A pixel is the (lower) median of its values in the frames in which it is not foreground. A pixel that is always
    foreground has the mean colour of all others.

    Args:
      clip: float32 `(T, H, W, C)`.
      foreground: bool `(T, H, W)`.
    """
    seen = np.sum(~foreground, axis=0)
    ordered = np.sort(np.where(foreground[..., np.newaxis], np.inf, clip), axis=0)  # hidden values come last
    middle = np.maximum(seen - 1, 0) // 2
    still = np.take_along_axis(ordered, middle[np.newaxis, ..., np.newaxis], axis=0)[0]
    hidden = seen == 0
    still[hidden] = clip.mean(axis=(0, 1, 2)) if hidden.all() else still[~hidden].mean(axis=0)
    return still.astype(np.float32)
