"""The best contiguous mask, found by forward passes alone: for certain, or soon.

For certain, `lowest`: a binary mask of one window of frames is one of T (T + 1) / 2, few enough to try. What it costs
in length and variation (Eq. 1) is known before it is tried, and the score of the perturbed clip, a probability, is
never below zero: that cost is a lower bound of its loss. Windows are tried in the order of their bounds. Once a bound
is no better than the best loss so far, that loss is the lowest of all contiguous binary masks, for certain.

Soon, `coarse_to_fine`: a window's loss changes little when it moves by a frame, so a coarse grid of windows tells where
to look, and from the best of them one climbs down. Its windows have soft edges, which cost a quarter of a sharp one's
variation (power 3): where a descent ends, too.
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


def soft_window(start: int, stop: int, num_frames: int) -> np.ndarray:
    """1 on [start, stop), one half on the frame before and the one behind: float32 `(T,)`."""
    mask = np.zeros(num_frames, np.float32)
    mask[max(start - 1, 0) : stop + 1] = 0.5
    mask[start:stop] = 1
    return mask


def coarse_to_fine(
    num_frames: int,
    losses: Callable[[np.ndarray], np.ndarray],
    bounds: Callable[[np.ndarray], np.ndarray],
    chunk: int,
    starts: int = 2,
) -> tuple[np.ndarray, np.ndarray, int]:
    """The best windows with soft edges that a coarse grid and a climb down from its best ones find.

    Args:
      num_frames: T.
      losses: masks float32 `(W, T)` to their losses `(W,)`.
      bounds: masks to what their losses cannot be below, `(W,)`; masks whose bound is no better than the best loss so
        far are not tried.
      chunk: masks whose losses are asked for at a time, at most.
      starts: how many windows of the grid to climb down from.

    Returns:
      The windows climbed to, `(N, T)`, N <= `starts`, best first; their losses; how many masks were tried.
    """
    known: dict[tuple[int, int], float] = {}

    def learn(windows):
        new = [window for window in windows if window not in known]
        masks = np.stack([soft_window(*window, num_frames) for window in new]) if new else np.zeros((0, num_frames))
        lowest_loss = bounds(masks) if new else np.zeros(0)
        order = np.argsort(lowest_loss, kind="stable")
        for start in range(0, len(new), chunk):
            best = min(known.values(), default=np.inf)
            rows = [row for row in order[start : start + chunk] if lowest_loss[row] < best]
            known.update({new[row]: np.inf for row in order[start : start + chunk]})
            if rows:
                known.update(zip([new[row] for row in rows], losses(masks[rows]).tolist(), strict=True))

    def climb(window, step):
        while step:
            around = _around(window, step, num_frames)
            learn(around)
            best = min([window, *around], key=known.get)
            window, step = (best, step) if best != window else (window, step // 2)
        return window

    stride = max(round(num_frames / 5), 1)
    grid = [(i, j) for i in range(0, num_frames, stride) for j in range(num_frames, i, -stride)]
    grid = [(i, j) for i, j in grid if j - i > 1] or grid
    learn(grid)
    begins = [window for window in sorted(grid, key=known.get)[:starts] if np.isfinite(known[window])]
    ends = {climb(window, max(stride // 2, 1)) for window in begins}
    ends = sorted(ends, key=known.get)
    masks = np.stack([soft_window(*window, num_frames) for window in ends])
    return masks, np.array([known[window] for window in ends]), sum(np.isfinite(loss) for loss in known.values())


def _around(window: tuple[int, int], step: int, num_frames: int) -> list[tuple[int, int]]:
    """The windows with one end moved by `step`, or both the same way."""
    moves = [(-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (1, 1)]
    moved = [(window[0] + step * i, window[1] + step * j) for i, j in moves]
    return [(i, j) for i, j in moved if 0 <= i < j <= num_frames]
