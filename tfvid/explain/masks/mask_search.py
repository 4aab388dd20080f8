"""Searches for the mask of one clip. They run the model far less often than Adam from a fixed start.

`best_window` evaluates contiguous binary masks, by forward passes only, until it is certain which one is the best.

`descended` finds a soft mask. Only the score in the loss (Eq. 1) needs the model; length, variation and their gradients
have a closed form. A `Surrogate` is fitted to all scores and gradients computed so far. The next mask to evaluate
minimises

    length + variation + (the predicted score, plus a share of its standard deviation)

within the box [0, 1] and within a radius of the best mask so far. This minimisation (L-BFGS-B, a quasi-Newton method)
does not run the model. The radius grows after good predictions and shrinks after bad ones, as in a trust region (Conn,
Gould & Toint, "Trust-Region Methods", SIAM 2000; with a Gaussian process: Eriksson et al., "Scalable Global
Optimization via Local Bayesian Optimization", NeurIPS 2019).
"""

import functools
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

WINDOWS_AT_ONCE = 8  # per forward pass; bounds memory


class Found(NamedTuple):
    """The result of a search for one clip.

    Attributes:
      mask: float32 `(T,)`.
      window: float32 `(T,)`, the best window; a descent starts from it.
      window_loss: its loss.
      backward_passes: the number of gradients computed.
    """

    mask: np.ndarray
    window: np.ndarray
    window_loss: float
    backward_passes: int


class Memoised:
    """The memoised scores of one clip under masks. Several parts of a search need the same windows.

    Args:
      scores: masks float32 `(W, T)` to scores `(W,)`.

    Attributes:
      known: the scores by mask (its bytes); one per forward pass.
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
      costs: masks float32 `(W, T)` to the sums of their length and variation terms `(W,)`.
      price: a mask `(T,)` to the same sum in float64, and its gradient `(T,)`.
      scores: masks to the scores of the perturbed clip `(W,)`.
      loss_and_gradient: a mask `(T,)` to its loss, and its gradient `(T,)`.
      matrix: masks to their mixing matrices of frames `(W, T, T)`; None if the perturbation does not mix frames.
      unperturbed: the score of the empty mask. It is the loss of this mask, but for the penalty.
      floor: a lower bound of all scores: 0 for probabilities.
      penalty: scores to what the loss adds for them, >= 0, and the derivative of that; None for nothing.
    """

    num_frames: int
    costs: Callable[[np.ndarray], np.ndarray]
    price: Callable[[np.ndarray], tuple[float, np.ndarray]]
    scores: Callable[[np.ndarray], np.ndarray]
    loss_and_gradient: Callable[[np.ndarray], tuple[float, np.ndarray]]
    matrix: Callable[[np.ndarray], np.ndarray] | None
    unperturbed: float
    floor: float = 0.0
    penalty: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]] | None = None

    def charged(self, scores):
        """Returns scores with their penalty."""
        return scores if self.penalty is None else scores + self.penalty(scores)[0]

    @property
    def empty_loss(self) -> float:
        """The loss of the empty mask."""
        return float(self.charged(self.unperturbed))

    def bounds(self, masks: np.ndarray) -> np.ndarray:
        """Returns lower bounds of the losses of masks `(W, T)`: `(W,)`."""
        return self.costs(masks) + self.floor


def best_window(objective: ClipObjective) -> Found:
    """Returns the contiguous binary mask (or the empty mask) with the lowest loss."""
    masks = window_masks(objective.num_frames)
    costs = objective.costs(masks)
    if objective.matrix is not None:
        rows = distinct(masks, costs, objective.matrix)
        masks, costs = masks[rows], costs[rows]
    losses = functools.partial(_losses_of_rows, objective, masks)
    row, loss = lowest(costs, losses, WINDOWS_AT_ONCE, objective.floor)
    mask, loss = (masks[row], loss) if loss < objective.empty_loss else (0 * masks[row], objective.empty_loss)
    return Found(mask, mask, loss, 0)


