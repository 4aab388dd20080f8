"""Eq. 1, the objective of a mask over time: its length, its variation, and the score of the perturbed clip.

    length_weight * sum_t |m[t]|  +  variation_weight * TV(m)  +  score_c(perturb(x, m))

Mänttäri et al., "Interpreting Video Features", ACCV 2020, section 3.1. `TemporalMask` minimises it; masks from other
methods can be compared by it.
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
    """Eq. 1 as a function of masks and of a model's scores of perturbed clips.

    Args:
      perturbation: what a mask does to the frames of a clip: "freeze", "reverse", "blur", a user's
        ``"my_file.py:name"``, or a function (clips, mask) -> clips.
      length_weight: lambda 1, the cost of one perturbed frame.
      variation_weight: lambda 2, the cost of changes along the mask.
      variation: "published" or "paper", see `total_variation`.
      variation_power: beta, >= 1.
      score: the score to lower: "probability", as in the paper, or "logit".

    Attributes:
      kind: class attribute: "necessary", or "sufficient" for the dual.
      empty_is_clip: class attribute: whether the empty mask leaves a clip unchanged.
      perturb: the perturbation, a function (clips, mask) -> clips.

    Raises:
      TfvidError: an unknown choice, or a power below 1.
    """

    kind = "necessary"
    empty_is_clip = True

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
        """Returns the three terms, each float32 `(B,)`; the third without its penalty, see `charged`.

        Args:
          mixtures: the model's scores of the perturbed clips.
          mask: float32 `(B, T)` in [0, 1], 1 = perturbed, T >= 2.
          target: int32 `(B,)`, the class explained.
        """
        score = class_score(mixtures(self.perturb, mask, self.score), target)
        return Terms(self.length(mask), self.changes(mask), self.value(score))

    def value(self, score):
        """Returns what the objective lowers, from the scores of the perturbed clips: the scores themselves."""
        return score

    def charged(self, terms: Terms, original) -> Terms:
        """Returns the terms with all that the loss counts. Here they are complete.

        Args:
          terms: from a call.
          original: the scores of the unperturbed clips, `(B,)`.
        """
        del original
        return terms

    def length(self, mask):
        """Returns the first term `(B,)` of masks `(B, T)`."""
        return self.length_weight * tf.reduce_sum(tf.abs(mask), axis=-1)

    def price(self, mask: np.ndarray) -> tuple[float, np.ndarray]:
        """Returns the sum of the first two terms of a mask `(T,)` >= 0, in float64, and its gradient `(T,)`."""
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
        """Returns the second term `(B,)` of masks `(B, T)`."""
        return self.variation_weight * total_variation(mask, self.variation, self.variation_power)


VARIATIONS = ("published", "paper")


def total_variation(mask, variation: str = "published", power: float = 3.0):
    """Returns the total variation of masks along time.

    With ``d[t] = |m[t+1] - m[t]|^power``, "paper" is ``sum d`` (section 3.1). "published" is what the authors' code
    computes, ``2 sum d - d[0] - d[-1]``: for each inner frame it adds the differences to both neighbours.

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
