"""Does a map equal the true effect of the scene's parts on the score?

A box says where the object is, not what the model uses. Where the scene can be drawn again without the object, or with
the object at rest, the effect of each region is known: the score of the clip minus the score of the clip in which this
region shows the other scene. A map is right as far as its regions have the order of these effects.
"""

from collections.abc import Callable

import numpy as np

from tfvid.core.errors import TfvidError
from tfvid.metrics.checks import checked_maps
from tfvid.metrics.similarity import spearman

GRID = (4, 4, 4)


def true_effects(score: Callable, clips, others, grid: tuple[int, ...] = GRID) -> np.ndarray:
    """Returns the true effect of each region of a grid: the score that is lost when it shows the other scene.

    Args:
      score: a function of clips, float `(B, T, H, W, C)`, to the score of one fixed class of each clip, `(B,)`.
      clips: float `(B, T, H, W, C)`.
      others: the same scenes after an intervention, for instance without the object, in the shape of `clips`; see
        `tfvid.MovingShapes`, `without`.
      grid: the number of windows of frames, rows and columns.

    Returns:
      Float32 `(B, *grid)`; 0 where both scenes are the same. It needs a score for each region that differs in a clip,
      and one for the clips.

    Raises:
      TfvidError: shapes that do not fit.
    """
    clips, others = np.asarray(clips, np.float32), np.asarray(others, np.float32)
    if clips.shape != others.shape:
        raise TfvidError(f"others: expected the shape of the clips, {clips.shape}, got {others.shape}")
    whole = np.asarray(score(clips), np.float32)
    effects = np.zeros((len(clips), *grid), np.float32)
    for place, region in _regions(clips.shape[1:4], grid):
        changed = clips.copy()
        changed[:, *region] = others[:, *region]
        if (changed != clips).any():
            effects[:, *place] = whole - np.asarray(score(changed), np.float32)
    return effects


def region_energy(maps, grid: tuple[int, ...] = GRID) -> np.ndarray:
    """Returns the positive part of each map in each region of a grid, as a share of its total.

    Args:
      maps: `(B, T, H, W)`.
      grid: the number of windows of frames, rows and columns.

    Returns:
      Float32 `(B, *grid)`, 0 or more; zeros for a map without positive values.

    Raises:
      TfvidError: another shape, or NaN; a grid finer than the map.
    """
    maps = np.maximum(checked_maps(maps).astype(np.float64), 0)
    energy = np.zeros((len(maps), *grid))
    for place, region in _regions(maps.shape[1:], grid):
        energy[:, *place] = maps[:, *region].sum(axis=(1, 2, 3))
    total = energy.sum(axis=(1, 2, 3), keepdims=True)
    return np.divide(energy, total, out=np.zeros_like(energy), where=total > 0).astype(np.float32)


def effect_correlation(maps, effects) -> np.ndarray:
    """Returns the rank correlation of a map's energy with the true effect, over the regions of a grid.

    Args:
      maps: `(B, T, H, W)`.
      effects: `(B, windows, rows, columns)`, from `true_effects`.

    Returns:
      Float32 `(B,)` in [-1, 1], larger is better. A map with equal energy in all regions has 0.

    Raises:
      TfvidError: shapes that do not fit, or NaN.
    """
    effects = checked_maps(effects)
    return spearman(region_energy(maps, effects.shape[1:]), effects)


def _regions(shape: tuple, grid: tuple):
    """Yields the place of each region in the grid, and its slices of (T, H, W)."""
    if len(grid) != 3 or any(not 1 <= parts <= size for parts, size in zip(grid, shape, strict=True)):
        raise TfvidError(f"grid: expected 3 numbers from 1 to the clip's {tuple(shape)}, got {tuple(grid)}")
    limits = [np.linspace(0, size, parts + 1).round().astype(int) for size, parts in zip(shape, grid, strict=True)]
    for place in np.ndindex(*grid):
        yield place, tuple(slice(edge[i], edge[i + 1]) for edge, i in zip(limits, place, strict=True))
