"""Windows of frames, that is contiguous masks, and an exact search for the best one.

Exact search, `lowest`: a clip of T frames has T (T + 1) / 2 binary windows. The length and variation terms (Eq. 1) of
a window are known without the model, and the score of the perturbed clip, a probability, is >= 0. So these terms are a
lower bound of the window's loss. Windows are evaluated in the order of their bounds. As soon as a bound is not below
the best loss so far, that loss is the lowest of all windows.

Approximate search: a grid of windows is evaluated, then those that a `Surrogate` predicts to be better
(`tfvid.explain.masks.mask_search`). These windows may have soft edges: with power 3, a soft edge costs a quarter of the
variation of a sharp edge. Masks from a descent have such edges, too.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


def window_masks(num_frames: int) -> np.ndarray:
    """Returns the binary masks of all windows of at least one frame: float32 `(T (T + 1) / 2, T)`."""
    t = np.arange(num_frames)
    start, stop = np.triu_indices(num_frames)
    return ((t >= start[:, np.newaxis]) & (t <= stop[:, np.newaxis])).astype(np.float32)


def distinct(masks: np.ndarray, costs: np.ndarray, seen: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Returns, of the masks that perturb a clip in the same way, the cheapest one.

    The first frame cannot be frozen. A window therefore has the same effect with and without it, but with it has one
    edge less.

    Args:
      masks: `(N, T)`.
      costs: the length and variation terms, `(N,)`.
      seen: masks to their mixing matrices `(N, T, T)`, see `tfvid.perturb.temporal.MATRICES`.

    Returns:
      int `(M,)`, rows of `masks`, without the masks that have the effect of the empty mask.
    """
    effects = np.asarray(seen(masks)).reshape(len(masks), -1)
    of_empty = np.asarray(seen(0 * masks[:1])).ravel()
    best: dict[bytes, int] = {}
    for row in np.argsort(costs, kind="stable"):
        if not np.array_equal(effects[row], of_empty):
            best.setdefault(effects[row].tobytes(), int(row))
    return np.array(sorted(best.values()), int)


def lowest(
    costs: np.ndarray, scores: Callable[[np.ndarray], np.ndarray], chunk: int, floor: float = 0.0
) -> tuple[int, float]:
    """Returns the row with the lowest ``cost + score``, and that sum.

    Args:
      costs: `(N,)`.
      scores: rows, int `(n,)`, to their scores `(n,)`.
      chunk: the maximum number of rows per call of `scores`.
      floor: a lower bound of all scores; -inf evaluates all rows.
    """
    order = np.argsort(costs, kind="stable")
    best_row, best = -1, np.inf
    for start in range(0, len(order), chunk):
        rows = order[start : start + chunk]
        if costs[rows[0]] + floor >= best:
            break
        losses = costs[rows] + scores(rows)
        if losses.min() < best:
            best_row, best = int(rows[losses.argmin()]), float(losses.min())
    return best_row, best


SOFT = 0.5


class Window(NamedTuple):
    """A window of frames [start, stop).

    Attributes:
      start: the first frame with a mask value of 1.
      stop: one past the last frame with a mask value of 1.
      before: the mask value of the frame before the window; 0 is a sharp edge.
      after: the mask value of the frame after the window.
    """

    start: int
    stop: int
    before: float = SOFT
    after: float = SOFT

    def mask(self, num_frames: int) -> np.ndarray:
        """Returns the mask, float32 `(T,)`. At the ends of the clip there is no edge."""
        mask = np.zeros(num_frames, np.float32)
        mask[self.start : self.stop] = 1
        mask[max(self.start - 1, 0) : self.start] = self.before
        mask[self.stop : self.stop + 1] = self.after
        return mask


MOST_ENDS = 64  # possible ends of windows; in longer clips, windows end at every few frames only


def window_grid(num_frames: int) -> np.ndarray:
    """Returns a coarse grid of windows that end at quarters of the clip: float32 `(W, T)`.

    Each window is there with a sharp and with a soft first edge. After a soft edge a frozen frame is a mixture of two
    frames, after a sharp edge it is one frame of the clip. One of them may hide an event that the other does not.
    """
    stride = max(round(num_frames / 4), 1)
    ends = [(i, j) for i in range(0, num_frames, stride) for j in range(num_frames, i, -stride)]
    return np.array([Window(i, j, before).mask(num_frames) for before in (0.0, SOFT) for i, j in ends])


def edged_windows(num_frames: int) -> np.ndarray:
    """Returns all windows with all combinations of sharp and soft edges: float32 `(W, T)`, without duplicates.

    In clips longer than `MOST_ENDS` frames: the windows whose ends are multiples of a few frames.
    """
    step = -(-num_frames // MOST_ENDS)
    ends = [(i, j) for i in range(0, num_frames, step) for j in range(i + step, num_frames + step, step)]
    edges = [(before, after) for before in (0.0, SOFT) for after in (0.0, SOFT)]
    masks = {
        mask.tobytes(): mask
        for i, j in ends
        for before, after in edges
        for mask in [Window(i, min(j, num_frames), before, after).mask(num_frames)]
    }
    return np.array(list(masks.values()))


def centred_windows(num_frames: int) -> np.ndarray:
    """Returns the full window and those with i = 1 .. T/2 - 1 frames cut at each end: float32 `(max(T/2, 1), T)`."""
    t = np.arange(num_frames)
    off = np.arange(max(num_frames // 2, 1))[:, np.newaxis]
    return ((t >= off) & (t < num_frames - off)).astype(np.float32)


def central_window(drops: np.ndarray, share: float) -> int:
    """Returns the row of `centred_windows` that the published method starts from: the smallest with most of the drop.

    Args:
      drops: the drops of the score, `(W,)`, that of the full window first.
      share: the share of the full window's drop to keep, in (0, 1].
    """
    keeps = (drops >= share * drops[0]) & (drops[0] > 0)
    return int(np.flatnonzero(keeps).max(initial=0))
