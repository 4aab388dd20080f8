"""Similarity of two maps of the same clip: one number for each clip, for agreement of methods and sanity checks."""

import numpy as np
import tensorflow as tf
from scipy.stats import rankdata

from tfvid.core.errors import TfvidError
from tfvid.metrics.checks import checked_maps
from tfvid.metrics.ranking import ranking


def spearman(first, second) -> np.ndarray:
    """Returns Spearman's rank correlation of all voxels of two maps.

    Args:
      first: `(B, T, H, W)`.
      second: `(B, T, H, W)`.

    Returns:
      Float32 `(B,)` in [-1, 1]. A constant map has no ranks: 0 with other maps, 1 with another constant map.

    Raises:
      TfvidError: shapes that do not fit, or NaN.
    """
    return np.array([rank_correlations(pair)[0, 1] for pair in zip(*_pair(first, second), strict=True)], np.float32)


def ssim(first, second) -> np.ndarray:
    """Returns the structural similarity of two maps, the mean over frames; each map is scaled to [0, 1] first.

    Wang et al., IEEE Transactions on Image Processing 2004, by `tf.image.ssim`, in windows of 11 pixels, or of the
    frame if it is smaller.

    Args:
      first: `(B, T, H, W)`.
      second: `(B, T, H, W)`.

    Returns:
      Float32 `(B,)` in [-1, 1]; 1 for equal maps.

    Raises:
      TfvidError: shapes that do not fit, or NaN.
    """
    first, second = (_stretched(maps)[..., np.newaxis] for maps in _pair(first, second))
    size = min(11, *first.shape[2:4])
    frames = [tf.image.ssim(a, b, max_val=1.0, filter_size=size) for a, b in zip(first, second, strict=True)]
    return np.stack(frames).mean(axis=1)


def top_iou(first, second, share: float = 0.1, seed: int = 0) -> np.ndarray:
    """Returns the intersection over union of the most relevant voxels of two maps.

    Args:
      first: `(B, T, H, W)`.
      second: `(B, T, H, W)`.
      share: the share of the clip's voxels that counts as most relevant, in (0, 1].
      seed: of the random order of equal voxels, the same in both maps.

    Returns:
      Float32 `(B,)` in [0, 1].

    Raises:
      TfvidError: shapes that do not fit, NaN, or a share out of range.
    """
    pairs = zip(*_pair(first, second), strict=True)
    return np.array([top_overlaps(pair, share, seed)[0, 1] for pair in pairs], np.float32)


def rank_correlations(maps) -> np.ndarray:
    """Returns `spearman` of each pair of M maps of one clip, `(T, H, W)` each: float64 `(M, M)`."""
    ranks = np.stack([rankdata(one, axis=None) for one in maps])
    ranks -= ranks.mean(axis=1, keepdims=True)
    length = np.linalg.norm(ranks, axis=1, keepdims=True)
    directions = np.divide(ranks, length, out=np.zeros_like(ranks), where=length > 0)
    both_equal_everywhere = (length == 0) & (length == 0).T
    return np.where(both_equal_everywhere, 1, np.clip(directions @ directions.T, -1, 1))


def top_overlaps(maps, share: float, seed: int) -> np.ndarray:
    """Returns `top_iou` of each pair of M maps of one clip, `(T, H, W)` each: float32 `(M, M)`."""
    if not 0 < share <= 1:
        raise TfvidError(f"expected a share of the voxels in (0, 1], got {share}")
    number = max(1, round(share * maps[0].size))
    top = np.zeros((len(maps), maps[0].size), np.float32)
    for row, one in zip(top, maps, strict=True):
        row[ranking(one.ravel(), seed)[:number]] = 1
    both = top @ top.T
    return both / (2 * number - both)


def _pair(first, second):
    first = checked_maps(first)
    return first, checked_maps(second, first.shape)


def _stretched(maps):
    """Each map scaled to [0, 1], float32; a constant map becomes zeros."""
    maps = maps.astype(np.float64)  # in which no difference of two float32 is infinite
    least = maps.min(axis=(1, 2, 3), keepdims=True)
    extent = maps.max(axis=(1, 2, 3), keepdims=True) - least
    return np.divide(maps - least, extent, out=np.zeros_like(maps), where=extent > 0).astype(np.float32)
