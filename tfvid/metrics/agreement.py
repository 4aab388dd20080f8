"""Agreement of methods: for each clip, a matrix of the similarity of the maps of each pair of methods.

After Li et al., arXiv 2005.00375. Methods that agree may all be wrong.
"""

from collections.abc import Mapping

import numpy as np

from tfvid.core.errors import TfvidError
from tfvid.metrics.checks import checked_maps
from tfvid.metrics.similarity import rank_correlations, top_overlaps


def spearman_matrix(maps: Mapping[str, np.ndarray]) -> np.ndarray:
    """Returns Spearman's rank correlation of the maps of each pair of methods.

    Args:
      maps: the maps of M methods by name, each `(B, T, H, W)`.

    Returns:
      Float32 `(B, M, M)` in [-1, 1], methods in the mapping's order; ones on the diagonal.

    Raises:
      TfvidError: no maps, shapes that do not fit, or NaN.
    """
    return _matrices(maps, rank_correlations)


def top_iou_matrix(maps: Mapping[str, np.ndarray], share: float = 0.1, seed: int = 0) -> np.ndarray:
    """Returns the intersection over union of the most relevant voxels of each pair of methods.

    Two random maps have ``share / (2 - share)``: 0.053 for a tenth.

    Args:
      maps: the maps of M methods by name, each `(B, T, H, W)`.
      share: the share of the clip's voxels that counts as most relevant, in (0, 1].
      seed: of the random order of equal voxels, the same in all maps.

    Returns:
      Float32 `(B, M, M)` in [0, 1], methods in the mapping's order.

    Raises:
      TfvidError: no maps, shapes that do not fit, NaN, or a share out of range.
    """
    return _matrices(maps, lambda of_clip: top_overlaps(of_clip, share, seed))


def _matrices(maps, of_clip) -> np.ndarray:
    if not maps:
        raise TfvidError("expected maps of one method or more, got none")
    maps = [checked_maps(of_method, np.shape(next(iter(maps.values())))) for of_method in maps.values()]
    return np.stack([of_clip(of_methods) for of_methods in zip(*maps, strict=True)]).astype(np.float32)
