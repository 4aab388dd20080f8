"""Draws a heatmap over the frames of a clip, and a temporal mask as a strip.

All functions return new arrays or images and do not modify their inputs.
"""

import itertools

import cv2
import numpy as np
from PIL import Image, ImageDraw

from tfvid.core.errors import TfvidError, unknown
from tfvid.report.style import Theme, blend

# The OpenCV colour map, and the colour saturation of the clip under it. Under the perceptually uniform maps and turbo
# the clip is grey, so that every colour belongs to the heatmap. "jet" over the clip in colour is the style of the
# paper's figures.
COLORMAPS = {
    "inferno": (cv2.COLORMAP_INFERNO, 0.0),
    "viridis": (cv2.COLORMAP_VIRIDIS, 0.0),
    "turbo": (cv2.COLORMAP_TURBO, 0.0),
    "jet": (cv2.COLORMAP_JET, 1.0),
}

# Smallest shorter side and largest longer side of a displayed clip, in pixels. Below the first, captions and strip are
# not readable.
SHORT_SIDE, LONG_SIDE = 176, 360
HATCH = 0.75  # brightness of the diagonal lines of a perturbed cell, as a share of the cell's own


def to_uint8(frames: np.ndarray) -> np.ndarray:
    """Converts frames `(T, H, W, 3)` to uint8. Floats are clipped to [0, 1]; NaN becomes black."""
    frames = np.asarray(frames)
    if frames.ndim != 4 or frames.shape[-1] != 3:
        raise TfvidError(f"a clip to draw must have shape (T, H, W, 3), got {frames.shape}")
    if frames.dtype == np.uint8:
        return frames.copy()
    return (np.clip(np.nan_to_num(frames.astype(np.float32)), 0, 1) * 255 + 0.5).astype(np.uint8)


