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

from tfvid.explain.windows import Window, coarse_to_fine, distinct, lowest, window_masks

WINDOWS_AT_ONCE = 8  # of one clip; bounds the memory of a search


class Found(NamedTuple):
    """What a search found for one clip."""

    mask: np.ndarray  # float32 (T,)
    window: np.ndarray  # float32 (T,), the best window, which the descent began with if there was one
    window_loss: float
    forward_passes: int
    backward_passes: int


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
    row, loss, tried = lowest(costs, lambda rows: objective.scores(masks[rows]), min(WINDOWS_AT_ONCE, len(masks)))
    mask, loss = (masks[row], loss) if loss < objective.unperturbed else (0 * masks[row], objective.unperturbed)
    return Found(mask, mask, loss, tried, 0)


TRIAL = 6  # gradients spent on each start before it is known which one is worth the rest


def descended(objective: ClipObjective, evaluations: int) -> Found:
    """A soft mask: L-BFGS-B from two starts, with at most so many gradients on the better one.

    One is the best window that a coarse search finds, the other the whole clip: where few frames together matter
    little and most of them together much, no short window leads to the best mask. After `TRIAL` steps from each, the
    lower one goes on.
    """
    num_frames = objective.num_frames
    start, loss, tried = coarse_to_fine(num_frames, objective.losses, objective.bounds, WINDOWS_AT_ONCE)
    best, taken = Lowest(start, loss, 0), 0
    whole = Window(1, num_frames).mask(num_frames)
    starts = [start] if np.array_equal(start, whole) else [start, whole]
    for mask in starts if evaluations else ():
        end = lbfgs(objective.loss_and_gradient, mask, min(TRIAL, evaluations))
        best, taken = min(best, end, key=lambda end: end.loss), taken + end.evaluations
    if evaluations > TRIAL:
        end = lbfgs(objective.loss_and_gradient, best.mask, evaluations - TRIAL)
        best, taken = min(best, end, key=lambda end: end.loss), taken + end.evaluations
    mask = best.mask if best.loss < objective.unperturbed else np.zeros_like(best.mask)
    return Found(mask, start, loss, tried, taken)


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

    # It ends with a step that gains less than `ftol`. On 28 clips, 1e-6 took half as many gradients again for 1e-4.
    options = {"maxcor": len(mask), "ftol": 5e-5, "gtol": 1e-6}
    with suppress(_Enough):  # SciPy looks at its own limit only between line searches
        minimize(evaluated, mask, jac=True, method="L-BFGS-B", bounds=[(0, 1)] * len(mask), options=options)
    return best


class _Enough(Exception):
    """As many evaluations as were allowed."""
