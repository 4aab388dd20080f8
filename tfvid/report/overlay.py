"""Drawing an explanation on a clip: the heatmap over its frames, the strip of its mask.

Everything here returns new arrays or images; what comes in is never drawn on.
"""

import cv2
import numpy as np
from PIL import Image, ImageDraw

from tfvid.core.errors import TfvidError, unknown
from tfvid.report.style import Theme, blend

# OpenCV's map, and how much of its own colour the clip keeps under it. Under the perceptually uniform maps (and
# turbo) the clip is grey, so that all colour is heat: over a colourful clip they could not be told apart. "jet" over
# the clip in colour is how the paper's figures look.
COLORMAPS = {
    "inferno": (cv2.COLORMAP_INFERNO, 0.0),
    "viridis": (cv2.COLORMAP_VIRIDIS, 0.0),
    "turbo": (cv2.COLORMAP_TURBO, 0.0),
    "jet": (cv2.COLORMAP_JET, 1.0),
}

# Shorter and longer side a clip is shown at, in pixels: below the first, captions and strip cannot be read.
SHORT_SIDE, LONG_SIDE = 176, 360


def to_uint8(frames: np.ndarray) -> np.ndarray:
    """Frames `(T, H, W, 3)` as uint8; floats are taken as [0, 1]. NaN pixels become black."""
    frames = np.asarray(frames)
    if frames.ndim != 4 or frames.shape[-1] != 3:
        raise TfvidError(f"a clip to draw must have shape (T, H, W, 3), got {frames.shape}")
    if frames.dtype == np.uint8:
        return frames.copy()
    return (np.clip(np.nan_to_num(frames.astype(np.float32)), 0, 1) * 255 + 0.5).astype(np.uint8)


def display_size(size: tuple[int, int]) -> tuple[int, int]:
    """The (H, W) at which frames of `size` are shown: small ones whole times larger, large ones reduced."""
    height, width = size
    if min(size) < SHORT_SIDE:
        times = -(-SHORT_SIDE // min(size))
        height, width = height * times, width * times
    if max(height, width) > LONG_SIDE:
        scale = LONG_SIDE / max(height, width)
        height, width = max(1, round(height * scale)), max(1, round(width * scale))
    return height, width


def resize(frames: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """uint8 frames `(T, H, W, 3)` at `size` = (H, W): averaged when smaller, cubic when larger."""
    if frames.shape[1:3] == tuple(size):
        return frames.copy()
    smaller = size[0] * size[1] < frames.shape[1] * frames.shape[2]
    method = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return np.stack([cv2.resize(frame, size[::-1], interpolation=method) for frame in frames])


def overlay(frames: np.ndarray, heat: np.ndarray, *, colormap: str = "inferno", opacity: float = 0.75) -> np.ndarray:
    """Lays a heatmap over a clip; where there is no heat the clip shows, in grey unless the map is "jet".

    Args:
      frames: `(T, H, W, 3)`, uint8 or float in [0, 1].
      heat: `(T, h, w)` in [0, 1], resized to H x W where it differs; NaN counts as 0.
      colormap: "inferno" (perceptually uniform, the default), "viridis", "turbo", or "jet", the paper's look.
      opacity: of full heat, 0 to 1; opacity falls with heat in proportion.

    Returns:
      uint8 `(T, H, W, 3)`.

    Raises:
      TfvidError: unknown colour map, or heat of another number of frames.
    """
    if colormap not in COLORMAPS:
        raise TfvidError(unknown("colormap", colormap, COLORMAPS))
    frames = to_uint8(frames)
    heat = np.clip(np.nan_to_num(np.asarray(heat, np.float32)), 0, 1)
    if heat.ndim != 3 or len(heat) != len(frames):
        raise TfvidError(f"heat over a clip of {len(frames)} frames must be ({len(frames)}, h, w), got {heat.shape}")
    table, saturation = COLORMAPS[colormap]
    shown = []
    for frame, map_ in zip(frames, heat, strict=True):
        map_ = cv2.resize(map_, frame.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        levels = (map_ * 255 + 0.5).astype(np.uint8)
        colours = cv2.cvtColor(cv2.applyColorMap(levels, table), cv2.COLOR_BGR2RGB)
        alpha = opacity * map_[..., None]
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)[..., None]
        base = saturation * frame + (1 - saturation) * grey
        shown.append((1 - alpha) * base + alpha * colours + 0.5)
    return np.stack(shown).astype(np.uint8)


def mask_strip(
    mask: np.ndarray,
    size: tuple[int, int],
    theme: Theme,
    *,
    current: int | None = None,
    event: tuple[int, int] = (-1, -1),
    gap: int = 2,
) -> Image.Image:
    """Draws a temporal mask as a strip of one cell a frame: red perturbed (m > 0.5), green kept.

    A soft value shows as a level: the saturated part of a perturbed cell fills it from the bottom to m, that of a
    kept one from the top down to m, so that the strip also reads without colour.

    Args:
      mask: `(T,)` in [0, 1].
      size: (H, W) of the strip in pixels.
      theme: its colours.
      current: the frame to highlight, if any.
      event: [start, stop) of the known event, ruled in blue under the cells; (-1, -1) where it is not known.
      gap: pixels after each cell.

    Returns:
      An RGB image.
    """
    height, width = size
    strip = Image.new("RGB", (width, height), theme.background)
    draw = ImageDraw.Draw(strip)
    border = max(2, height // 12)
    lane = height // 3 if event[0] >= 0 else 0  # under the cells, for the event
    top, bottom = border + 1, height - lane - border - 2
    edges = np.round(np.linspace(0, width, len(mask) + 1)).astype(int)
    gap = min(gap, width // len(mask) // 4)
    for frame, value in enumerate(np.clip(mask, 0, 1).tolist()):
        left = edges[frame]
        right = max(edges[frame + 1] - gap - 1, left)  # more frames than pixels: the next cell covers this one
        perturbed = value > 0.5
        full = theme.perturbed if perturbed else theme.kept
        pale = blend(full, theme.background, 0.7)
        level = round(bottom + 1 - value * (bottom + 1 - top))
        draw.rectangle((left, top, right, bottom), fill=pale if perturbed else full)
        if level <= bottom:
            draw.rectangle((left, level, right, bottom), fill=full if perturbed else pale)
        if frame == current:
            draw.rectangle((left, 0, right, bottom + border + 1), outline=theme.ink, width=border)
    if lane:
        start, stop = event
        right = max(edges[stop] - gap - 1, edges[start])
        draw.rectangle((edges[start], height - lane // 2, right, height - 1), fill=theme.event)
    return strip
