"""Intersection over union of the most relevant voxels or frames with the true ones."""

import numpy as np

from tfvid.core.errors import TfvidError


def overlap(values: np.ndarray, truth: np.ndarray, threshold: float | None) -> np.ndarray:
    """Returns the intersection over union of the largest `values` and `truth`.

    Args:
      values: `(B, N)`.
      truth: bool `(B, N)`.
      threshold: in [0, 1): values above this share of the row's maximum count, none if the maximum is not above zero.
        None: as many values as are true, so that only places matter, not the extent. Equal values at the limit count
        in equal shares, so a row of equal values has the value of a random choice.

    Returns:
      Float32 `(B,)` in [0, 1]; 0 if nothing is true.

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
    """The share in [0, 1] by which each value is one of the `number[b]` largest of row b; rows sum to `number`."""
    falling = -np.sort(-values, axis=1)
    limit = np.take_along_axis(falling, np.maximum(number - 1, 0)[:, np.newaxis], axis=1)
    above, equal = values > limit, values == limit
    places = number - above.sum(axis=1)  # left for values at the limit
    return above + equal * (places / equal.sum(axis=1))[:, np.newaxis]
