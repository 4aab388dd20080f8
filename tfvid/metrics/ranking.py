"""The order of values by size, with ties broken at random."""

import numpy as np


def ranking(values: np.ndarray, seed: int) -> np.ndarray:
    """Returns the indices that sort `values` from the largest to the smallest.

    Args:
      values: float `(N,)`.
      seed: of the random order of equal values.

    Returns:
      Int64 `(N,)`.
    """
    return np.lexsort((np.random.default_rng(seed).permutation(len(values)), -values))
