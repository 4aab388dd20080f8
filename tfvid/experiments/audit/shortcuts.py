"""Whether a property that should not matter predicts the model's answer, and whether better than the label does.

A property predicts a class by a table: for each category, the class that is the most frequent there, relative to its
frequency among all clips. Numbers become categories by their quantiles. The balanced accuracy (the mean recall over the
classes) is that of five-fold cross-validation, so a property with as many categories as clips predicts nothing.

A right answer may itself depend on a property, e.g. if all clips of a class are dark. So the test permutes the property
among the clips of one label: a small p means that it predicts the answer beyond what the label explains.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tfvid.experiments.audit.predictions import Answers
from tfvid.experiments.audit.properties import CORNERS, Properties
from tfvid.metrics.statistics import holm

FOLDS, PERMUTATIONS, MOST_BINS, CLIPS_IN_BIN = 5, 199, 8, 8
UNKNOWN = -1


@dataclass(frozen=True)
class Shortcut:
    """How well one property predicts.

    Attributes:
      title: the property in words.
      clips: the number of clips whose property is known.
      categories: the number of categories, the unknown ones not counted.
      predicts_label: balanced accuracy of the label by the property, in [0, 1].
      predicts_answer: that of the model's answer by the property.
      label_predicts_answer: that of the model's answer by the label.
      chance: 1 over the number of classes that the model answers.
      p: of the permutations within labels, with Holm's correction over the properties.
    """

    title: str
    clips: int
    categories: int
    predicts_label: float
    predicts_answer: float
    label_predicts_answer: float
    chance: float
    p: float | None

    @property
    def is_used(self) -> bool:
        """Whether it predicts the answer beyond the label, at 5 %."""
        return self.p is not None and self.p < 0.05

    @property
    def beats_label(self) -> bool:
        """Whether it predicts the answer better than the label does."""
        return self.predicts_answer > self.label_predicts_answer


def shortcuts(answers: Answers, properties: Mapping[str, np.ndarray], seed: int = 0) -> list[Shortcut]:
    """Returns how well each property predicts, the best predictors of the answer first.

    Args:
      answers: of a model. If it gives one answer only, nothing predicts it, and there is no result.
      properties: categories, int `(N,)`, by title, see `named_properties`; `UNKNOWN` is a category of its own.
      seed: of folds and permutations.
    """
    said, labels = answers.predicted(), answers.labels
    if len(np.unique(said)) < 2 or len(np.unique(labels)) < 2:
        return []
    by_label = balanced_accuracy(labels, said, seed)
    found = {title: balanced_accuracy(codes, said, seed) for title, codes in properties.items()}
    raw = [_p_within_labels(codes, said, labels, found[title], seed) for title, codes in properties.items()]
    return sorted(
        (
            Shortcut(
                title,
                int(np.sum(codes != UNKNOWN)),
                len(set(codes.tolist()) - {UNKNOWN}),
                balanced_accuracy(codes, labels, seed),
                found[title],
                by_label,
                1 / len(np.unique(said)),
                p,
            )
            for (title, codes), p in zip(properties.items(), holm(raw), strict=True)
        ),
        key=lambda one: -one.predicts_answer,
    )


def balanced_accuracy(codes: np.ndarray, classes: np.ndarray, seed: int = 0) -> float:
    """Returns the cross-validated mean recall of `classes` by the table of categories, in [0, 1].

    Args:
      codes: categories, int `(N,)`.
      classes: int `(N,)`.
      seed: of the folds, each of which has nearly the same share of every class.
    """
    names, classes = np.unique(classes, return_inverse=True)
    codes = np.unique(codes, return_inverse=True)[1]
    fold, predicted = _folds(classes, seed), np.empty(len(classes), np.int64)
    for number in range(FOLDS):
        known, asked = fold != number, fold == number
        table = np.zeros((codes.max() + 1, len(names)))
        np.add.at(table, (codes[known], classes[known]), 1)
        table /= np.maximum(table.sum(axis=0), 1)  # the share of each class: rare classes count as much
        predicted[asked] = table.argmax(axis=1)[codes[asked]]
    right = predicted == classes
    return float(np.mean([right[classes == name].mean() for name in range(len(names))]))


def _folds(classes: np.ndarray, seed: int) -> np.ndarray:
    rng, fold = np.random.default_rng(seed), np.empty(len(classes), np.int64)
    for name in np.unique(classes):
        of_class = rng.permutation(np.flatnonzero(classes == name))
        fold[of_class] = np.arange(len(of_class)) % FOLDS
    return fold


def _p_within_labels(codes, said, labels, found: float, seed: int) -> float:
    """Returns the share of permutations of `codes` within labels that predict as well; at least 1 / 200."""
    rng, as_good = np.random.default_rng(seed), 1
    for _ in range(PERMUTATIONS):
        mixed = codes.copy()
        for label in np.unique(labels):
            rows = np.flatnonzero(labels == label)
            mixed[rows] = codes[rng.permutation(rows)]
        as_good += balanced_accuracy(mixed, said, seed) >= found
    return as_good / (PERMUTATIONS + 1)


def named_properties(properties: Sequence[Properties], sources: Sequence[str]) -> dict[str, np.ndarray]:
    """Returns the properties that differ between clips, as categories, int `(N,)`, by title.

    Args:
      properties: of the N clips.
      sources: of the clips, "" where it is not known.
    """
    numbers = {
        "file size": [one.file_size for one in properties],
        "frame rate": [one.frame_rate for one in properties],
        "duration": [one.seconds for one in properties],
        "number of frames": [one.frames for one in properties],
        "brightness": [one.brightness for one in properties],
        "share that moves": [one.foreground for one in properties],
    }
    corners = np.array([one.corners for one in properties]).reshape(len(properties), len(CORNERS), -1)
    coded = {"source": text_codes(sources), "frame size": text_codes([one.frame_size for one in properties])}
    coded |= {title: number_codes(np.array(values, np.float64)) for title, values in numbers.items()}
    coded |= {f"colour of the {name} corner": colour_codes(corners[:, i]) for i, name in enumerate(CORNERS)}
    return {title: codes for title, codes in coded.items() if len(set(codes.tolist()) - {UNKNOWN}) > 1}


def text_codes(texts: Sequence[str]) -> np.ndarray:
    """Returns a category for each text, int `(N,)`; `UNKNOWN` for ""."""
    names = {text: place for place, text in enumerate(dict.fromkeys(filter(None, texts)))}
    return np.array([names.get(text, UNKNOWN) for text in texts], np.int64)


def number_codes(values: np.ndarray) -> np.ndarray:
    """Returns the bin of each number, int `(N,)`; `UNKNOWN` for NaN.

    The bins are quantiles, one for every `CLIPS_IN_BIN` clips, from 2 to `MOST_BINS`. Equal numbers share a bin.

    Args:
      values: float64 `(N,)`.
    """
    known = np.isfinite(values)
    codes = np.full(len(values), UNKNOWN, np.int64)
    if known.any():
        bins = int(np.clip(known.sum() // CLIPS_IN_BIN, 2, MOST_BINS))
        edges = np.quantile(values[known], np.arange(1, bins) / bins)
        codes[known] = np.searchsorted(np.unique(edges), values[known])
    return codes


def colour_codes(colours: np.ndarray) -> np.ndarray:
    """Returns a category for each colour, by whether each channel is above its median over the clips: int `(N,)`.

    Args:
      colours: float `(N, C)`.
    """
    above = colours > np.median(colours, axis=0)
    return above @ (1 << np.arange(colours.shape[1]))