def _losses_of_rows(objective: ClipObjective, masks: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return objective.charged(objective.scores(masks[rows]))


ENOUGH = 0.9  # share of the score: the best mask lies near a window that lowers the score by this much
LITTLE = 0.1  # share of the score: if no window of the grid lowers the score by this much, all windows are tried
FIRST, THEN, ROUNDS = 5, 4, 4  # grid windows evaluated at a time; predicted windows per round; rounds
OPTIMISM = 0.7  # standard deviations below the mean in the predicted score of a window
LATER = 3  # frames by which the start of the best mask is moved at the end
WORTH = 2e-3  # a window is evaluated if its predicted loss is lower than the best by this much
TRIAL = 5  # gradients per start before the worse half of the starts is dropped
NEAR, APART = 0.02, 3  # a second start: a loss this close to the best, and a mask that differs by this many frames


class Looks:
    """All evaluations of one clip: scores and gradients, each computed once, and the surrogate fitted to them.

    Args:
      objective: of the clip.

    Attributes:
      objective: as given.
      surrogate: is fitted to all evaluations.
      losses: by mask (its bytes).
      gradients: the number of gradients computed.
    """

    def __init__(self, objective: ClipObjective):
        self.objective = objective
        self.surrogate = Surrogate(is_probability=objective.floor == 0)
        self.surrogate.add_scores(np.zeros((1, objective.num_frames)), [objective.unperturbed])
        self.losses: dict[bytes, float] = {}
        self.gradients = 0
        self._descended: set[bytes] = set()

    def windows(self, masks: np.ndarray) -> np.ndarray:
        """Returns the losses of masks `(W, T)`, by forward passes: `(W,)`."""
        new = [mask for mask in masks if mask.tobytes() not in self.losses]
        if new:
            new = np.array(new)
            scores = self.objective.scores(new)
            self.surrogate.add_scores(new, scores)
            losses = self.objective.costs(new) + self.objective.charged(scores)
            self.losses.update(zip((mask.tobytes() for mask in new), losses, strict=True))
        return np.array([self.losses[mask.tobytes()] for mask in masks])

    def loss_with_gradient(self, mask: np.ndarray) -> float:
        """Returns the loss of a mask `(T,)`; its gradient is added to the surrogate."""
        key = mask.tobytes()
        if key not in self._descended:
            loss, gradient = self.objective.loss_and_gradient(mask)
            price, slope = self.objective.price(mask)
            self.surrogate.add_gradient(mask, loss - price, gradient - slope)
            if self.objective.penalty is not None:
                loss += float(self.objective.penalty(np.asarray(loss - price))[0])
            self.losses[key] = loss
            self._descended.add(key)
            self.gradients += 1
        return self.losses[key]

    def best(self) -> tuple[np.ndarray, float]:
        """Returns the mask with the lowest loss so far (or the empty mask), and its loss."""
        key = min(self.losses, key=self.losses.__getitem__, default=b"")
        if self.losses.get(key, np.inf) < self.objective.empty_loss:
            return np.frombuffer(key, np.float32), self.losses[key]
        return np.zeros(self.objective.num_frames, np.float32), self.objective.empty_loss


def descended(objective: ClipObjective, evaluations: int) -> Found:
    """Finds a soft mask: a coarse search for a window, then a descent from it.

    In most clips one window removes nearly all of the score, and the descent starts from it. If a second window is
    nearly as good, there are two starts. If no window is good enough, there are several starts (see `_starts`): the
    best mask may then have two spans, or contain nearly all frames. All starts get `TRIAL` gradients; the better half
    gets as many again, and so on until one start is left. At the end, windows with sharp edges that begin up to `LATER`
    frames later are tried. The mask is never worse than any window tried or than the empty mask.

    Args:
      objective: of the clip.
      evaluations: the maximum number of gradients of one start.
    """
    looks = Looks(objective)
    masks, losses = promising_windows(looks)
    if objective.floor == 0 and losses[0] > (1 - LITTLE) * objective.empty_loss:
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
    """Evaluates windows of a coarse grid, then the windows with the best predictions of the surrogate.

    Args:
      looks: the evaluations of the clip, still empty.

    Returns:
      The masks evaluated `(W, T)`, best first, and their losses `(W,)`.
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
    order = sorted(tried, key=tried.__getitem__)
    return np.array([np.frombuffer(mask, np.float32) for mask in order]), np.array([tried[mask] for mask in order])


def later_window(looks: Looks) -> np.ndarray | None:
    """Returns the best binary window that starts with the best mask or up to `LATER` frames later, or None.

    None: no such window is better than the best mask. After a soft first edge every frozen frame is a mixture of
    frames, so a descent may not reach a sharp edge a few frames later.
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
    """Returns the initial masks of the descents.

    If the best window removes most of the score: that window, and the next different window if it is nearly as good.
    Otherwise: both windows, the central window of the published method, and the whole clip at 0.9. (With all frames
    fully frozen, the gradient does not show which of them matter.)

    Args:
      looks: the evaluations of the clip.
      masks: the windows evaluated `(W, T)`, best first.
      losses: their losses `(W,)`.
    """
    objective, num_frames = looks.objective, looks.objective.num_frames
    other = next((row for row, mask in enumerate(masks) if np.abs(mask - masks[0]).sum() >= APART), 0)
    left = losses[0] - objective.costs(masks[:1])[0]
    if objective.floor == 0 and left <= (1 - ENOUGH) * objective.empty_loss:  # a logit has no share
        starts = masks[[0, other] if losses[other] < losses[0] + NEAR else [0]]
    else:
        centred = centred_windows(num_frames)
        scores = looks.windows(centred) - objective.costs(centred)
        central = central_window(objective.empty_loss - scores, ENOUGH)
        whole = np.float32(ENOUGH) * Window(1, num_frames).mask(num_frames)
        starts = [masks[0], masks[other], centred[central], whole]
    return list({mask.tobytes(): mask for mask in starts}.values())


RADIUS = 0.25  # the largest change of a mask value in the first step
SHRINK, GROW = 0.4, 2.0  # factors of the radius
WRONG, RIGHT = 0.1, 0.6  # below and above these shares of the predicted gain the radius shrinks or grows
CAUTION = 0.7  # standard deviations above the mean in the predicted score of a mask
LEAST_GAIN = 1e-4  # a descent ends if the predicted gain in loss is smaller, with CAUTION and without
PATIENCE = 6  # or after this many steps in a row with a smaller gain


class Descent:
    """A trust-region descent from one initial mask. All descents of a clip share one surrogate.

    Args:
      looks: the evaluations of the clip.
      start: the initial mask, float32 `(T,)`.

    Attributes:
      loss: the lowest loss so far.
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
        """Continues until `steps` steps have been taken in total, or the descent is done."""
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
        """Adapts the radius to the ratio of the gain to the predicted gain."""
        moved = np.abs(self._next - self._mask).max()
        if gain < WRONG * self._predicted:
            self._radius = max(SHRINK * moved, 0.02)
        elif gain > RIGHT * self._predicted and moved > 0.8 * self._radius:
            self._radius = min(GROW * self._radius, 1)
        self._idle = 0 if gain > LEAST_GAIN else self._idle + 1

    def _predict(self, caution: float) -> tuple[np.ndarray, float]:
        """Returns the mask with the lowest predicted loss within the radius of the best mask, and that loss."""
        surrogate, objective = self._looks.surrogate, self._looks.objective
        price, penalty = objective.price, objective.penalty

        def predicted(mask):
            score, gradient = surrogate.score_and_gradient(mask, caution)
            cost, slope = price(mask)
            if penalty is not None:
                more, rate = penalty(score)
                score, gradient = score + more, gradient * (1 + rate)
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
