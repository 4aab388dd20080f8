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


ENOUGH = 0.9  # of the score: a window that takes so much of it is where the best mask is
TRIAL = 6  # gradients spent on each start before it is known which ones are worth more
APART = 2  # frames, by which the second window begun with differs from the first


def descended(objective: ClipObjective, evaluations: int) -> Found:
    """A soft mask: the best window that a coarse search finds, and L-BFGS-B from there.

    Most clips have a window that takes nearly all of the score: the descent begins there, with at most so many
    gradients. In the others the best mask may be of two spans, or of nearly all frames, and the best window is one
    start of several, see `_starts`; the better half goes on from each round of `TRIAL` gradients to the next.
    """
    masks, losses = coarse_to_fine(objective.num_frames, objective.losses, objective.bounds, WINDOWS_AT_ONCE)
    window, loss = masks[0], float(losses[0])
    left = loss - float(objective.costs(window[np.newaxis])[0])
    starts, forward, backward = [window], len(masks), 0
    if objective.floor != 0 or left > (1 - ENOUGH) * objective.unperturbed:  # of a logit there is no most of it
        starts, passes = _starts(objective, masks)
        forward += passes
    best = Lowest(window, loss, 0)
    while evaluations and len(starts) > 1:
        ends = [lbfgs(objective.loss_and_gradient, mask, min(TRIAL, evaluations)) for mask in starts]
        backward += sum(end.evaluations for end in ends)
        ends.sort(key=lambda end: end.loss)
        best = min(best, ends[0], key=lambda end: end.loss)
        starts = [end.mask for end in ends[: len(ends) // 2]]
    if evaluations:
        end = lbfgs(objective.loss_and_gradient, starts[0], evaluations)
        best, backward = min(best, end, key=lambda end: end.loss), backward + end.evaluations
    mask = best.mask if best.loss < objective.unperturbed else np.zeros_like(best.mask)
    return Found(mask, window, loss, forward, backward)


def _starts(objective: ClipObjective, masks: np.ndarray) -> tuple[list[np.ndarray], int]:
    """Where to descend from if no window is good enough, and the forward passes it took to know.

    The best window; the next best that differs by `APART` frames; the published procedure's central window; and the
    whole clip, but not quite: where every frame is frozen for certain, no gradient tells which of them mattered.

    Args:
      masks: the windows tried, the best first.
    """
    num_frames = objective.num_frames
    centred = centred_windows(num_frames)
    drops = objective.unperturbed - objective.scores(centred)
    central = centred[central_window(drops, ENOUGH)]
    others = [mask for mask in masks if np.abs(mask - masks[0]).sum() >= APART]
    starts = [masks[0], *others[:1], central, np.float32(ENOUGH) * Window(1, num_frames).mask(num_frames)]
    return list({mask.tobytes(): mask for mask in starts}.values()), len(centred)


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
