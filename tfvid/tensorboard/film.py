"""Draws a clip and its explanation as one small image for TensorBoard's image tab.

The rows are the clip, the clip with its heatmap, and the perturbed clip. A row without data is left out. The temporal
mask is drawn below the rows.
"""

import numpy as np

from tfvid.report.overlay import mask_strip, overlay, resize
from tfvid.report.style import LIGHT

COLUMNS = 8  # maximum number of frames shown, evenly spaced over the clip
CELL, GAP, STRIP = 72, 2, 18  # pixels: longer side of a frame, gap between frames, height of the mask


def draw_film(
    clip: np.ndarray,
    maps: np.ndarray | None = None,
    mask: np.ndarray | None = None,
    mixing: np.ndarray | None = None,
    perturbed: np.ndarray | None = None,
    event: tuple[int, int] = (-1, -1),
) -> np.ndarray:
    """Draws the image.

    Args:
      clip: uint8 `(T, H, W, 3)`.
      maps: float `(T', h, w)`, any range. The absolute value is shown.
      mask: `(T,)` in [0, 1].
      mixing: `(T, T)`: row t holds the weights of the clip's frames in perturbed frame t.
      perturbed: uint8 `(T, H, W, 3)`, the perturbed frames. Used if `mixing` is None.
      event: [start, stop) of the known event in frames; (-1, -1) if unknown.

    Returns:
      uint8 `(height, width, 3)`.
    """
    length, height, width = clip.shape[:3]
    scale = CELL / max(height, width)
    cell = (max(1, round(height * scale)), max(1, round(width * scale)))
    shown = np.unique(np.round(np.linspace(0, length - 1, min(COLUMNS, length))).astype(int))
    clip = resize(clip, cell)

    rows = [clip[shown]]
    if maps is not None:
        steps = ((shown + 0.5) * len(maps) / length).astype(int)  # repeats each time step, as `GradCAM` does
        heat = np.abs(maps[steps]) / (np.abs(maps).max() or 1)
        rows.append(overlay(clip[shown], heat))
    if mixing is not None:
        rows.append((np.tensordot(mixing[shown], clip, axes=1) + 0.5).astype(np.uint8))
    elif perturbed is not None:
        rows.append(resize(perturbed[shown], cell))

    gaps = ((0, 0), (0, GAP), (0, GAP), (0, 0))
    lines = [np.concatenate(list(np.pad(row, gaps, constant_values=255)), axis=1) for row in rows]
    if mask is not None:
        lines.append(np.asarray(mask_strip(mask, (STRIP, lines[0].shape[1]), LIGHT, event=event)))
    return np.concatenate(lines)
