"""Do methods agree on what is relevant? A matrix of methods by methods for each clip.

After Li et al., arXiv 2005.00375, who ask which methods go together. That methods agree does not say they are right.
"""

from collections.abc import Mapping

import numpy as np

from tfvid.core.errors import TfvidError
from tfvid.metrics.checks import checked_maps
from tfvid.metrics.similarity import rank_correlations, top_overlaps


def spearman_matrix(maps: Mapping[str, np.ndarray]) -> np.ndarray:
    """Spearman's rank correlation of the maps of each two methods.

    Args:
      maps: by method, M of them, each `(B, T, H, W)`.

    Returns:
      Float32 `(B, M, M)` in [-1, 1], methods in the mapping's order; ones on the diagonal.

    Raises:
      TfvidError: no maps, shapes that do not fit, or NaN.
    """
    return _matrices(maps, rank_correlations)


def top_iou_matrix(maps: Mapping[str, np.ndarray], share: float = 0.1, seed: int = 0) -> np.ndarray:
    """Intersection over union of the most relevant `share` of voxels of each two methods.

    Two random orders have ``share / (2 - share)``: 0.053 for a tenth. Arguments and errors: see `spearman_matrix` and
    `tfvid.metrics.similarity.top_iou`.

    Returns:
      Float32 `(B, M, M)` in [0, 1].
    """
    return _matrices(maps, lambda of_clip: top_overlaps(of_clip, share, seed))


def _matrices(maps, of_clip) -> np.ndarray:
    if not maps:
        raise TfvidError("expected maps of one method or more, got none")
    maps = [checked_maps(of_method, np.shape(next(iter(maps.values())))) for of_method in maps.values()]
    return np.stack([of_clip(of_methods) for of_methods in zip(*maps, strict=True)]).astype(np.float32)
