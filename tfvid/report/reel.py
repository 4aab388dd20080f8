"""Writes and reads a reel: one image with all frames of a clip's panels, from which the page plays the film.

An animated image can be neither paused nor stepped nor synchronised with others; the frames of a reel can. Maps are
grey levels, which the page colours, so that its reader chooses colours and opacity.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from tfvid.core.errors import DataError
from tfvid.core.files import replacing
from tfvid.report.film import Panel
from tfvid.report.overlay import grey_levels, overlay

LONGEST = 16000  # pixels; the limit of WebP is 16383


CLIP, HEAT, PERTURBED = "clip", "heat", "perturbed"  # what a panel of a reel shows


def reel_panels(columns: tuple[Panel, ...], heats: Mapping[str, np.ndarray]) -> tuple[Panel, ...]:
    """Returns the panels of a reel: those of a film, with each map as grey levels instead of the clip under the map.

    Args:
      columns: of `film.panels`.
      heats: `(T, h, w)` in [0, 1] by the name of the method.
    """
    clip, *_, perturbed = columns
    size = clip.frames.shape[1:3]
    greys = (np.repeat(grey_levels(heat, size)[..., np.newaxis], 3, axis=-1) for heat in heats.values())
    return clip, *(Panel(HEAT, grey) for grey in greys), perturbed


def kinds(columns: tuple[Panel, ...]) -> tuple[str, ...]:
    """Returns what each panel of `reel_panels` shows, for the record."""
    return CLIP, *[HEAT] * (len(columns) - 2), PERTURBED


def drawn_map(panels: np.ndarray, kinds: tuple[str, ...]) -> np.ndarray:
    """Returns the clip under its first map, uint8 `(T, H, W, 3)`.

    Args:
      panels: of `read_reel`.
      kinds: `reel_panels` of the record; () for a reel of an earlier version, in which the map is drawn already.
    """
    return overlay(panels[0], panels[1, ..., 0] / np.float32(255)) if kinds else panels[1]


def grid(length: int, height: int) -> tuple[int, int]:
    """Returns the number of columns and of rows of a reel of `length` frames with a height of `height` pixels."""
    rows = min(length, LONGEST // height)
    columns = -(-length // rows)
    return columns, -(-length // columns)


def save_reel(path, panels: tuple[Panel, ...]) -> Path:
    """Writes a WebP whose cell (row, column) holds frame ``row * columns + column`` of every panel, side by side.

    Args:
      path: the file.
      panels: panels of the same size and length.

    Returns:
      The path.
    """
    side_by_side = np.concatenate([panel.frames for panel in panels], axis=2)  # (T, H, panels * W, 3)
    length, height, width, _ = side_by_side.shape
    columns, rows = grid(length, height)
    reel = Image.new("RGB", (columns * width, rows * height))
    for index, frame in enumerate(side_by_side):
        row, column = divmod(index, columns)
        reel.paste(Image.fromarray(frame), (column * width, row * height))
    with replacing(path) as temporary:
        reel.save(temporary, format="WEBP", quality=80, method=3)
    return Path(path)


def read_reel(path, length: int, size: tuple[int, int]) -> np.ndarray:
    """Reads the frames that `save_reel` wrote, with the loss of WebP compression.

    Args:
      path: the file.
      length: frames, T.
      size: (H, W) of a panel's frames.

    Returns:
      uint8 `(panels, T, H, W, 3)`.

    Raises:
      DataError: the file cannot be read, or is not a reel of such frames.
    """
    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
    except OSError as error:
        raise DataError(f"{path}: cannot read this reel ({error})") from error
    (height, width), (columns, rows) = size, grid(length, size[0])
    if len(pixels) != rows * height or pixels.shape[1] % (columns * width):
        found = f"{pixels.shape[1]}x{len(pixels)} pixels"
        raise DataError(f"{path}: expected a reel of {length} frames of {width}x{height} pixels, got {found}")
    cells = pixels.reshape(rows, height, columns, -1, width, 3)
    return cells.transpose(3, 0, 2, 1, 4, 5).reshape(-1, rows * columns, height, width, 3)[:, :length]
