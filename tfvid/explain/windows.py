"""The best contiguous mask, found by forward passes alone: for certain, or soon.

For certain, `lowest`: a binary mask of one window of frames is one of T (T + 1) / 2, few enough to try. What it costs
in length and variation (Eq. 1) is known before it is tried, and the score of the perturbed clip, a probability, is
never below zero: that cost is a lower bound of its loss. Windows are tried in the order of their bounds. Once a bound
is no better than the best loss so far, that loss is the lowest of all contiguous binary masks, for certain.

Soon, `coarse_to_fine`: a window's loss changes little when it moves by a frame, so a coarse grid of windows tells where
to look, and from the best of them one climbs down. Its windows may have soft edges, which cost a quarter of a sharp
one's variation (power 3): where a descent ends, too.
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


EXPANDED = 5  # windows: fewer miss the best one more often, more rarely find a better one


def coarse_to_fine(
    num_frames: int,
    losses: Callable[[np.ndarray], np.ndarray],
    bounds: Callable[[np.ndarray], np.ndarray],
    chunk: int,
) -> tuple[np.ndarray, np.ndarray]:
    """The windows that a coarse grid, and a walk from its best ones, come by.

    Of all windows tried the best ones are expanded, the best first: those are tried that differ in one end or in one
    edge. It ends when the `EXPANDED` best windows have all been expanded. Both kinds of first edge are in the grid:
    behind a soft one every frozen frame is a mixture, behind a sharp one it is a frame of the clip, and where one of
    them hides the event the other may not.

    Args:
      num_frames: T.
      losses: masks float32 `(W, T)` to their losses `(W,)`.
      bounds: masks to what their losses cannot be below, `(W,)`; masks whose bound is no better than the best loss so
        far are not tried.
      chunk: masks whose losses are asked for at a time, at most.

    Returns:
      The masks tried `(W, T)`, the best first, and their losses `(W,)`.
    """
    known: dict[bytes, float] = {}  # by mask: two windows at an end of the clip may share one
    windows: dict[bytes, Window] = {}

    def learn(tried):
        masks = {window.mask(num_frames).tobytes(): window for window in tried}
        new = [(mask, window) for mask, window in masks.items() if mask not in known]
        windows.update(new)
        rows = np.array([np.frombuffer(mask, np.float32) for mask, _ in new]).reshape(-1, num_frames)
        lowest_loss = bounds(rows) if new else np.zeros(0)
        order = np.argsort(lowest_loss, kind="stable")
        for start in range(0, len(new), chunk):
            best = min(known.values(), default=np.inf)
            asked = [row for row in order[start : start + chunk] if lowest_loss[row] < best]
            known.update((new[row][0], np.inf) for row in order[start : start + chunk])
            if asked:
                known.update(zip([new[row][0] for row in asked], losses(rows[asked]).tolist(), strict=True))

    def walk(step):
        expanded = set()
        while True:
            best = sorted((mask for mask in known if np.isfinite(known[mask])), key=known.get)[:EXPANDED]
            mask = next((mask for mask in best if mask not in expanded), None)
            if mask is None:
                return
            expanded.add(mask)
            learn(_around(windows[mask], step, num_frames))

    stride = max(round(num_frames / 4), 1)
    ends = [(i, j) for i in range(0, num_frames, stride) for j in range(num_frames, i, -stride)]
    ends = [(i, j) for i, j in ends if j - i > 1] or ends
    learn(Window(i, j, before) for before in (0.0, SOFT) for i, j in ends)
    step = max(stride // 4, 1)
    while step:
        walk(step)
        step //= 2
    tried = sorted((mask for mask in known if np.isfinite(known[mask])), key=known.get)
    return np.array([np.frombuffer(mask, np.float32) for mask in tried]), np.array([known[mask] for mask in tried])


def _around(at: Window, step: int, num_frames: int) -> list[Window]:
    """The windows with one end moved by `step`, or one edge of the other kind."""
    moved = [at._replace(start=at.start + move) for move in (-step, step)]
    moved += [at._replace(stop=at.stop + move) for move in (-step, step)]
    turned = [at._replace(before=SOFT - at.before), at._replace(after=SOFT - at.after)]
    return [window for window in moved if 0 <= window.start < window.stop <= num_frames] + turned


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
