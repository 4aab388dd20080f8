"""Where a method earns a claim: where it finds the event better than every map that does not use the network.

By one measure of the truth, for one method and the values of the same clips:

    d_b = mean over clips of (method - baseline b)             b: each of the five baselines
    p   = max over b of Wilcoxon's signed-rank p               the claim needs all five, so the largest p counts
    the claim holds if every d_b > 0, Holm's p over the methods is below 0.05, and the interval of the smallest d_b
    lies above zero

The clip is the unit of every test and of the bootstrap: the values of one clip stay together. Friedman's test asks
first whether the methods and baselines differ at all. The effect size is Cliff's delta against the strongest baseline.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from tfvid.experiments.attribution.judged import Judged
from tfvid.experiments.attribution.measures import TRUTH, Measure
from tfvid.metrics.baselines import BASELINES
from tfvid.metrics.statistics import comparison, holm
from tfvid.report.table import Table

LEVEL = 0.05


@dataclass(frozen=True)
class Claim:
    """The comparison of a method with all baselines by one measure.

    Attributes:
      method: its name.
      measure: its name.
      clips: N, those with a value of the method and of every baseline.
      strongest: the baseline with the smallest difference.
      difference: the method's mean minus that of the strongest baseline; the sign is turned where less is better.
      low: lower end of its 95 % bootstrap interval over clips; None if unknown.
      high: its upper end; None if unknown.
      p: Holm's, over the methods; None if unknown.
      delta: Cliff's delta against the strongest baseline, in [-1, 1]; None if unknown.
      friedman_p: of all methods and baselines by this measure; None if unknown.
    """

    method: str
    measure: str
    clips: int
    strongest: str
    difference: float
    low: float | None
    high: float | None
    p: float | None
    delta: float | None
    friedman_p: float | None

    @property
    def holds(self) -> bool:
        """Whether the method is better than all baselines."""
        return self.low is not None and self.low > 0 and self.p is not None and self.p < LEVEL


def claims(network: Judged, seed: int = 0) -> list[Claim]:
    """Returns the claims of every method by every measure of the truth; none without baselines.

    Args:
      network: the values of a network.
      seed: of the bootstrap.
    """
    blind = [row for row, name in enumerate(network.methods) if name in BASELINES]
    measures = [measure for measure in network.measures if measure.kind == TRUTH]
    return [claim for measure in measures if blind for claim in _by(network, measure, blind, seed)]


def _by(network: Judged, measure: Measure, blind: list[int], seed: int) -> list[Claim]:
    values = network.of(measure) * (1 if measure.higher else -1)
    rows = [row for row in range(len(values)) if row not in blind and _common(values, [row, *blind]).sum() > 1]
    adjusted = holm([_largest_p(values, row, blind) for row in rows])
    friedman_p = _friedman(values)
    found = []
    for row, p in zip(rows, adjusted, strict=True):
        known = _common(values, [row, *blind])
        strongest = max(blind, key=lambda other: values[other, known].mean())
        versus = comparison(values[row, known], values[strongest, known], seed=seed)
        found.append(
            Claim(
                method=network.methods[row],
                measure=measure.name,
                clips=int(known.sum()),
                strongest=network.methods[strongest],
                difference=float((values[row, known] - values[strongest, known]).mean()),
                low=versus.low,
                high=versus.high,
                p=p,
                delta=versus.cliffs_delta,
                friedman_p=friedman_p,
            )
        )
    return found


def _common(values: np.ndarray, rows: list[int]) -> np.ndarray:
    """Returns which clips have a value of all `rows`: bool `(N,)`."""
    return np.isfinite(values[rows]).all(axis=0)


def _largest_p(values: np.ndarray, row: int, blind: list[int]) -> float:
    """Returns the largest p of Wilcoxon's test against a baseline, one-sided: is the method better?"""
    known = _common(values, [row, *blind])
    differences = values[row, known] - values[blind][:, known]
    return max(float(stats.wilcoxon(d, alternative="greater").pvalue) if d.any() else 1.0 for d in differences)


def _friedman(values: np.ndarray) -> float | None:
    """Returns p of Friedman's test over the rows that have values, on the clips with a value of all of these."""
    rows = [row for row in range(len(values)) if np.isfinite(values[row]).any()]
    known = values[rows][:, _common(values, rows)] if rows else np.empty((0, 0))
    if len(rows) < 3 or known.shape[1] < 2 or (known == known[0]).all():
        return None
    return float(stats.friedmanchisquare(*known).pvalue)


def claims_table(networks: Mapping[str, Judged], seed: int = 0) -> Table:
    """Returns the table of the claims of each network.

    Args:
      networks: the values of each network, by name.
      seed: of the bootstrap.
    """
    rows = [
        {
            "network": name,
            "method": claim.method,
            "measure": claim.measure,
            "clips": claim.clips,
            "strongest": claim.strongest,
            "difference": claim.difference,
            "low": claim.low,
            "high": claim.high,
            "p": claim.p,
            "delta": claim.delta,
            "friedman": claim.friedman_p,
            "holds": "yes" if claim.holds else "no",
        }
        for name, network in networks.items()
        for claim in claims(network, seed)
    ]
    return Table.of(
        "claims",
        "Which methods beat all five baselines?",
        "The difference is that to the strongest baseline, with a 95 % bootstrap interval over clips. p is Wilcoxon's, "
        "the largest of the five baselines, after Holm's correction over the methods. Friedman's p is of all methods "
        "and baselines by this measure. A method earns a claim only where the last column says yes.",
        [
            ("network", "network"),
            ("method", "method"),
            ("measure", "measure"),
            ("clips", "n", "", 0),
            ("strongest", "strongest baseline"),
            ("difference", "difference", "", 3),
            ("low", "low", "", 3),
            ("high", "high", "", 3),
            ("p", "Holm's p", "", 4),
            ("delta", "Cliff's delta", "", 2),
            ("friedman", "Friedman's p", "", 4),
            ("holds", "beats all five"),
        ],
        rows,
    )
