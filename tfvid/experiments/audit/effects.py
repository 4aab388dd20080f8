"""The accuracy under each intervention, with bootstrap intervals, and paired tests against the clips as they are."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from tfvid.experiments.audit.interventions import AS_IS
from tfvid.experiments.audit.predictions import Answers
from tfvid.metrics.classification import confusion, macro_f1
from tfvid.metrics.statistics import comparison, describe, holm


@dataclass(frozen=True)
class Effect:
    """What an intervention does to a model's answers.

    Attributes:
      intervention: its name.
      clips: N.
      top1: the accuracy.
      low, high: the 95 % bootstrap interval (BCa) of `top1`; None without variance.
      f1: macro F1.
      true_score: the mean probability of the true class.
      same: the share of clips whose answer is that of the clip as it is.
      fall: how much `top1` is below that of the clips as they are.
      fall_low, fall_high: the 95 % bootstrap interval of `fall`, over the pairs.
      p: McNemar's exact test of the fall, with Holm's correction over the interventions; None for "as_is".
    """

    intervention: str
    clips: int
    top1: float
    low: float | None
    high: float | None
    f1: float
    true_score: float
    same: float
    fall: float
    fall_low: float | None
    fall_high: float | None
    p: float | None

    @property
    def is_fall(self) -> bool:
        """Whether the accuracy is lower than that of the clips as they are, at 5 %."""
        return self.p is not None and self.p < 0.05 and self.fall > 0


def effects(answers: Answers, seed: int = 0) -> list[Effect]:
    """Returns the effect of each intervention, in the order of `answers`.

    Args:
      answers: of a model.
      seed: of the bootstrap.
    """
    names = list(answers.probabilities)
    raw = [None if name == AS_IS else mcnemar(answers.right(AS_IS), answers.right(name)) for name in names]
    return [_effect(answers, name, p, seed) for name, p in zip(names, holm(raw), strict=True)]


def _effect(answers: Answers, name: str, p: float | None, seed: int) -> Effect:
    right, before = answers.right(name), answers.right(AS_IS)
    about, fall = describe(right, seed=seed), comparison(before, right, seed=seed)
    predicted = answers.predicted(name)
    return Effect(
        intervention=name,
        clips=len(right),
        top1=float(right.mean()),
        low=about.low,
        high=about.high,
        f1=macro_f1(confusion(answers.labels, predicted, len(answers.class_names))),
        true_score=float(answers.true_score(name).mean()),
        same=float(np.mean(predicted == answers.predicted(AS_IS))),
        fall=float(before.mean() - right.mean()),
        fall_low=fall.low,
        fall_high=fall.high,
        p=p,
    )


def mcnemar(first, second) -> float:
    """Returns the p-value of McNemar's exact test: whether two series of right and wrong answers differ; two-sided.

    Of the clips that only one of the two answers right, half are expected for each. McNemar, Psychometrika 1947.

    Args:
      first: 1 for right, 0 for wrong, `(N,)`.
      second: the same for the same clips.
    """
    lost, won = int(np.sum(first > second)), int(np.sum(first < second))
    return float(binomtest(lost, lost + won).pvalue) if lost + won else 1.0
