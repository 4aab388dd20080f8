"""Masks found clip by clip, with far fewer runs of the model than a descent from an arbitrary start takes.

`best_window` tries contiguous binary masks, by forward passes alone, until one is the best for certain.

`descended` finds a soft mask. Of the loss (Eq. 1) only the score needs the model: length and variation are known
exactly, and so are their gradients. So all scores and gradients that were asked for are kept in a `Surrogate`, and the
next mask to ask for is the one that minimises

    length + variation + (the predicted score, a standard deviation above its mean)

in the box [0, 1] and within a radius of the best mask so far, which costs no run of the model. The radius grows where
the prediction was right, and shrinks where it was not (a trust region: Conn, Gould & Toint, "Trust-Region Methods",
SIAM 2000; with a Gaussian process: Eriksson et al., "Scalable Global Optimization via Local Bayesian Optimization",
NeurIPS 2019).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

from tfvid.explain.masks.surrogate import Surrogate
from tfvid.explain.masks.windows import (
    Window,
    central_window,
    centred_windows,
    distinct,
    edged_windows,
    lowest,
    window_grid,
    window_masks,
)

WINDOWS_AT_ONCE = 8  # of one clip; bounds the memory of a search


class Found(NamedTuple):
    """What a search found for one clip."""

    mask: np.ndarray  # float32 (T,)
    window: np.ndarray  # float32 (T,), the best window, which the descent began with if there was one
    window_loss: float
    backward_passes: int


class Memoised:
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
      price: a mask `(T,)` to its cost in float64, and that one's gradient `(T,)`.
      scores: masks to the scores of the clip perturbed with them, `(W,)`.
      loss_and_gradient: a mask `(T,)` to its loss, and that one's gradient `(T,)`.
      matrix: masks to the mixtures of frames they stand for, `(W, T, T)`; None where the perturbation is no mixture.
      unperturbed: the score of the clip as it is, the loss of the empty mask.
      floor: what no score is below: 0 for probabilities.
    """

    num_frames: int
    costs: Callable[[np.ndarray], np.ndarray]
    price: Callable[[np.ndarray], tuple[float, np.ndarray]]
    scores: Callable[[np.ndarray], np.ndarray]
    loss_and_gradient: Callable[[np.ndarray], tuple[float, np.ndarray]]
    matrix: Callable[[np.ndarray], np.ndarray] | None
    unperturbed: float
    floor: float = 0.0

    def bounds(self, masks: np.ndarray) -> np.ndarray:
        """What the losses of masks `(W, T)` cannot be below: `(W,)`."""
        return self.costs(masks) + self.floor


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
LITTLE = 0.1  # of the score: where no window of the grid takes so much, all windows are tried
FIRST, THEN, ROUNDS = 5, 4, 4  # windows of the grid asked for at once; predicted ones; how often
OPTIMISM = 0.7  # standard deviations below the mean at which a window that was not tried is judged
LATER = 3  # frames by which the best mask's start is moved in the end
WORTH = 2e-3  # a window must promise to be better by so much
TRIAL = 5  # gradients spent on each start before it is known which ones are worth as many more
NEAR, APART = 0.02, 3  # a window whose loss is this near the best one's, and whose mask differs by so many frames


class Looks:
    """All that one clip was asked: scores and gradients, each asked for once, and what they predict.

    Attributes:
      objective: the clip's.
      surrogate: has learned all of it.
      losses: by mask, those of scores and of gradients.
      gradients: how many gradients were asked for.
    """

    def __init__(self, objective: ClipObjective):
        self.objective = objective
        self.surrogate = Surrogate(is_probability=objective.floor == 0)
        self.surrogate.add_scores(np.zeros((1, objective.num_frames)), [objective.unperturbed])
        self.losses: dict[bytes, float] = {}
        self.gradients = 0
        self._descended: set[bytes] = set()

    def windows(self, masks: np.ndarray) -> np.ndarray:
        """The losses of masks `(W, T)`, by forward passes: `(W,)`."""
        new = [mask for mask in masks if mask.tobytes() not in self.losses]
        if new:
            new = np.array(new)
            scores = self.objective.scores(new)
            self.surrogate.add_scores(new, scores)
            self.losses.update(zip((mask.tobytes() for mask in new), self.objective.costs(new) + scores, strict=True))
        return np.array([self.losses[mask.tobytes()] for mask in masks])

    def loss_with_gradient(self, mask: np.ndarray) -> float:
        """The loss of a mask `(T,)`, by a gradient that the surrogate learns."""
        key = mask.tobytes()
        if key not in self._descended:
            loss, gradient = self.objective.loss_and_gradient(mask)
            price, slope = self.objective.price(mask)
            self.surrogate.add_gradient(mask, loss - price, gradient - slope)
            self.losses[key] = loss
            self._descended.add(key)
            self.gradients += 1
        return self.losses[key]

    def best(self) -> tuple[np.ndarray, float]:
        """The mask of the lowest loss so far, the empty one among them, and its loss."""
        key = min(self.losses, key=self.losses.get, default=b"")
        if self.losses.get(key, np.inf) < self.objective.unperturbed:
            return np.frombuffer(key, np.float32), self.losses[key]
        return np.zeros(self.objective.num_frames, np.float32), self.objective.unperturbed


