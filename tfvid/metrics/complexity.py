"""How concentrated a map is: neither the model nor the truth is asked. A map may be sparse and wrong."""

import numpy as np

from tfvid.metrics.checks import checked_maps


def sparseness(maps) -> np.ndarray:
    """Returns the Gini index of the absolute values; larger is sparser.

        1 - 2 / sum(a) * sum over k of  a_k (N - k + 1/2) / N,    a_1 <= ... <= a_N

    Chalasani et al., "Concise Explanations of Neural Networks using Adversarial Training", ICML 2020, section 3.

    Args:
      maps: `(B, T, H, W)`.

    Returns:
      Float32 `(B,)` in [0, 1]: 0 for a constant map, 1 - 1 / N for one voxel of N; 0 for a map of zeros.

    Raises:
      TfvidError: another shape, or NaN.
    """
    ordered = np.sort(_shares(maps), axis=1)
    number = ordered.shape[1]
    weight = (number - np.arange(number) - 0.5) / number
    index = 1 - 2 * ordered @ weight
    return np.where(ordered.any(axis=1), np.clip(index, 0, 1), 0).astype(np.float32)


def complexity(maps) -> np.ndarray:
    """Returns the entropy of the absolute values as shares of their sum, in nats; smaller is simpler.

    Bhatt, Weller & Moura, "Evaluating and Aggregating Feature-based Model Explanations", IJCAI 2020, section 3.3.

    Args:
      maps: `(B, T, H, W)`.

    Returns:
      Float32 `(B,)` in [0, log N], N the number of voxels: 0 for one voxel, log N for a constant map and for a map of
      zeros, which shows nothing.

    Raises:
      TfvidError: another shape, or NaN.
    """
    shares = _shares(maps)
    entropy = -np.sum(shares * np.log(np.where(shares > 0, shares, 1)), axis=1)
    return np.where(shares.any(axis=1), entropy, np.log(shares.shape[1])).astype(np.float32)


def _shares(maps) -> np.ndarray:
    """The absolute values of each map divided by their sum: float64 `(B, N)`, zeros for a map of zeros."""
    flat = np.abs(checked_maps(maps).astype(np.float64).reshape(len(maps), -1))
    total = flat.sum(axis=1, keepdims=True)
    return np.divide(flat, total, out=np.zeros_like(flat), where=total > 0)
