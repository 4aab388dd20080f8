"""A Gaussian process that predicts the score of any mask from a few evaluated scores and gradients.

The score of a clip is a smooth function of its mask, and each evaluation runs the model. A Gaussian process is fitted
to all evaluations and predicts the score of any other mask, with a standard deviation:

    z(m) ~ GP(mean, s^2 exp(-|m - m'|^2 / 2 l^2)),      cov(z(m), dz(m')/dm')  and  cov(dz, dz')  by differentiating it

z is the log-odds of a probability: it still varies where the probability saturates at 0 or 1. An unbounded score is
used as it is. The length l maximises the likelihood of the evaluations.

Rasmussen & Williams, "Gaussian Processes for Machine Learning", MIT Press 2006, sections 2.2, 5.4.1 and, for
derivatives, 9.4.
"""

from contextlib import contextmanager
from functools import cache

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.special import expit, logit
from threadpoolctl import ThreadpoolController

LENGTHS = (0.7, 1.0, 1.4, 2.0, 2.8, 4.0)
NOISE = 1e-6  # share of the prior's variance, for rounding errors
LEAST = 1e-4  # lower probabilities count as this; lower ones do not matter for the loss
MOST_ROWS = 500  # values and partial derivatives in one fit; its time is cubic in them
GROWN = 1.25  # the length is chosen again when the rows have grown by this factor