def display_size(size: tuple[int, int]) -> tuple[int, int]:
    """Returns the display size (H, W) of frames of `size`: small ones are enlarged by a whole factor, large reduced."""
    height, width = size
    if min(size) < SHORT_SIDE:
        times = -(-SHORT_SIDE // min(size))
        height, width = height * times, width * times
    if max(height, width) > LONG_SIDE:
        scale = LONG_SIDE / max(height, width)
        height, width = max(1, round(height * scale)), max(1, round(width * scale))
    return height, width


def resize(frames: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes uint8 frames `(T, H, W, 3)` to `size` = (H, W): area average to reduce, cubic interpolation to enlarge.

    Args:
      frames: uint8 `(T, H, W, 3)`.
      size: (H, W) in pixels.
    """
    if frames.shape[1:3] == tuple(size):
        return frames.copy()
    smaller = size[0] * size[1] < frames.shape[1] * frames.shape[2]
    method = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return np.stack([cv2.resize(frame, size[::-1], interpolation=method) for frame in frames])


def overlay(frames: np.ndarray, heat: np.ndarray, *, colormap: str = "inferno", opacity: float = 0.75) -> np.ndarray:
    """Draws a heatmap over a clip. Where the heat is 0, the clip shows, in grey unless the colour map is "jet".

    Args:
      frames: `(T, H, W, 3)`, uint8 or float in [0, 1].
      heat: `(T, h, w)` in [0, 1], resized to H x W; NaN counts as 0.
      colormap: "inferno" (perceptually uniform, the default), "viridis", "turbo", or "jet", as in the paper.
      opacity: opacity at heat 1, in [0, 1]; the opacity is proportional to the heat.

    Returns:
      uint8 `(T, H, W, 3)`.

    Raises:
      TfvidError: the colour map is unknown, or the numbers of frames differ.
    """
    if colormap not in COLORMAPS:
        raise TfvidError(unknown("colormap", colormap, COLORMAPS))
    frames = to_uint8(frames)
    heat = _unit(heat)
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


def grey_levels(heat: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Returns a heatmap as grey levels, uint8 `(T, H, W)`, 255 for heat 1.

    Args:
      heat: `(T, h, w)` in [0, 1]; NaN counts as 0.
      size: (H, W).
    """
    larger = (cv2.resize(map_, size[::-1], interpolation=cv2.INTER_LINEAR) for map_ in _unit(heat))
    return np.stack([(map_ * 255 + 0.5).astype(np.uint8) for map_ in larger])


def colour_table(colormap: str) -> np.ndarray:
    """Returns the RGB colours of a colour map from heat 0 to heat 1, uint8 `(256, 3)`."""
    levels = np.arange(256, dtype=np.uint8)[:, np.newaxis]
    return cv2.cvtColor(cv2.applyColorMap(levels, COLORMAPS[colormap][0]), cv2.COLOR_BGR2RGB)[:, 0]


def _unit(heat: np.ndarray) -> np.ndarray:
    """Returns a heatmap as float32 in [0, 1]; NaN becomes 0."""
    return np.clip(np.nan_to_num(np.asarray(heat, np.float32)), 0, 1)


def mask_strip(
    mask: np.ndarray,
    size: tuple[int, int],
    theme: Theme,
    *,
    current: int | None = None,
    event: tuple[int, int] = (-1, -1),
    gap: int = 2,
) -> Image.Image:
    """Draws a temporal mask as a strip of one cell per frame: red and hatched = perturbed (m > 0.5), green = kept.

    A value m between 0 and 1 is drawn as a level: the saturated part of a perturbed cell reaches from the bottom up to
    m, and that of a kept cell from the top down to m. Levels and hatching can be read without colour.

    Args:
      mask: `(T,)` in [0, 1].
      size: (H, W) of the strip in pixels.
      theme: colours.
      current: the frame to highlight; None for none.
      event: [start, stop) of the known event, a blue line below the cells; (-1, -1) if unknown.
      gap: pixels after each cell.

    Returns:
      An RGB image.
    """
    height, width = size
    border = max(2, height // 12)
    lane = height // 3 if event[0] >= 0 else 0  # height below the cells, for the event
    top, bottom = border + 1, height - lane - border - 2
    edges = np.round(np.linspace(0, width, len(mask) + 1)).astype(int)
    gap = min(gap, width // len(mask) // 4)
    # More frames than pixels: a cell covers the one before it.
    spans = [(left, max(right - gap - 1, left)) for left, right in itertools.pairwise(edges.tolist())]
    strip = _cells(np.clip(mask, 0, 1), spans, (height, width), (top, bottom), theme)
    draw = ImageDraw.Draw(strip)
    if current is not None:
        left, right = spans[current]
        draw.rectangle((left, 0, right, bottom + border + 1), outline=theme.ink, width=border)
    if lane:
        start, stop = event
        right = max(edges[stop] - gap - 1, edges[start])
        draw.rectangle((edges[start], height - lane // 2, right, height - 1), fill=theme.event)
    return strip


def _cells(mask: np.ndarray, spans, size: tuple[int, int], rows: tuple[int, int], theme: Theme) -> Image.Image:
    """Draws the cells of a strip of `size` = (H, W): frame t in the columns `spans[t]`, between two `rows`."""
    top, bottom = rows
    strip = Image.new("RGB", size[::-1], theme.background)
    draw, is_perturbed = ImageDraw.Draw(strip), np.zeros(size, bool)
    for value, (left, right) in zip(mask.tolist(), spans, strict=True):
        perturbed = value > 0.5
        full = theme.perturbed if perturbed else theme.kept
        pale = blend(full, theme.background, 0.7)
        level = round(bottom + 1 - value * (bottom + 1 - top))
        draw.rectangle((left, top, right, bottom), fill=pale if perturbed else full)
        if level <= bottom:
            draw.rectangle((left, level, right, bottom), fill=full if perturbed else pale)
        is_perturbed[top : bottom + 1, left : right + 1] = perturbed
    pixels, (y, x) = np.array(strip), np.ogrid[: size[0], : size[1]]
    hatch = is_perturbed & ((x + y) % 6 < 2)
    pixels[hatch] = pixels[hatch] * HATCH
    return Image.fromarray(pixels)
