"""How alike are two maps of the same clip? One number a clip, for agreement between methods and sanity checks."""

import numpy as np
import tensorflow as tf
from scipy.stats import rankdata

from tfvid.errors import TfvidError
from tfvid.metrics.checks import checked_maps
from tfvid.metrics.faithfulness.insertion import ranking


def spearman(first, second) -> np.ndarray:
    """Spearman's rank correlation of all voxels of two maps.

    Args:
      first: `(B, T, H, W)`.
      second: `(B, T, H, W)`.

    Returns:
      Float32 `(B,)` in [-1, 1]. A map that is equal everywhere ranks nothing: 0 with any other, 1 with another such.

    Raises:
      TfvidError: shapes that do not fit, or NaN.
    """
    first, second = _pair(first, second)
    return np.array([_correlation(a, b) for a, b in zip(first, second, strict=True)], np.float32)


def ssim(first, second) -> np.ndarray:
    """Structural similarity, the mean over frames, each map brought to [0, 1] from its least to its largest value.

    Wang et al., IEEE Transactions on Image Processing 2004, as `tf.image.ssim` has it, in windows of 11 pixels, or as
    large as the frame where that is smaller.

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
    """Intersection over union of the most relevant voxels of two maps.

    Args:
      first: `(B, T, H, W)`.
      second: `(B, T, H, W)`.
      share: in (0, 1], of the clip's voxels.
      seed: of the order of equal voxels, the same in both maps.

    Returns:
      Float32 `(B,)` in [0, 1].

    Raises:
      TfvidError: shapes that do not fit, NaN, or a share out of range.
    """
    if not 0 < share <= 1:
        raise TfvidError(f"expected a share of the voxels in (0, 1], got {share}")
    first, second = _pair(first, second)
    number = max(1, round(share * first[0].size))
    both = [
        len(np.intersect1d(ranking(a.ravel(), seed)[:number], ranking(b.ravel(), seed)[:number], assume_unique=True))
        for a, b in zip(first, second, strict=True)
    ]
    return (np.array(both) / (2 * number - np.array(both))).astype(np.float32)


def _pair(first, second):
    first = checked_maps(first)
    return first, checked_maps(second, first.shape)


def _correlation(a, b) -> float:
    a, b = (rankdata(x, axis=None) for x in (a, b))
    a, b = a - a.mean(), b - b.mean()
    norm = np.linalg.norm(a) * np.linalg.norm(b)
    if norm == 0:
        return float(not a.any() and not b.any())
    return float(np.clip(a @ b / norm, -1, 1))


def _stretched(maps):
    """Each map from 0 to 1; zeros where it is equal everywhere."""
    least = maps.min(axis=(1, 2, 3), keepdims=True)
    extent = maps.max(axis=(1, 2, 3), keepdims=True) - least
    return np.divide(maps - least, extent, out=np.zeros_like(maps), where=extent > 0)
