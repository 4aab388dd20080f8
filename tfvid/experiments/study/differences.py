"""Tests whether two groups of models differ in a measure, over the clips for which both have a value."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfvid.experiments.study.measures import BLOBS, Measured, mean_over, with_detector
from tfvid.metrics.blobs import VARIANTS
from tfvid.metrics.masks import drop_ratio
from tfvid.metrics.statistics import Comparison, comparison, holm


@dataclass(frozen=True)
class Difference:
    """The difference of two groups in one measure, first minus second.

    Attributes:
      result: of all tests; each clip is a pair of the two groups' means.
      permutation_holm: p of the paired permutation test, with Holm's correction over the measures.
      welch_holm: p of Welch's t-test, corrected in the same way.
      agreeing: number of pairs of models, one of each group, that differ in the same direction as the groups.
      pairs: number of pairs of models.
    """

    result: Comparison
    permutation_holm: float | None
    welch_holm: float | None
    agreeing: int
    pairs: int


def differences(
    measured: Measured, first: str, second: str, measures: Sequence[str], seed: int = 0
) -> dict[str, Difference]:
    """The tests of several measures, by measure, with Holm's correction over them."""
    results = {}
    for measure in measures:
        a, b = common(measured.values(first, measure), measured.values(second, measure))
        results[measure] = comparison(a, b, paired=True, seed=seed)
    permutation = holm([result.permutation_p for result in results.values()])
    welch = holm([result.welch_p for result in results.values()])
    tested = {}
    for place, (measure, result) in enumerate(results.items()):
        directions = model_directions(measured, first, second, measure)
        agreeing = 0 if result.difference is None else directions.count(np.sign(result.difference))
        tested[measure] = Difference(result, permutation[place], welch[place], agreeing, len(directions))
    return tested


def common(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The values of the clips that have one in both, `(N,)` each to `(M,)` each."""
    known = np.isfinite(first) & np.isfinite(second)
    return first[known], second[known]


def model_directions(measured: Measured, first: str, second: str, measure: str) -> list[float]:
    """For each pair of a model of either group the sign of their difference, where there is one."""
    signs = []
    for a in measured.groups[first]:
        for b in measured.groups[second]:
            values, others = common(measured.values(a, measure), measured.values(b, measure))
            signs += [float(np.sign(np.mean(values - others)))] if len(values) else []
    return signs


def by_detector(measured: Measured, first: str, second: str, seed: int = 0) -> dict[tuple[str, str], Comparison]:
    """The blob measures compared under each setting of the detector in `VARIANTS`: by (detector, measure)."""
    return {
        (detector, measure): comparison(
            *common(*(measured.values(group, with_detector(measure, detector)) for group in (first, second))), seed=seed
        )
        for detector in VARIANTS
        for measure in BLOBS
    }


def by_filter(
    measured: Measured, first: str, second: str, filters: Sequence[float], seed: int = 0
) -> dict[float, Comparison]:
    """The drop ratio compared under each of `filters`, see `filtered_ratio`."""
    return {
        smallest: comparison(
            *common(*(filtered_ratio(measured, group, smallest) for group in (first, second))), seed=seed
        )
        for smallest in filters
    }


def filtered_ratio(measured: Measured, group: str, smallest_drop: float) -> np.ndarray:
    """A group's drop ratio `(N,)` with another filter, NaN where no model of it has one."""
    ratios = []
    for model in measured.groups[group]:
        original, freeze, reverse = (
            measured.values(model, f"{name}_score") for name in ("original", "freeze", "reverse")
        )
        ratio, kept = drop_ratio(original, freeze, reverse, smallest_drop)
        ratios.append(np.where(kept, ratio, np.nan))
    return mean_over(ratios)