class Surrogate:
    """A Gaussian process of the scores of one clip under masks.

    Args:
      is_probability: whether scores are probabilities; other scores are unbounded.

    Attributes:
      inverse: of the covariance of all evaluations in the last fit, `(N, N)`.
    """

    def __init__(self, is_probability: bool = True):
        self.is_probability = is_probability
        self._masks: list[np.ndarray] = []
        self._values: list[float] = []
        self._gradients: list[tuple[np.ndarray, np.ndarray]] = []  # (mask, gradient of z)
        self._lengths = LENGTHS  # to be tried in the next choice
        self._chosen_with = 0  # rows

    def add_scores(self, masks, scores):
        """Adds the scores `(W,)` of masks `(W, T)`."""
        self._masks += [np.asarray(mask, float) for mask in masks]
        self._values += [float(self._z(score)) for score in scores]

    def add_gradient(self, mask, score: float, gradient):
        """Adds the score of a mask `(T,)` and its gradient `(T,)`."""
        self.add_scores([mask], [score])
        if not self.is_probability:
            slope = 1.0
        elif LEAST < score < 1 - LEAST:
            slope = 1 / (score * (1 - score))
        else:
            slope = 0.0
        self._gradients.append((np.asarray(mask, float), slope * np.asarray(gradient, float)))

    def fit(self, near=None):
        """Fits the process to all evaluations.

        Args:
          near: a mask `(T,)`. If there are too many gradients, those at the masks nearest to it are used.
        """
        masks, gradients = np.array(self._masks), self._gradients
        num_frames = masks.shape[1]
        most = max((MOST_ROWS - len(masks)) // num_frames, 1)
        if len(gradients) > most:
            gradients = sorted(gradients, key=lambda known: np.sum((known[0] - near) ** 2))[:most]
        at = np.array([mask for mask, _ in gradients]).reshape(-1, num_frames)
        values = np.array(self._values)
        self._mean = values.mean()
        targets = np.concatenate([values - self._mean, *(gradient for _, gradient in gradients)])
        self._at = masks, at
        is_choice = len(targets) > GROWN * self._chosen_with
        noise, fits = NOISE, self._fits(self._lengths if is_choice else (self._length,), targets, NOISE)
        while not fits:
            noise *= 100
            fits = self._fits(LENGTHS, targets, noise)
        _, self._length, self._weights, self._variance, factor = max(fits, key=lambda fit: fit[0])
        self.inverse = cho_solve(factor, np.eye(len(targets)))
        if is_choice:
            nearest = LENGTHS.index(self._length)
            self._lengths, self._chosen_with = LENGTHS[max(nearest - 1, 0) : nearest + 2], len(targets)

    def _fits(self, lengths, targets: np.ndarray, noise: float) -> list[tuple]:
        """Returns (likelihood, length, weights, variance, Cholesky factor) for each length that can be fitted."""
        fits = []
        masks, at = self._at
        for length in lengths:
            covariance = _covariance(masks, at, masks, at, length)
            covariance[np.diag_indices_from(covariance)] *= 1 + noise
            try:
                factor = cho_factor(covariance, lower=True)
            except LinAlgError:  # the masks are too close to one another for this length
                continue
            weights = cho_solve(factor, targets)
            variance = max(targets @ weights / len(targets), 1e-12)
            likelihood = -len(targets) / 2 * np.log(variance) - np.log(np.diag(factor[0])).sum()
            fits.append((likelihood, length, weights, variance, factor))
        return fits

    def scores(self, masks: np.ndarray, deviations: float = 0.0) -> np.ndarray:
        """Returns the predicted scores `(W,)` of masks `(W, T)`, `deviations` standard deviations above the mean."""
        none = np.zeros((0, masks.shape[1]))
        known_masks, at = self._at
        known = _covariance(np.asarray(masks, float), none, known_masks, at, self._length)
        z = self._mean + known @ self._weights
        spread = 1 - np.einsum("wi,ij,wj->w", known, self.inverse, known)
        return self._score(z + deviations * np.sqrt(self._variance * np.maximum(spread, 1e-12)))

    def score_and_gradient(self, mask: np.ndarray, deviations: float) -> tuple[float, np.ndarray]:
        """Returns the predicted score of one mask `(T,)`, as `scores` does, and its gradient `(T,)`."""
        known, slopes = self._known(mask)
        z, gradient = self._mean + known @ self._weights, slopes @ self._weights
        if deviations:
            share = self.inverse @ known
            deviation = np.sqrt(self._variance * max(1 - known @ share, 1e-12))
            z += deviations * deviation
            gradient -= deviations * self._variance / deviation * (slopes @ share)
        score = self._score(z)
        return score, gradient * (score * (1 - score) if self.is_probability else 1.0)

    def _known(self, mask):
        """Returns the covariances of z(mask) with all evaluations `(N,)`, and their gradients at the mask `(T, N)`."""
        masks, at = self._at
        squared = self._length**2
        apart = mask - masks
        values = np.exp(-(apart**2).sum(axis=1) / 2 / squared)
        value_slopes = -(values[:, np.newaxis] * apart / squared).T
        apart = mask - at
        kernel = np.exp(-(apart**2).sum(axis=1) / 2 / squared)
        partials = kernel[:, np.newaxis] * apart / squared
        outer = apart[:, :, np.newaxis] * apart[:, np.newaxis, :] / squared**2
        partial_slopes = kernel[:, np.newaxis, np.newaxis] * (np.eye(len(mask)) / squared - outer)
        partial_slopes = partial_slopes.transpose(1, 0, 2).reshape(len(mask), -1)
        return np.concatenate([values, partials.ravel()]), np.concatenate([value_slopes, partial_slopes], axis=1)

    def _z(self, score):
        return logit(np.clip(score, LEAST, 1 - LEAST)) if self.is_probability else score

    def _score(self, z):
        return expit(z) if self.is_probability else z


def _covariance(masks, at, other_masks, other_at, length: float) -> np.ndarray:
    """Returns the covariance of values and gradients of z at two sets of masks.

    Args:
      masks: masks of the values, `(W, T)`.
      at: masks of the gradients, `(G, T)`.
      other_masks: of the second set, `(W', T)`.
      other_at: of the second set, `(G', T)`.
      length: l.

    Returns:
      `(W + G T, W' + G' T)`, in units of the prior's variance.
    """
    squared, num_frames = length**2, masks.shape[1]

    def apart(first, second):
        difference = first[:, np.newaxis] - second
        return difference, np.exp(-(difference**2).sum(axis=-1) / 2 / squared)

    _, values = apart(masks, other_masks)
    difference, kernel = apart(masks, other_at)
    to_gradients = (kernel[..., np.newaxis] * difference / squared).reshape(len(masks), -1)
    difference, kernel = apart(at, other_masks)
    of_gradients = -(kernel[..., np.newaxis] * difference / squared).transpose(0, 2, 1).reshape(-1, len(other_masks))
    difference, kernel = apart(at, other_at)
    outer = difference[..., :, np.newaxis] * difference[..., np.newaxis, :] / squared**2
    between = kernel[..., np.newaxis, np.newaxis] * (np.eye(num_frames) / squared - outer)
    between = between.transpose(0, 2, 1, 3).reshape(len(at) * num_frames, len(other_at) * num_frames)
    return np.block([[values, to_gradients], [of_gradients, between]])


@contextmanager
def one_blas_thread():
    """Limits NumPy and SciPy to one thread. On a busy machine more threads are 5 times slower for small matrices."""
    with _blas().limit(limits=1, user_api="blas"):
        yield


@cache
def _blas() -> ThreadpoolController:
    """Returns the loaded linear algebra libraries, which take milliseconds to find."""
    return ThreadpoolController()
