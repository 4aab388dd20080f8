"""Windows of frames: contiguous masks, and the best of them by forward passes alone, for certain or soon.

For certain, `lowest`: a binary mask of one window of frames is one of T (T + 1) / 2, few enough to try. What it costs
in length and variation (Eq. 1) is known before it is tried, and the score of the perturbed clip, a probability, is
never below zero: that cost is a lower bound of its loss. Windows are tried in the order of their bounds. Once a bound
is no better than the best loss so far, that loss is the lowest of all contiguous binary masks, for certain.

Soon: a grid of windows is tried, then those that a `Surrogate` predicts to be better
(`tfvid.explain.masks.mask_search`). These windows may have soft edges, which cost a quarter of a sharp edge's
variation (power 3). Descents end with such edges, too.
"""

from collections.abc import Callable
from typing import NamedTuple

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


def lowest(bounds: np.ndarray, scores: Callable[[np.ndarray], np.ndarray], chunk: int) -> tuple[int, float]:
    """The row with the lowest ``bound + score``, and that sum, scores being >= 0.

    Args:
      bounds: `(N,)`.
      scores: rows, int `(n,)`, to their scores.
      chunk: rows asked for at a time, at most.
    """
    order = np.argsort(bounds, kind="stable")
    best_row, best = -1, np.inf
    for start in range(0, len(order), chunk):
        rows = order[start : start + chunk]
        if bounds[rows[0]] >= best:
            break
        losses = bounds[rows] + scores(rows)
        if losses.min() < best:
            best_row, best = int(rows[losses.argmin()]), float(losses.min())
    return best_row, best


SOFT = 0.5


class Window(NamedTuple):
    """Frames [start, stop), masked by 1; the frame before by `before`, the one behind by `after`: 0 is a sharp edge."""

    start: int
    stop: int
    before: float = SOFT
    after: float = SOFT

    def mask(self, num_frames: int) -> np.ndarray:
        """float32 `(T,)`; at the clip's own ends an edge is neither soft nor sharp."""
        mask = np.zeros(num_frames, np.float32)
        mask[self.start : self.stop] = 1
        mask[max(self.start - 1, 0) : self.start] = self.before
        mask[self.stop : self.stop + 1] = self.after
        return mask


MOST_ENDS = 64  # of windows: longer clips have them every few frames only


def window_grid(num_frames: int) -> np.ndarray:
    """A coarse grid of windows, ends every quarter of the clip: float32 `(W, T)`.

    Both kinds of first edge are in it: behind a soft one every frozen frame is a mixture, behind a sharp one it is a
    frame of the clip, and where one of them hides the event the other may not.
    """
    stride = max(round(num_frames / 4), 1)
    ends = [(i, j) for i in range(0, num_frames, stride) for j in range(num_frames, i, -stride)]
    return np.array([Window(i, j, before).mask(num_frames) for before in (0.0, SOFT) for i, j in ends])


def edged_windows(num_frames: int) -> np.ndarray:
    """Every window, each of its edges sharp or soft: float32 `(W, T)`, no two of them alike.

    Of clips longer than `MOST_ENDS` frames those whose ends are a multiple of a few frames.
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
    """The full window, then those with i frames off each end, i = 1 .. T/2 - 1: float32 `(max(T/2, 1), T)`, binary."""
    t = np.arange(num_frames)
    off = np.arange(max(num_frames // 2, 1))[:, np.newaxis]
    return ((t >= off) & (t < num_frames - off)).astype(np.float32)


def central_window(drops: np.ndarray, share: float) -> int:
    """The row of `centred_windows` that the published procedure begins with: the smallest that keeps most of the drop.

    Args:
      drops: how far each of them lowers the score, `(W,)`, the full window first.
      share: of its drop, in (0, 1].
    """
    keeps = (drops >= share * drops[0]) & (drops[0] > 0)
    return int(np.flatnonzero(keeps).max(initial=0))
