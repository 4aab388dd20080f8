"""A clip and its explanation as one small still, for TensorBoard's own image tab.

Rows are the clip, the clip under its heatmap and the perturbed clip, as far as there are any; the temporal mask runs
under them.
"""

import numpy as np

from tfvid.report.overlay import mask_strip, overlay, resize
from tfvid.report.style import LIGHT

COLUMNS = 8  # frames shown at most, spread evenly over the clip
CELL, GAP, STRIP = 72, 2, 18  # pixels: the longer side of a frame, between frames, the mask's height


def draw_film(
    clip: np.ndarray,
    maps: np.ndarray | None = None,
    mask: np.ndarray | None = None,
    mixing: np.ndarray | None = None,
    perturbed: np.ndarray | None = None,
    event: tuple[int, int] = (-1, -1),
) -> np.ndarray:
    """Draws the still.

    Args:
      clip: uint8 `(T, H, W, 3)`.
      maps: float `(T', h, w)`, any range; of signed maps the magnitude is shown.
      mask: `(T,)` in [0, 1].
      mixing: `(T, T)`, the perturbed frames as mixtures of the clip's.
      perturbed: uint8 `(T, H, W, 3)`, the perturbed frames themselves.
      event: [start, stop) of the known event in frames; (-1, -1) where it is not known.

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
        steps = ((shown + 0.5) * len(maps) / length).astype(int)  # each step repeated, as `GradCAM` does
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
