"""Eq. 1, what a mask over time costs: its length, its changes, and the score that is left.

    length_weight * sum_t |m[t]|  +  variation_weight * TV(m)  +  score_c(perturb(x, m))

Mänttäri et al., "Interpreting Video Features", ACCV 2020, section 3.1. `TemporalMask` descends on it; every other way
to find a mask can be held against it.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfvid.core.errors import TfvidError, check_choice
from tfvid.explain.masks.stem import Mixtures
from tfvid.network.classifier import class_score
from tfvid.perturb import PERTURBATIONS


class Terms(NamedTuple):
    """The three terms of Eq. 1, each `(B,)`."""

    length: tf.Tensor
    variation: tf.Tensor
    score: tf.Tensor

    @property
    def loss(self):
        return self.length + self.variation + self.score


class Objective:
    """A function of masks, and of what a model makes of clips perturbed with them.

    Args:
      perturbation: what a mask does to a clip: "freeze", "reverse", "blur", a user's ``"my_file.py:name"``, or a
        function (clips, mask) -> clips.
      length_weight: lambda 1, the price of one perturbed frame.
      variation_weight: lambda 2, the price of a change along the mask.
      variation: "published" or "paper", see `total_variation`.
      variation_power: beta, >= 1.
      score: what is driven down: "probability", as in the paper, or "logit".

    Attributes:
      perturb: the perturbation, a function (clips, mask) -> clips.

    Raises:
      TfvidError: a choice that does not exist, or a power below 1.
    """

    def __init__(
        self,
        perturbation="freeze",
        *,
        length_weight: float = 0.01,
        variation_weight: float = 0.02,
        variation: str = "published",
        variation_power: float = 3.0,
        score: str = "probability",
    ):
        check_choice("variation", variation, VARIATIONS)
        check_choice("score", score, ("probability", "logit"))
        if variation_power < 1:
            raise TfvidError(f"expected variation_power >= 1, got {variation_power}")
        self.perturb = perturbation if callable(perturbation) else PERTURBATIONS.find(perturbation)
        self.length_weight = length_weight
        self.variation_weight = variation_weight
        self.variation = variation
        self.variation_power = variation_power
        self.score = score

    def __call__(self, mixtures: Mixtures, mask: tf.Tensor, target: tf.Tensor) -> Terms:
        """The three terms, each float32 `(B,)`.

        Args:
          mixtures: of the clips.
          mask: float32 `(B, T)` in [0, 1], 1 = perturbed, T >= 2.
          target: int32 `(B,)`, the class explained.
        """
        score = class_score(mixtures(self.perturb, mask, self.score), target)
        return Terms(self.length(mask), self.changes(mask), score)

    def length(self, mask):
        """The first term: `(B, T)` to `(B,)`."""
        return self.length_weight * tf.reduce_sum(tf.abs(mask), axis=-1)

    def price(self, mask: np.ndarray) -> tuple[float, np.ndarray]:
        """The first two terms of one mask `(T,)` with values >= 0, in float64, and their gradient `(T,)`."""
        mask, power = np.asarray(mask, float), self.variation_power
        change = np.diff(mask)
        counts = np.full(len(change), 1 if self.variation == "paper" else 2)  # see `total_variation`
        if self.variation == "published":
            np.subtract.at(counts, [0, -1], 1)  # twice where the first change is the last
        total = self.length_weight * mask.sum() + self.variation_weight * (counts * np.abs(change) ** power).sum()
        slope = self.variation_weight * counts * power * np.sign(change) * np.abs(change) ** (power - 1)
        gradient = np.full(len(mask), float(self.length_weight))
        gradient[1:] += slope
        gradient[:-1] -= slope
        return float(total), gradient

    def changes(self, mask):
        """The second term: `(B, T)` to `(B,)`."""
        return self.variation_weight * total_variation(mask, self.variation, self.variation_power)


VARIATIONS = ("published", "paper")


def total_variation(mask, variation: str = "published", power: float = 3.0):
    """How much a mask changes along time.

    With ``d[t] = |m[t+1] - m[t]|^power``, "paper" is ``sum d`` (section 3.1); "published" is what the authors' code
    computes, ``2 sum d - d[0] - d[-1]``: it visits the inner frames and adds the differences to both neighbours.

    Args:
      mask: `(B, T)`, T >= 2.
      variation: "published" or "paper".
      power: beta, >= 1.

    Returns:
      `(B,)`.
    """
    d = tf.abs(mask[:, 1:] - mask[:, :-1]) ** power
    total = tf.reduce_sum(d, axis=-1)
    return total if variation == "paper" else 2 * total - d[:, 0] - d[:, -1]
