"""What a few scores and gradients say about all masks: a Gaussian process.

The score of a clip is a smooth function of its mask, and each look at it is a run of the model. A Gaussian process fits
all looks at once and predicts the score of any other mask, with how far the prediction may be off:

    z(m) ~ GP(mean, s^2 exp(-|m - m'|^2 / 2 l^2)),      cov(z(m), dz(m')/dm')  and  cov(dz, dz')  by differentiating it

z is the log-odds of a probability, since those vary evenly where a probability sticks to 0 or 1; a score without bounds
is taken as it is. The length l is the one under which the looks are most likely.

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
NOISE = 1e-6  # of the prior's variance: what rounding leaves
LEAST = 1e-4  # a probability below it counts as this; masks gain nothing from lower ones
MOST_ROWS = 500  # values and partial derivatives in one fit, whose time grows with their cube
GROWN = 1.25  # so many times the rows of the last choice of a length, and it is chosen again


class Surrogate:
    """A Gaussian process of the scores of one clip under masks.

    Args:
      is_probability: whether scores are probabilities; others have no bounds.
    """

    def __init__(self, is_probability: bool = True):
        self.is_probability = is_probability
        self._masks: list[np.ndarray] = []
        self._values: list[float] = []
        self._gradients: list[tuple[np.ndarray, np.ndarray]] = []  # (mask, gradient of z)
        self._lengths = LENGTHS  # to be tried in the next choice
        self._chosen_with = 0  # rows

    def add_scores(self, masks, scores):
        """Learns the scores `(W,)` of masks `(W, T)`."""
        self._masks += [np.asarray(mask, float) for mask in masks]
        self._values += [float(self._z(score)) for score in scores]

    def add_gradient(self, mask, score: float, gradient):
        """Learns the score of a mask `(T,)` and its gradient there `(T,)`."""
        self.add_scores([mask], [score])
        if not self.is_probability:
            slope = 1.0
        elif LEAST < score < 1 - LEAST:
            slope = 1 / (score * (1 - score))
        else:
            slope = 0.0
        self._gradients.append((np.asarray(mask, float), slope * np.asarray(gradient, float)))

    def fit(self, near=None):
        """Fits all looks; where there are too many gradients, those at the masks nearest to `near` `(T,)`."""
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
        self._inverse = cho_solve(factor, np.eye(len(targets)))
        if is_choice:
            nearest = LENGTHS.index(self._length)
            self._lengths, self._chosen_with = LENGTHS[max(nearest - 1, 0) : nearest + 2], len(targets)

    def _fits(self, lengths, targets: np.ndarray, noise: float) -> list[tuple]:
        """For each length that can be fitted: the looks' likelihood, the length, weights, variance, Cholesky factor."""
        fits = []
        masks, at = self._at
        for length in lengths:
            covariance = _covariance(masks, at, masks, at, length)
            covariance[np.diag_indices_from(covariance)] *= 1 + noise
            try:
                factor = cho_factor(covariance, lower=True)
            except LinAlgError:  # the looks lie too close together for so long a length
                continue
            weights = cho_solve(factor, targets)
            variance = max(targets @ weights / len(targets), 1e-12)
            likelihood = -len(targets) / 2 * np.log(variance) - np.log(np.diag(factor[0])).sum()
            fits.append((likelihood, length, weights, variance, factor))
        return fits

    def scores(self, masks: np.ndarray, deviations: float = 0.0) -> np.ndarray:
        """What is predicted for masks `(W, T)`, so many standard deviations above the mean: `(W,)`."""
        none = np.zeros((0, masks.shape[1]))
        known_masks, at = self._at
        known = _covariance(np.asarray(masks, float), none, known_masks, at, self._length)
        z = self._mean + known @ self._weights
        spread = 1 - np.einsum("wi,ij,wj->w", known, self._inverse, known)
        return self._score(z + deviations * np.sqrt(self._variance * np.maximum(spread, 1e-12)))

    def score_and_gradient(self, mask: np.ndarray, deviations: float) -> tuple[float, np.ndarray]:
        """`scores` of one mask `(T,)`, and the gradient there `(T,)`."""
        known, slopes = self._known(mask)
        z, gradient = self._mean + known @ self._weights, slopes @ self._weights
        if deviations:
            share = self._inverse @ known
            deviation = np.sqrt(self._variance * max(1 - known @ share, 1e-12))
            z += deviations * deviation
            gradient -= deviations * self._variance / deviation * (slopes @ share)
        score = self._score(z)
        return score, gradient * (score * (1 - score) if self.is_probability else 1.0)

    def _known(self, mask):
        """The covariances of z(mask) with all looks `(N,)`, and their gradients at the mask `(T, N)`."""
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
    """Of the values at `masks` and the gradients `at` others, `(W, T)` and `(G, T)`, with those at two more such sets.

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
    """NumPy and SciPy with one thread: for matrices this small, more threads are 5 times slower on a busy machine."""
    with _blas().limit(limits=1, user_api="blas"):
        yield


@cache
def _blas() -> ThreadpoolController:
    """The libraries of linear algebra that are loaded; to find them takes milliseconds."""
    return ThreadpoolController()
