"""Statistical comparison of two models in one measure: tests, effect sizes and confidence intervals.

The paper reports means, standard deviations and Welch's t-test (Mänttäri et al., ACCV 2020, section 4.3). If both
models get the same clips, paired tests have more power: Wilcoxon's test, and a permutation test, which assumes no
distribution. SciPy computes all of this except Hedges' g and Holm's correction. statsmodels has these two, but Holm's
correction is eight lines here, importing statsmodels costs 70 MB and requires pandas, and its Hedges' g is an
approximation.

Every result is a finite number or None; if it is None, `note` gives the reason. Samples are float `(N,)`. A NaN in a
sample raises an error, since only the caller can decide to leave values out.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import special, stats

from tfvid.core.errors import DataError, TfvidError

RESAMPLES = 9999  # of a bootstrap, and of a permutation test with more sign flips than that
VALUES_AT_ONCE = 2**20  # resampled at a time, which bounds memory


@dataclass(frozen=True)
class Description:
    """One sample.

    Attributes:
      n: the number of values.
      mean: None without values.
      std: divided by N, as in NumPy; None for fewer than two values.
      median: None without values.
      low: lower end of the 95 % bootstrap interval (BCa) of the mean, or None.
      high: its upper end, or None.
      note: why a field is None; "" if none is.
    """

    n: int
    mean: float | None
    std: float | None
    median: float | None
    low: float | None
    high: float | None
    note: str = ""


@dataclass(frozen=True)
class Welch:
    """Welch's t-test for two independent samples of unequal variance; two-sided."""

    t: float | None
    degrees_of_freedom: float | None
    p: float | None
    note: str = ""


@dataclass(frozen=True)
class Paired:
    """Two-sided tests of paired differences: Wilcoxon's signed-rank test, and a permutation test of their signs."""

    wilcoxon_p: float | None
    permutation_p: float | None
    note: str = ""


@dataclass(frozen=True)
class Comparison:
    """The comparison of two samples of one measure.

    Attributes:
      first: the `Description` of the first sample.
      second: the `Description` of the second sample.
      paired: whether the values i of both samples belong to one clip.
      difference: the mean of the first sample minus that of the second.
      low: lower end of the 95 % bootstrap interval (BCa) of the difference; of the pairs if paired.
      high: its upper end.
      t: Welch's, see `welch`.
      degrees_of_freedom: Welch's.
      welch_p: two-sided.
      wilcoxon_p: see `paired`; None for samples that are not paired.
      permutation_p: see `paired`; None for samples that are not paired.
      hedges_g: see `hedges_g`.
      cliffs_delta: see `cliffs_delta`.
      note: why a field is None; "" if none is.
    """

    first: Description
    second: Description
    paired: bool
    difference: float | None
    low: float | None
    high: float | None
    t: float | None
    degrees_of_freedom: float | None
    welch_p: float | None
    wilcoxon_p: float | None
    permutation_p: float | None
    hedges_g: float | None
    cliffs_delta: float | None
    note: str = ""


def comparison(first, second, *, paired: bool = True, seed: int = 0) -> Comparison:
    """Returns all tests, effect sizes and intervals of this module for two samples.

    Args:
      first: float `(N,)`.
      second: float `(M,)`; if paired, N values in the same order.
      paired: whether the values i of both samples belong to one clip.
      seed: of the resampling.

    Raises:
      DataError: NaN or infinite values.
      TfvidError: another shape.
    """
    first, second = _sample(first), _sample(second)
    test = welch(first, second)
    result = Comparison(
        first=describe(first, seed=seed),
        second=describe(second, seed=seed),
        paired=paired,
        difference=_number(first.mean() - second.mean()) if len(first) and len(second) else None,
        low=None,
        high=None,
        t=test.t,
        degrees_of_freedom=test.degrees_of_freedom,
        welch_p=test.p,
        wilcoxon_p=None,
        permutation_p=None,
        hedges_g=hedges_g(first, second),
        cliffs_delta=cliffs_delta(first, second),
        note=test.note,
    )
    if not paired:
        low, high, note = _interval((first, second), _difference_of_means, seed)
        return replace(result, low=low, high=high, note=_joined(result.note, note))
    pairs = _paired(first, second, seed)
    low, high, note = _interval((first - second,), np.mean, seed)
    return replace(
        result,
        low=low,
        high=high,
        wilcoxon_p=pairs.wilcoxon_p,
        permutation_p=pairs.permutation_p,
        note=_joined(result.note, pairs.note, note and f"differences: {note}"),
    )


def describe(values, *, seed: int = 0) -> Description:
    """Returns mean, standard deviation, median and a bootstrap interval of the mean of a sample.

    Args:
      values: float `(N,)`.
      seed: of the resampling.
    """
    values = _sample(values)
    if not len(values):
        return Description(0, None, None, None, None, None, "no values")
    low, high, note = _interval((values,), np.mean, seed)
    std = float(values.std()) if len(values) > 1 else None
    return Description(len(values), float(values.mean()), std, float(np.median(values)), low, high, note)


def welch(first, second) -> Welch:
    """Returns Welch's t-test of samples `(N,)` and `(M,)`, by `scipy.stats.ttest_ind(equal_var=False)`."""
    first, second = _sample(first), _sample(second)
    if min(len(first), len(second)) < 2:
        return Welch(None, None, None, f"a t-test needs 2 values or more in each, got {len(first)} and {len(second)}")
    if _constant(first) and _constant(second):
        return Welch(None, None, None, "no variance in either: a t-test says nothing")
    with _quiet():
        test = stats.ttest_ind(first, second, equal_var=False)
    t, p = _number(test.statistic), _number(test.pvalue)
    return Welch(t, _number(test.df), p, "" if p is not None else "too little variance for a t-test")


