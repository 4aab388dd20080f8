"""The scores of a model for clips that are perturbed with masks over time."""

import tensorflow as tf

from tfvid.core.errors import warn_caller
from tfvid.explain.masks.objective import Objective
from tfvid.explain.masks.stem import Mixtures, Stem, find_stem
from tfvid.network import onednn
from tfvid.network.classifier import Classifier, chosen_class, class_score
from tfvid.perturb.temporal import freeze, reverse


class MaskEvaluator:
    """Evaluates masks over time: in the precision of the search, and at the end in the model's own.

    Args:
      classifier: the model, in its own precision.
      objective: Eq. 1, or its dual.
      precision: what the search computes in: None (as the model), "bfloat16" or "float16".

    Attributes:
      classifier: as given.
      objective: as given.
      searcher: the model in the precision of the search; `classifier` itself if that is the same. None before
        `prepare`.
      stem: the first convolution of `searcher`, computed once per clip; None if it cannot be shared.
    """

    def __init__(self, classifier: Classifier, objective: Objective, precision: str | None):
        self.classifier = classifier
        self.objective = objective
        self.searcher: Classifier | None = None
        self.stem: Stem | None = None
        self._precision = precision

    def prepare(self, clips: tf.Tensor):
        """Builds `searcher` and `stem`, once. `classifier` must be prepared.

        Args:
          clips: float32 `(B, T, H, W, C)`.
        """
        if self.searcher is None:
            precision = self._search_precision()
            searcher = self.classifier if precision is None else self.classifier.computing_in(precision)
            # A plain callable has no layers, so it has no stem.
            self.stem, self.searcher = find_stem(searcher, clips) if searcher.is_keras else None, searcher

    def _search_precision(self) -> str | None:
        """Returns the precision of the search, None for the model's own; warns if the machine does not support it."""
        if self._precision == "bfloat16" and self.classifier.is_keras and not onednn.has_bfloat16():
            message = "precision 'bfloat16': this machine has no bfloat16 instructions, so the search runs in float32"
            warn_caller(message)
            return None
        return self._precision

    @property
    def is_exact(self) -> bool:
        """Whether the search computes in the model's own precision."""
        return self.searcher is self.classifier

    def search_mixtures(self, clips: tf.Tensor, *features: tf.Tensor) -> Mixtures:
        """Returns the scores of perturbed `clips` in the precision of the search.

        Args:
          clips: float32 `(B, T, H, W, C)`.
          *features: those of the stem for these clips, if known.
        """
        return Mixtures(self.searcher, self.stem, clips, *features)

    def exact_mixtures(self, clips: tf.Tensor) -> Mixtures:
        """Returns the scores of perturbed `clips` in the model's own precision."""
        return Mixtures(self.classifier, self.stem if self.is_exact else None, clips)

    def report(self, probabilities, mixtures: Mixtures, target, labels, mask) -> dict[str, tf.Tensor]:
        """Returns the fields of the result that describe the masks.

        Args:
          probabilities: float32 `(B, K)`, of the unperturbed clips.
          mixtures: of the clips, from `exact_mixtures`.
          target: int32 `(B,)`, -1 for the predicted class.
          labels: int32 `(B,)`, the true classes, -1 if unknown.
          mask: float32 `(B, T)`.
        """
        predicted, target = chosen_class(probabilities, target)
        original = class_score(probabilities, target)
        found = self.objective(mixtures, mask, target)
        terms = self.objective.charged(found, original)
        frozen = found.score
        if self.report_passes > 2:
            frozen = class_score(mixtures(freeze, mask), target)
        kept = {} if self.objective.kind == "necessary" else {"kept_score": 1 - found.score}
        return kept | {
            "target": target,
            "predicted": predicted,
            "probabilities": probabilities,
            "mask": mask,
            "loss": terms.loss,
            "length_term": terms.length,
            "variation_term": terms.variation,
            "score_term": terms.score,
            "original_score": original,
            "freeze_score": frozen,
            "reverse_score": class_score(mixtures(reverse, mask), target),
            "true_score": tf.where(labels < 0, float("nan"), class_score(probabilities, tf.maximum(labels, 0))),
        }

    @property
    def report_passes(self) -> int:
        """Forward passes of `report` per clip. The objective's own score serves as FS where it freezes the clip."""
        return 2 if self.objective.perturb is freeze and self.objective.score == "probability" else 3
