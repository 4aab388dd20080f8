"""Eq. 1, what a mask costs, for masks that come from elsewhere than `TemporalMask`.

Mänttäri et al., "Interpreting Video Features", ACCV 2020, section 3.1. Every way to find a mask can so be held against
the objective that the paper's descends on.
"""

import tensorflow as tf

from tfvid.explain.base import Classifier, check_choice, class_score
from tfvid.explain.temporal_mask import VARIATIONS, Terms, total_variation
from tfvid.perturb import PERTURBATIONS


class Objective:
    """A function of clips, masks and classes; the options are those of `TemporalMask`, with its defaults.

    Args:
      classifier: prepared before the first call.
      perturbation: what a mask does to a frame.
      length_weight: the price of one perturbed frame.
      variation_weight: the price of a change along the mask.
      variation: "published" or "paper".
      variation_power: >= 1.
    """

    def __init__(
        self,
        classifier: Classifier,
        perturbation="freeze",
        *,
        length_weight: float = 0.01,
        variation_weight: float = 0.02,
        variation: str = "published",
        variation_power: float = 3.0,
    ):
        check_choice("variation", variation, VARIATIONS)
        self.classifier = classifier
        self.perturb = perturbation if callable(perturbation) else PERTURBATIONS.find(perturbation)
        self.length_weight = length_weight
        self.variation_weight = variation_weight
        self.variation = variation
        self.variation_power = variation_power

    def __call__(self, clips: tf.Tensor, mask: tf.Tensor, target: tf.Tensor) -> Terms:
        """The three terms, each float32 `(B,)`.

        Args:
          clips: float32 `(B, T, H, W, C)`, T >= 2.
          mask: float32 `(B, T)` in [0, 1], 1 = perturbed.
          target: int32 `(B,)`, the class explained.
        """
        score = class_score(self.classifier.probabilities(self.perturb(clips, mask)), target)
        length = self.length_weight * tf.reduce_sum(mask, axis=-1)
        return Terms(length, self.variation_weight * total_variation(mask, self.variation, self.variation_power), score)
