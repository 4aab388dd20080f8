"""Intersection over union of the most relevant part of something with the truth: for voxels and for frames."""

import numpy as np

from tfvid.core.errors import TfvidError


def overlap(values: np.ndarray, truth: np.ndarray, threshold: float | None) -> np.ndarray:
    """Intersection over union of the largest `values` and `truth`.

    Args:
      values: `(B, N)`.
      truth: bool `(B, N)`.
      threshold: in [0, 1): values above this share of the row's maximum count, none where that is not above zero.
        None: as many as are true, so that only the place is judged, not the extent; of equal values at the limit
        each counts by the same share, as if they were drawn. Rows of equal values have what chance gives.

    Returns:
      Float32 `(B,)` in [0, 1]; 0 where nothing is true.

    Raises:
      TfvidError: a threshold out of range.
    """
    if threshold is None:
        counted = _largest(values, truth.sum(axis=1))
    elif 0 <= threshold < 1:
        counted = values > threshold * np.maximum(values.max(axis=1, keepdims=True), 0)
    else:
        raise TfvidError(f"expected a threshold in [0, 1), a share of the maximum, or None, got {threshold}")
    both = np.sum(counted * truth, axis=1, dtype=np.float64)
    either = np.sum(counted, axis=1, dtype=np.float64) + truth.sum(axis=1) - both
    return np.divide(both, either, out=np.zeros_like(both), where=either > 0).astype(np.float32)


def _largest(values, number) -> np.ndarray:
    """How far each value belongs to the `number[b]` largest of row b, in [0, 1]: `(B, N)`, rows sum to `number`."""
    falling = -np.sort(-values, axis=1)
    limit = np.take_along_axis(falling, np.maximum(number - 1, 0)[:, np.newaxis], axis=1)
    above, equal = values > limit, values == limit
    places = number - above.sum(axis=1)  # left for those at the limit
    return above + equal * (places / equal.sum(axis=1))[:, np.newaxis]
