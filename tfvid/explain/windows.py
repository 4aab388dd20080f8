"""The best contiguous mask, found by forward passes alone.

A binary mask of one window of frames is one of T (T + 1) / 2, few enough to try. What it costs in length and variation
(Eq. 1) is known before it is tried, and the score of the perturbed clip, a probability, is never below zero: that cost
is a lower bound of its loss. Windows are tried in the order of their bounds. Once a bound is no better than the best
loss so far, that loss is the lowest of all contiguous binary masks, for certain.
"""

from collections.abc import Callable

import numpy as np


def window_masks(num_frames: int) -> np.ndarray:
    """The binary mask of every window [start, stop) of at least one frame: float32 `(T (T + 1) / 2, T)`."""
    t = np.arange(num_frames)
    start, stop = np.triu_indices(num_frames)
    return ((t >= start[:, np.newaxis]) & (t <= stop[:, np.newaxis])).astype(np.float32)


def distinct(masks: np.ndarray, costs: np.ndarray, seen: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Of the masks that perturb a clip alike, the one that costs least.

    The first frame cannot be frozen, so a window is as good with it as without; with it, one edge less is paid.

    Args:
      masks: `(N, T)`.
      costs: `(N,)`.
      seen: masks to what they do to a clip, `(N, T, T)`, see `tfvid.perturb.temporal.MATRICES`.

    Returns:
      int `(M,)`, rows of `masks`, those that leave the clip as it is left out.
    """
    effects = np.asarray(seen(masks)).reshape(len(masks), -1)
    unperturbed = np.eye(masks.shape[1], dtype=effects.dtype).ravel()
    best: dict[bytes, int] = {}
    for row in np.argsort(costs, kind="stable"):
        if not np.array_equal(effects[row], unperturbed):
            best.setdefault(effects[row].tobytes(), int(row))
    return np.array(sorted(best.values()), int)


def lowest(bounds: np.ndarray, scores: Callable[[np.ndarray], np.ndarray], chunk: int) -> tuple[int, float, int]:
    """The row with the lowest ``bound + score``, scores being >= 0.

    Args:
      bounds: `(N,)`.
      scores: rows, int `(chunk,)`, to their scores; the last rows are asked for twice where they do not fill a chunk.
      chunk: rows asked for at a time.

    Returns:
      The row, its sum, and how many rows were asked for.
    """
    order = np.argsort(bounds, kind="stable")
    best_row, best, tried = -1, np.inf, 0
    for start in range(0, len(order), chunk):
        rows = order[start : start + chunk]
        if bounds[rows[0]] >= best:
            break
        padded = np.pad(rows, (0, chunk - len(rows)), mode="edge")
        losses = bounds[rows] + scores(padded)[: len(rows)]
        tried += len(rows)
        if losses.min() < best:
            best_row, best = int(rows[losses.argmin()]), float(losses.min())
    return best_row, best, tried