def descended(objective: ClipObjective, evaluations: int) -> Found:
    """A soft mask: the best window that a coarse search finds, and a descent from there.

    Most clips have a window that takes nearly all of the score: the descent begins there, with at most so many
    gradients. Where another window is nearly as good, there are two starts; and where none is good enough, several, see
    `_starts`: the best mask may be of two spans there, or of nearly all frames. All starts take `TRIAL` gradients, the
    better half of them as many again, and so on until one is left. In the end its first edge is tried sharp and a few
    frames later. The mask is never worse than a window that was tried, nor than the empty mask.
    """
    looks = Looks(objective)
    masks, losses = promising_windows(looks)
    if objective.floor == 0 and losses[0] > (1 - LITTLE) * objective.unperturbed:
        window = best_window(objective).mask[np.newaxis]
        if window.any() and looks.windows(window)[0] < losses[0]:
            masks, losses = np.concatenate([window, masks]), np.concatenate([looks.windows(window), losses])
    descents = [Descent(looks, start) for start in _starts(looks, masks, losses)]
    taken = 0
    while taken < evaluations:
        taken = evaluations if len(descents) == 1 else min(taken + TRIAL, evaluations)
        for descent in descents:
            descent.go_on(taken)
        descents = sorted(descents, key=lambda descent: descent.loss)[: max(len(descents) // 2, 1)]
        if all(descent.is_done for descent in descents):
            break
    if (window := later_window(looks)) is not None:
        Descent(looks, window).go_on(evaluations)
    mask, _ = looks.best()
    return Found(mask, masks[0], float(losses[0]), looks.gradients)


def promising_windows(looks: Looks) -> tuple[np.ndarray, np.ndarray]:
    """Windows by a coarse grid, then by what the surrogate predicts of all others.

    Args:
      looks: at a clip, none yet.

    Returns:
      The masks tried `(W, T)`, the best first, and their losses `(W,)`.
    """
    objective, tried = looks.objective, looks.losses
    grid = window_grid(objective.num_frames)
    bounds = objective.bounds(grid)
    grid, bounds = grid[np.argsort(bounds, kind="stable")], np.sort(bounds)
    for start in range(0, len(grid), FIRST):
        chunk = slice(start, start + FIRST)
        looks.windows(grid[chunk][(bounds[chunk] < looks.best()[1]) | (start == 0)])
    others = edged_windows(objective.num_frames)
    costs = objective.costs(others)
    for _ in range(ROUNDS):
        looks.surrogate.fit()
        hoped = costs + looks.surrogate.scores(others, -OPTIMISM)
        hoped[[mask.tobytes() in tried for mask in others]] = np.inf
        rows = np.argsort(hoped, kind="stable")[:THEN]
        rows = rows[hoped[rows] < looks.best()[1] - WORTH]
        if not rows.size:
            break
        looks.windows(others[rows])
    order = sorted(tried, key=tried.get)
    return np.array([np.frombuffer(mask, np.float32) for mask in order]), np.array([tried[mask] for mask in order])


def later_window(looks: Looks) -> np.ndarray | None:
    """The best contiguous binary mask that begins with the best mask or a few frames later, if it is better; else None.

    Behind a soft first edge every frozen frame is a mixture, so a descent may stop short of a sharp edge further on.
    """
    mask, lowest = looks.best()
    frames = np.flatnonzero(mask > 0.5)
    if not frames.size:
        return None
    start, stop = frames[0], frames[-1] + 1
    starts = range(start, min(start + LATER + 1, stop))
    looks.windows(np.array([Window(first, stop, 0, 0).mask(looks.objective.num_frames) for first in starts]))
    window, loss = looks.best()
    return window if loss < lowest else None


def _starts(looks: Looks, masks: np.ndarray, losses: np.ndarray) -> list[np.ndarray]:
    """Where to descend from.

    The best window, and the next best that differs from it where that one is nearly as good. Where neither takes most
    of the score: both; the published procedure's central window; and the whole clip, but not quite, since where every
    frame is frozen for certain no gradient tells which of them mattered.

    Args:
      looks: at the clip.
      masks: the windows tried `(W, T)`, the best first.
      losses: theirs.
    """
    objective, num_frames = looks.objective, looks.objective.num_frames
    other = next((row for row, mask in enumerate(masks) if np.abs(mask - masks[0]).sum() >= APART), 0)
    left = losses[0] - objective.costs(masks[:1])[0]
    if objective.floor == 0 and left <= (1 - ENOUGH) * objective.unperturbed:  # of a logit there is no most
        starts = masks[[0, other] if losses[other] < losses[0] + NEAR else [0]]
    else:
        centred = centred_windows(num_frames)
        scores = looks.windows(centred) - objective.costs(centred)
        central = central_window(objective.unperturbed - scores, ENOUGH)
        whole = np.float32(ENOUGH) * Window(1, num_frames).mask(num_frames)
        starts = [masks[0], masks[other], centred[central], whole]
    return list({mask.tobytes(): mask for mask in starts}.values())


RADIUS = 0.25  # how far a mask value may move in the first step
SHRINK, GROW = 0.4, 2.0
WRONG, RIGHT = 0.1, 0.6  # the shares of the predicted gain at which the radius shrinks, and grows
CAUTION = 0.7  # standard deviations above the mean at which a mask that was not tried is judged
LEAST_GAIN = 1e-4  # of the loss: a descent ends where less is predicted, with caution and without
PATIENCE = 6  # steps in a row that gain less


class Descent:
    """A descent from one start; others of the same clip share what it learns.

    Args:
      looks: at the clip.
      start: a mask, float32 `(T,)`.

    Attributes:
      loss: the lowest so far.
      is_done: whether no further gain is expected.
    """

    def __init__(self, looks: Looks, start: np.ndarray):
        self.loss = np.inf
        self.is_done = False
        self._looks = looks
        self._mask = self._next = start
        self._radius = RADIUS
        self._predicted = np.inf
        self._steps = self._idle = 0

    def go_on(self, steps: int):
        """Goes on until so many steps were taken in all, or it is done."""
        while self._steps < steps and not self.is_done:
            self._step()

    def _step(self):
        loss = self._looks.loss_with_gradient(self._next)
        if self._steps:
            self._judge(self.loss - loss)
        if loss < self.loss:
            self.loss, self._mask = loss, self._next
        self._steps += 1
        self._looks.surrogate.fit(self._mask)
        for caution in (CAUTION, 0.0):
            self._next, lowest = self._predict(caution)
            self._predicted = self.loss - lowest
            if self._predicted >= LEAST_GAIN:
                break
        self.is_done = self._predicted < LEAST_GAIN or self._idle == PATIENCE

    def _judge(self, gain: float):
        """Adapts the radius to how far the last prediction was right."""
        moved = np.abs(self._next - self._mask).max()
        if gain < WRONG * self._predicted:
            self._radius = max(SHRINK * moved, 0.02)
        elif gain > RIGHT * self._predicted and moved > 0.8 * self._radius:
            self._radius = min(GROW * self._radius, 1)
        self._idle = 0 if gain > LEAST_GAIN else self._idle + 1

    def _predict(self, caution: float) -> tuple[np.ndarray, float]:
        """The mask near the best one whose predicted loss is the lowest, and that loss."""
        surrogate, price = self._looks.surrogate, self._looks.objective.price

        def predicted(mask):
            score, gradient = surrogate.score_and_gradient(mask, caution)
            cost, slope = price(mask)
            return score + cost, gradient + slope

        low, high = np.clip(self._mask - self._radius, 0, 1), np.clip(self._mask + self._radius, 0, 1)
        off_the_border = self._mask + 0.02 * (0.5 - self._mask)
        ends = [
            minimize(
                predicted,
                np.clip(start, low, high).astype(float),
                jac=True,
                method="L-BFGS-B",
                bounds=list(zip(low, high, strict=True)),
                options={"maxiter": 50, "ftol": 3e-6},  # far below `LEAST_GAIN`
            )
            for start in (off_the_border, self._next)
        ]
        best = min(ends, key=lambda end: end.fun)
        return np.clip(best.x, 0, 1).astype(np.float32), float(best.fun)
