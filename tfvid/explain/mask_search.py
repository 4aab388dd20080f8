"""Masks found clip by clip, with far fewer runs of the model than a descent from an arbitrary start takes.

`best_window` tries contiguous binary masks, by forward passes alone, until one is the best for certain. `descended`
looks coarsely for a window to start from, and goes down from there by L-BFGS-B on the mask itself: its values lie in
the box [0, 1], where most of them end on the border, which a descent on logits reaches only in the limit.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

from tfvid.explain.windows import (
    Window,
    central_window,
    centred_windows,
    coarse_to_fine,
    distinct,
    lowest,
    window_masks,
)

WINDOWS_AT_ONCE = 8  # of one clip; bounds the memory of a search


class Found(NamedTuple):
    """What a search found for one clip."""

    mask: np.ndarray  # float32 (T,)
    window: np.ndarray  # float32 (T,), the best window, which the descent began with if there was one
    window_loss: float
    backward_passes: int


class Remembered:
    """The scores of one clip under masks, each computed once: the parts of a search ask for some of the same windows.

    Attributes:
      known: the scores by mask; as many as there were forward passes.
    """

    def __init__(self, scores: Callable[[np.ndarray], np.ndarray]):
        self._scores = scores
        self.known: dict[bytes, float] = {}

    def __call__(self, masks: np.ndarray) -> np.ndarray:
        new = {mask.tobytes(): mask for mask in masks if mask.tobytes() not in self.known}
        if new:
            self.known.update(zip(new, self._scores(np.array(list(new.values()))), strict=True))
        return np.array([self.known[mask.tobytes()] for mask in masks])


class ClipObjective(NamedTuple):
    """Eq. 1 for one clip, as functions of NumPy masks.

    Attributes:
      num_frames: T.
      costs: masks float32 `(W, T)` to what they cost before any score, length and changes, `(W,)`.
      scores: masks to the scores of the clip perturbed with them, `(W,)`.
      loss_and_gradient: a mask `(T,)` to its loss, and that one's gradient `(T,)`.
      matrix: masks to the mixtures of frames they stand for, `(W, T, T)`; None where the perturbation is no mixture.
      unperturbed: the score of the clip as it is, the loss of the empty mask.
      floor: what no score is below: 0 for probabilities.
    """

    num_frames: int
    costs: Callable[[np.ndarray], np.ndarray]
    scores: Callable[[np.ndarray], np.ndarray]
    loss_and_gradient: Callable[[np.ndarray], tuple[float, np.ndarray]]
    matrix: Callable[[np.ndarray], np.ndarray] | None
    unperturbed: float
    floor: float = 0.0

    def bounds(self, masks: np.ndarray) -> np.ndarray:
        """What the losses of masks `(W, T)` cannot be below: `(W,)`."""
        return self.costs(masks) + self.floor

    def losses(self, masks: np.ndarray) -> np.ndarray:
        """The losses of masks `(W, T)`: `(W,)`."""
        return self.costs(masks) + self.scores(masks)


def best_window(objective: ClipObjective) -> Found:
    """The contiguous binary mask of the lowest loss, the empty one among them, for certain; scores must be >= 0."""
    masks = window_masks(objective.num_frames)
    costs = objective.costs(masks)
    if objective.matrix is not None:
        rows = distinct(masks, costs, objective.matrix)
        masks, costs = masks[rows], costs[rows]
    row, loss = lowest(costs, lambda rows: objective.scores(masks[rows]), WINDOWS_AT_ONCE)
    mask, loss = (masks[row], loss) if loss < objective.unperturbed else (0 * masks[row], objective.unperturbed)
    return Found(mask, mask, loss, 0)


ENOUGH = 0.9  # of the score: a window that takes so much of it is where the best mask is
TRIAL = 6  # gradients spent on each start before it is known which ones are worth as many more
NEAR, APART = 0.02, 3  # a window whose loss is this near the best one's, and whose mask differs by so many frames


def descended(objective: ClipObjective, evaluations: int) -> Found:
    """A soft mask: the best window that a coarse search finds, and L-BFGS-B from there.

    Most clips have a window that takes nearly all of the score: the descent begins there, with at most so many
    gradients. Where another window is nearly as good, there are two starts; and where none is good enough, several, see
    `_starts`: the best mask may be of two spans there, or of nearly all frames. All starts take `TRIAL` gradients, the
    better half of them as many again, and so on until one is left.
    """
    masks, losses = coarse_to_fine(objective.num_frames, objective.losses, objective.bounds, WINDOWS_AT_ONCE)
    window, loss = masks[0], float(losses[0])
    starts = _starts(objective, masks, losses)
    loss_and_gradient, gradients = _remembered(objective.loss_and_gradient)
    best, steps = Lowest(window, loss, 0), 0
    while steps < evaluations:
        steps = evaluations if len(starts) == 1 else min(steps + TRIAL, evaluations)
        ends = [(lbfgs(loss_and_gradient, mask, steps), mask) for mask in starts]  # the steps so far are remembered
        ends.sort(key=lambda end: end[0].loss)
        best = min(best, ends[0][0], key=lambda end: end.loss)
        starts = [mask for _, mask in ends[: max(len(ends) // 2, 1)]]
    mask = best.mask if best.loss < objective.unperturbed else np.zeros_like(best.mask)
    return Found(mask, window, loss, len(gradients))


def _starts(objective: ClipObjective, masks: np.ndarray, losses: np.ndarray) -> list[np.ndarray]:
    """Where to descend from.

    The best window, and the next best that differs from it where that one is nearly as good. Where neither takes most
    of the score: both; the published procedure's central window; and the whole clip, but not quite, since where every
    frame is frozen for certain no gradient tells which of them mattered.

    Args:
      masks: the windows tried `(W, T)`, the best first.
      losses: theirs.
    """
    num_frames = objective.num_frames
    other = next((row for row, mask in enumerate(masks) if np.abs(mask - masks[0]).sum() >= APART), 0)
    left = losses[0] - objective.costs(masks[:1])[0]
    if objective.floor == 0 and left <= (1 - ENOUGH) * objective.unperturbed:  # of a logit there is no most
        starts = masks[[0, other] if losses[other] < losses[0] + NEAR else [0]]
    else:
        centred = centred_windows(num_frames)
        central = central_window(objective.unperturbed - objective.scores(centred), ENOUGH)
        whole = np.float32(ENOUGH) * Window(1, num_frames).mask(num_frames)
        starts = [masks[0], masks[other], centred[central], whole]
    return list({mask.tobytes(): mask for mask in starts}.values())


def _remembered(loss_and_gradient):
    """The function, which is asked once for each mask, and what it returned: a descent may be gone through again."""
    known: dict[bytes, tuple[float, np.ndarray]] = {}

    def remembered(mask):
        if mask.tobytes() not in known:
            known[mask.tobytes()] = loss_and_gradient(mask)
        return known[mask.tobytes()]

    return remembered, known


class Lowest(NamedTuple):
    """The best mask a descent came by."""

    mask: np.ndarray
    loss: float
    evaluations: int


def lbfgs(loss_and_gradient, mask: np.ndarray, evaluations: int) -> Lowest:
    """Byrd, Lu, Nocedal & Zhu's L-BFGS-B (1995) over masks in [0, 1], from `mask` `(T,)`, as SciPy has it."""
    best = Lowest(mask, np.inf, 0)

    def evaluated(m):
        nonlocal best
        loss, gradient = loss_and_gradient(m.astype(np.float32))
        count = best.evaluations + 1
        best = Lowest(m.astype(np.float32), loss, count) if loss < best.loss else best._replace(evaluations=count)
        if count == evaluations:
            raise _Enough
        return loss, gradient.astype(float)

    options = {"maxcor": len(mask), "ftol": 1e-6, "gtol": 1e-6}  # a step that gains less than `ftol` is the last
    with suppress(_Enough):  # SciPy looks at its own limit only between line searches
        minimize(evaluated, mask, jac=True, method="L-BFGS-B", bounds=[(0, 1)] * len(mask), options=options)
    return best


class _Enough(Exception):
    """As many evaluations as were allowed."""
