"""Tests whether two groups of models differ in a measure. The samples are the clips with a value for both groups."""

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
      result: the results of all tests; each clip is a pair of the two groups' means.
      permutation_holm: p of the paired permutation test, with Holm's correction over the measures.
      welch_holm: p of Welch's t-test, corrected in the same way.
      agreeing: number of pairs of models, one of each group, that differ in the same direction as the groups.
      pairs: number of pairs of models with a common clip.
    """

    result: Comparison
    permutation_holm: float | None
    welch_holm: float | None
    agreeing: int
    pairs: int


def differences(
    measured: Measured, first: str, second: str, measures: Sequence[str], seed: int = 0
) -> dict[str, Difference]:
    """Tests several measures, with Holm's correction over the measures.

    Args:
      measured: the measures of all clips.
      first: name of a group.
      second: name of another group.
      measures: names of the measures.
      seed: of the bootstrap and the permutations.

    Returns:
      The differences by measure.
    """
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
    """Selects the clips with a value in both arrays: `(N,)` each to `(M,)` each."""
    known = np.isfinite(first) & np.isfinite(second)
    return first[known], second[known]


def model_directions(measured: Measured, first: str, second: str, measure: str) -> list[float]:
    """Returns the sign of the mean difference of each pair of models, one of each group.

    Args:
      measured: the measures of all clips.
      first: name of a group.
      second: name of another group.
      measure: name of the measure.

    Returns:
      1.0, 0.0 or -1.0 for each pair; pairs without a common clip are left out.
    """
    signs = []
    for a in measured.groups[first]:
        for b in measured.groups[second]:
            values, others = common(measured.values(a, measure), measured.values(b, measure))
            signs += [float(np.sign(np.mean(values - others)))] if len(values) else []
    return signs


def by_detector(measured: Measured, first: str, second: str, seed: int = 0) -> dict[tuple[str, str], Comparison]:
    """Compares the blob measures with each setting of the blob detector.

    Args:
      measured: the measures of all clips.
      first: name of a group.
      second: name of another group.
      seed: of the bootstrap and the permutations.

    Returns:
      The comparisons by detector, a name in `tfvid.metrics.blobs.VARIANTS`, and measure.
    """
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
    """Compares the drop ratio with several filters.

    Args:
      measured: the measures of all clips.
      first: name of a group.
      second: name of another group.
      filters: values of ``smallest_drop``, see `filtered_ratio`.
      seed: of the bootstrap and the permutations.

    Returns:
      The comparisons by filter.
    """
    return {
        smallest: comparison(
            *common(*(filtered_ratio(measured, group, smallest) for group in (first, second))), seed=seed
        )
        for smallest in filters
    }


def filtered_ratio(measured: Measured, group: str, smallest_drop: float) -> np.ndarray:
    """Computes a group's drop ratio with another filter.

    Args:
      measured: the measures of all clips.
      group: name of the group.
      smallest_drop: a clip has a ratio only if both drops are larger, see `tfvid.metrics.masks.drop_ratio`.

    Returns:
      `(N,)`, the mean over the models of the group that have a ratio; NaN if none has.
    """
    ratios = []
    for model in measured.groups[group]:
        original, freeze, reverse = (
            measured.values(model, f"{name}_score") for name in ("original", "freeze", "reverse")
        )
        ratio, kept = drop_ratio(original, freeze, reverse, smallest_drop)
        ratios.append(np.where(kept, ratio, np.nan))
    return mean_over(ratios)
