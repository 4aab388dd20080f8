"""Do methods agree on what is relevant? A matrix of methods by methods for each clip.

After Li et al., arXiv 2005.00375, who ask which methods go together. That methods agree does not say they are right.
"""

from collections.abc import Mapping

import numpy as np

from tfvid.errors import TfvidError
from tfvid.metrics.similarity import spearman, top_iou


def spearman_matrix(maps: Mapping[str, np.ndarray]) -> np.ndarray:
    """Spearman's rank correlation of the maps of each two methods.

    Args:
      maps: by method, M of them, each `(B, T, H, W)`.

    Returns:
      Float32 `(B, M, M)` in [-1, 1], methods in the mapping's order; ones on the diagonal.

    Raises:
      TfvidError: no maps, shapes that do not fit, or NaN.
    """
    return _matrix(maps, spearman)


def top_iou_matrix(maps: Mapping[str, np.ndarray], share: float = 0.1, seed: int = 0) -> np.ndarray:
    """Intersection over union of the most relevant `share` of voxels of each two methods.

    Two random orders have ``share / (2 - share)``: 0.053 for a tenth. Arguments and errors: see
    `tfvid.metrics.similarity.top_iou` and `spearman_matrix`.

    Returns:
      Float32 `(B, M, M)` in [0, 1].
    """
    return _matrix(maps, lambda first, second: top_iou(first, second, share, seed))


def _matrix(maps, similarity) -> np.ndarray:
    if not maps:
        raise TfvidError("expected maps of one method or more, got none")
    maps = list(maps.values())
    matrix = np.ones((len(maps[0]), len(maps), len(maps)), np.float32)
    for i, first in enumerate(maps):
        for j in range(i + 1):
            matrix[:, i, j] = matrix[:, j, i] = similarity(first, maps[j])
    return matrix
