"""Whether two measures rank the methods alike: rank correlation over methods, with an interval over clips.

Li et al. (arXiv 2005.00375) find that objective measures, which run the network, and subjective measures, which use
human annotations, tend to disagree: the best method by one kind is not the best by the other. For each pair of measures
this module computes

    rho = Spearman(means of the methods by one measure, by the other)

where the sign of each measure is chosen so that higher is better. The interval is a percentile bootstrap: each resample
draws the same clips for all methods and measures, recomputes the means and ranks the methods again. The baselines,
which do not use the network, are excluded: they are bad by every measure and would make any two measures agree.
"""

from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
from scipy.stats import kendalltau, rankdata

from tfvid.experiments.attribution.judged import Judged
from tfvid.experiments.attribution.measures import OBJECTIVE, TRUTH, Measure
from tfvid.experiments.attribution.methods import BASELINES
from tfvid.report.numbers import finite

RESAMPLES = 1000
FEWEST = 4  # methods; a ranking of fewer methods says nothing
FEWEST_CLIPS = 5  # for an interval; fewer clips have too few different resamples


@dataclass(frozen=True)
class Correlation:
    """The rank correlation of two measures over the methods.

    Attributes:
      first: a measure.
      second: another measure.
      methods: the number of methods with values of both measures.
      spearman: Spearman's rho, in [-1, 1]; None if fewer than `FEWEST` methods have both measures, or if all methods
        are equal by one of them.
      low: lower end of its 95 % interval; None if the interval is unknown.
      high: upper end of its 95 % interval; None if the interval is unknown.
      kendall: Kendall's tau-b, in [-1, 1]; None if `spearman` is None.
    """

    first: Measure
    second: Measure
    methods: int
    spearman: float | None
    low: float | None
    high: float | None
    kendall: float | None

    @property
    def agrees(self) -> bool:
        """Whether the whole interval lies above zero."""
        return self.low is not None and self.low > 0

    @property
    def opposes(self) -> bool:
        """Whether the whole interval lies below zero."""
        return self.high is not None and self.high < 0


def correlations(network: Judged, seed: int = 0) -> list[Correlation]:
    """Computes the correlation of every two measures of one network.

    Args:
      network: the values of the network.
      seed: of the bootstrap.

    Returns:
      First the pairs of an objective measure and a measure of the truth, then the pairs within each kind.
    """
    of_kind = {kind: [m for m in network.measures if m.kind == kind] for kind in (OBJECTIVE, TRUTH)}
    pairs = [
        *product(of_kind[OBJECTIVE], of_kind[TRUTH]),
        *(pair for kind in of_kind.values() for pair in combinations(kind, 2)),
    ]
    drawn = np.random.default_rng(seed).integers(0, len(network.clips), (RESAMPLES, len(network.clips)))
    means = {measure.name: _means(network, measure, drawn) for measure in network.measures}
    clips = {m.name: int(np.isfinite(network.of(m)).any(axis=0).sum()) for m in network.measures}
    return [_correlation(a, b, means[a.name], means[b.name], min(clips[a.name], clips[b.name])) for a, b in pairs]


def between(found: list[Correlation]) -> list[Correlation]:
    """Returns the known correlations of an objective measure with a measure of the truth."""
    return [pair for pair in found if pair.first.kind != pair.second.kind and pair.spearman is not None]


def within(found: list[Correlation], kind: str) -> list[Correlation]:
    """Returns the known correlations of two measures of the kind `kind`."""
    return [pair for pair in found if pair.first.kind == pair.second.kind == kind and pair.spearman is not None]


def _means(network: Judged, measure: Measure, drawn: np.ndarray) -> np.ndarray:
    """Returns the means of the methods, with higher = better: `(methods, 1 + RESAMPLES)`, first those of all clips."""
    rows = [row for row, name in enumerate(network.methods) if name not in BASELINES]
    values = network.of(measure)[rows] * (1 if measure.higher else -1)
    known = np.isfinite(values)
    columns = []
    for clips in [np.arange(values.shape[1]), *drawn]:
        count = known[:, clips].sum(axis=1)
        total = np.where(known, values, 0.0)[:, clips].sum(axis=1)
        columns.append(np.divide(total, count, out=np.full(len(rows), np.nan), where=count > 0))
    return np.stack(columns, axis=1)


def _correlation(first: Measure, second: Measure, a: np.ndarray, b: np.ndarray, clips: int) -> Correlation:
    both = np.isfinite(a[:, 0]) & np.isfinite(b[:, 0])
    a, b = a[both], b[both]
    count = int(both.sum())
    if count < FEWEST:
        return Correlation(first, second, count, None, None, None, None)
    whole = np.isfinite(a).all(axis=0) & np.isfinite(b).all(axis=0)  # a resample may contain no clip with a value
    rho = _spearman(a[:, whole], b[:, whole])
    if np.isnan(rho[0]):
        return Correlation(first, second, count, None, None, None, None)
    spread = rho[1:][np.isfinite(rho[1:])]
    enough = clips >= FEWEST_CLIPS and len(spread) >= RESAMPLES / 2
    low, high = np.quantile(spread, [0.025, 0.975]) if enough else (None, None)
    tau = kendalltau(a[:, 0], b[:, 0]).statistic
    return Correlation(first, second, count, float(rho[0]), finite(low), finite(high), float(tau))


def _spearman(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Spearman's rho of each column, `(M, R)` to `(R,)`; NaN if all values of a column are equal."""
    a, b = (rankdata(x, axis=0) for x in (a, b))
    a, b = (x - x.mean(axis=0) for x in (a, b))
    norm = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
    return np.divide((a * b).sum(axis=0), norm, out=np.full(norm.shape, np.nan), where=norm > 0)
