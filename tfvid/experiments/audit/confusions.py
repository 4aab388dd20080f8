"""The confusions with most clips, and the clips that show each of them most clearly."""

from dataclasses import dataclass

import numpy as np

from tfvid.experiments.audit.predictions import Answers
from tfvid.metrics.classification import confusion

MOST, CLIPS = 3, 3


@dataclass(frozen=True)
class Confusion:
    """Clips of one class that the model takes for another.

    Attributes:
      label: the true class.
      answer: the model's answer.
      count: the number of such clips.
      of: the number of clips of the true class.
      clips: the ids of up to `CLIPS` of them, the highest probability of the answer first.
      scores: the probability of the answer of each.
    """

    label: int
    answer: int
    count: int
    of: int
    clips: list[str]
    scores: list[float]


def confusions(answers: Answers, most: int = MOST, clips: int = CLIPS) -> list[Confusion]:
    """Returns the confusions with most clips, of the clips as they are.

    Args:
      answers: of a model.
      most: the largest number of confusions.
      clips: the largest number of clips of each.
    """
    said = answers.predicted()
    matrix = confusion(answers.labels, said, len(answers.class_names))
    wrong = matrix * (1 - np.eye(len(matrix), dtype=np.int64))
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = [divmod(int(place), len(matrix)) for place in order if wrong.flat[place]]
    return [_one(answers, said, label, answer, int(matrix[label].sum()), clips) for label, answer in pairs]


def _one(answers: Answers, said: np.ndarray, label: int, answer: int, of: int, clips: int) -> Confusion:
    rows = np.flatnonzero((answers.labels == label) & (said == answer))
    score = answers.probabilities["as_is"][rows, answer]
    clearest = np.argsort(-score, kind="stable")[:clips]
    return Confusion(
        label, answer, len(rows), of, [answers.ids[row] for row in rows[clearest]], score[clearest].tolist()
    )