def paired(first, second, *, seed: int = 0) -> Paired:
    """Returns two tests of whether the values of pairs differ.

    Wilcoxon's test leaves out pairs without a difference. The p-value of the permutation test is the share of sign
    flips of the differences whose mean is at least as far from zero: of all 2^N sign flips, or of `RESAMPLES` random
    ones.

    Args:
      first: float `(N,)`.
      second: float `(N,)`, in the same order.
      seed: of the permutations.
    """
    return _paired(_sample(first), _sample(second), seed)


def hedges_g(first, second) -> float | None:
    """Returns the difference of means over the pooled standard deviation, without small-sample bias: Hedges, 1981.

    The standard deviation is that between clips, also for paired samples, so that all values are on one scale. 0.2 is
    called small, 0.5 medium, 0.8 large. None for fewer than two values in a sample, or without variance in both.
    """
    first, second = _sample(first), _sample(second)
    if min(len(first), len(second)) < 2 or (_constant(first) and _constant(second)):
        return None
    freedom = len(first) + len(second) - 2
    pooled = np.sqrt((len(first) * first.var() + len(second) * second.var()) / freedom)
    correction = np.exp(special.gammaln(freedom / 2) - special.gammaln((freedom - 1) / 2)) / np.sqrt(freedom / 2)
    with _quiet():
        return _number(correction * (first.mean() - second.mean()) / pooled)


def cliffs_delta(first, second) -> float | None:
    """Returns P(a > b) - P(a < b) for values a of the first sample and b of the second: Cliff, 1993; in [-1, 1].

    None if a sample is empty.
    """
    first, second = _sample(first), _sample(second)
    if not len(first) or not len(second):
        return None
    with _quiet():
        above = stats.mannwhitneyu(first, second, method="asymptotic").statistic  # pairs above, ties half
    return float(2 * above / (len(first) * len(second)) - 1)


def holm(pvalues: Sequence[float | None]) -> list[float | None]:
    """Returns p-values corrected for multiple tests: Holm, 1979.

    Args:
      pvalues: in [0, 1]. None stays None and does not count.

    Raises:
      TfvidError: a value outside [0, 1].
    """
    known = {i: p for i, p in enumerate(pvalues) if p is not None}
    wrong = [p for p in known.values() if not 0 <= p <= 1]
    if wrong:
        raise TfvidError(f"expected p-values in [0, 1], got {wrong[0]}")
    corrected: list[float | None] = [None] * len(pvalues)
    highest = 0.0
    for rank, i in enumerate(sorted(known, key=known.__getitem__)):
        highest = max(highest, min(1.0, (len(known) - rank) * known[i]))
        corrected[i] = highest
    return corrected


def _paired(first: np.ndarray, second: np.ndarray, seed: int) -> Paired:
    if len(first) != len(second):
        raise TfvidError(f"paired samples must be of one length, got {len(first)} and {len(second)} values")
    differences = first - second
    if len(differences) < 2:
        return Paired(None, None, f"a test of pairs needs 2 or more, got {len(differences)}")
    if not differences.any():
        return Paired(None, None, "all pairs are equal")
    with _quiet():
        wilcoxon = stats.wilcoxon(differences)
        permutation = stats.permutation_test(
            (differences,),
            np.mean,
            permutation_type="samples",
            vectorized=True,
            n_resamples=RESAMPLES,
            batch=_batch(len(differences)),
            rng=np.random.default_rng(seed),
        )
    return Paired(_number(wilcoxon.pvalue), _number(permutation.pvalue))


def _interval(samples, statistic, seed: int) -> tuple[float | None, float | None, str]:
    """The 95 % bootstrap interval of a statistic of one or two samples, and why it is None."""
    if min(map(len, samples)) < 2:
        return None, None, "an interval needs 2 values or more"
    if all(map(_constant, samples)):
        return None, None, "no variance: no interval"
    with _quiet():
        low, high = stats.bootstrap(
            samples,
            statistic,
            vectorized=True,
            n_resamples=RESAMPLES,
            batch=_batch(max(map(len, samples))),
            rng=np.random.default_rng(seed),
        ).confidence_interval
    low, high = _number(low), _number(high)
    return (None, None, "too little variance for an interval") if None in (low, high) else (low, high, "")


def _difference_of_means(first, second, axis):
    return np.mean(first, axis=axis) - np.mean(second, axis=axis)


def _sample(values) -> np.ndarray:
    values = np.asarray(values, np.float64)
    if values.ndim != 1:
        raise TfvidError(f"expected a sample of shape (N,), got {values.shape}")
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise DataError(f"expected finite values, got {values[bad[0]]} at {bad[0]} ({bad.size} of {len(values)} are)")
    return values


def _constant(values: np.ndarray) -> bool:
    return np.ptp(values) == 0


def _number(value) -> float | None:
    return float(value) if np.isfinite(value) else None


def _batch(num_values: int) -> int:
    return max(1, VALUES_AT_ONCE // num_values)


def _joined(*notes: str) -> str:
    return "; ".join(dict.fromkeys(note for note in notes if note))


def _quiet():
    """Hides SciPy's warnings of nearly constant samples; their results become None, with a note."""
    return warnings.catch_warnings(action="ignore", category=RuntimeWarning)
