"""The findings of a benchmark: whether the measures agree, and whether the methods are better than the baselines."""

from collections.abc import Mapping

import numpy as np
from scipy.stats import rankdata

from tfvid.core.errors import first_of
from tfvid.experiments.attribution.correlation import Correlation, between, within
from tfvid.experiments.attribution.judged import Judged
from tfvid.experiments.attribution.measures import OBJECTIVE, TRUTH
from tfvid.metrics.baselines import BASELINES
from tfvid.metrics.statistics import comparison
from tfvid.report.finding import Finding

MOST_NAMED = 6  # maximum number of methods that an answer names


def all_findings(networks: Mapping[str, Judged], found: Mapping[str, list[Correlation]], seed: int) -> list[Finding]:
    """Returns all findings of a benchmark.

    Args:
      networks: the values of each network, by name.
      found: the correlations of each network, from `tfvid.experiments.attribution.correlation.correlations`.
      seed: of the bootstrap.
    """
    return [
        disagreement(found),
        *(best(name, network) for name, network in networks.items()),
        *(beaten_by_chance(name, network, seed) for name, network in networks.items()),
    ]


def disagreement(found: Mapping[str, list[Correlation]]) -> Finding:
    """Do objective measures and ground-truth measures tend to rank the methods differently?

    A pair of measures agrees if the whole interval of its rank correlation lies above zero. The finding of Li et al.
    holds if fewer than half of the pairs of all networks agree. It is None if no pair has an interval.

    Args:
      found: the correlations of each network, from `tfvid.experiments.attribution.correlation.correlations`.
    """
    pairs = [pair for correlations in found.values() for pair in between(correlations) if pair.low is not None]
    question = "Do objective measures and ground-truth measures tend to disagree on the methods?"
    if not pairs:
        return Finding(question, "There are too few methods or clips.", None)
    agree = sum(pair.agrees for pair in pairs)
    sentences = [_agreement(name, correlations) for name, correlations in found.items()]
    answer = f"{agree} of {len(pairs)} pairs agree: their whole interval is above zero."
    answer = " ".join([answer, *filter(None, sentences)])
    return Finding(question, answer, agree < len(pairs) / 2)


def _agreement(name: str, found: list[Correlation]) -> str:
    pairs = [pair for pair in between(found) if pair.low is not None]
    if not pairs:
        return ""
    agree, oppose = sum(pair.agrees for pair in pairs), sum(pair.opposes for pair in pairs)
    means = [f"{np.mean([pair.spearman for pair in pairs if pair.spearman is not None]):.2f} across the kinds"]
    for kind, word in ((OBJECTIVE, "among objective measures"), (TRUTH, "among ground-truth measures")):
        same = [pair.spearman for pair in within(found, kind) if pair.spearman is not None]
        means += [f"{np.mean(same):.2f} {word}"] if same else []
    return (
        f"{name}: {agree} of {len(pairs)} pairs agree, {oppose} are opposed, and {len(pairs) - agree - oppose} have an "
        f"interval that includes zero; the mean correlation is {', '.join(means)}."
    )


def best(name: str, network: Judged) -> Finding:
    """Is the same method the best by both kinds of measures? The best method has the best mean rank.

    Args:
      name: of the network.
      network: its values.
    """
    rows = [row for row, method in enumerate(network.methods) if method not in BASELINES]
    leaders = {}
    for kind in (OBJECTIVE, TRUTH):
        ranks = mean_ranks(network, kind)[rows] if rows else np.empty(0)
        if np.isfinite(ranks).any():
            leaders[kind] = network.methods[rows[int(np.nanargmin(ranks))]]
    question = f"{name}: is the same method the best by objective and by ground-truth measures?"
    if len(leaders) < 2:
        return Finding(question, "There are no measures of one of the kinds.", None)
    first, second = leaders[OBJECTIVE], leaders[TRUTH]
    answer = f"{first} by objective measures, {second} by ground-truth measures."
    answer = f"{first} by both." if first == second else answer
    return Finding(question, f"By mean rank: {answer}", first == second)


def mean_ranks(network: Judged, kind: str) -> np.ndarray:
    """Returns each method's mean rank over the measures of a kind, 1 = best: `(M,)`, NaN for a method without values.

    Args:
      network: its values.
      kind: `OBJECTIVE` or `TRUTH`.
    """
    ranks = ranked(network)[:, [place for place, measure in enumerate(network.measures) if measure.kind == kind]]
    known = np.isfinite(ranks)
    total, count = np.where(known, ranks, 0).sum(axis=1), known.sum(axis=1)
    return np.divide(total, count, out=np.full(len(ranks), np.nan), where=count > 0)


def ranked(network: Judged) -> np.ndarray:
    """Returns the ranks of the methods by the mean of each measure, 1 = best: `(M, K)`, NaN without values.

    Args:
      network: its values.
    """
    ranks = np.full(network.values.shape[:2], np.nan)
    for place, measure in enumerate(network.measures):
        known = np.isfinite(network.of(measure))
        rows = known.any(axis=1)
        means = [values[there].mean() for values, there in zip(network.of(measure)[rows], known[rows], strict=True)]
        ranks[rows, place] = rankdata(np.negative(means) if measure.higher else means)
    return ranks


def beaten_by_chance(name: str, network: Judged, seed: int = 0) -> Finding:
    """Are most methods better than the baselines by the ground-truth measures?

    By one measure, a method is better than a baseline if the interval of the mean difference over clips is above zero.

    Args:
      name: of the network.
      network: its values.
      seed: of the bootstrap.
    """
    rows = [row for row, method in enumerate(network.methods) if method not in BASELINES]
    blind = [network.methods.index(name) for name in BASELINES if name in network.methods]
    measures = [measure for measure in network.measures if measure.kind == TRUTH]
    question = f"{name}: do most methods find the event better than all baselines?"
    better: dict[str, int] = {}
    for row in rows:
        wins = [all(_better(network, measure, row, other, seed) for other in blind) for measure in measures]
        better[network.methods[row]] = sum(wins)
    if not better or not measures or not blind:
        return Finding(question, "There is no ground-truth measure, no method or no baseline.", None)
    none = [method for method, wins in better.items() if not wins]
    most = max(better.values())
    leaders = [method for method, wins in better.items() if wins == most]
    answer = (
        f"Of {len(better)} methods, {len(better) - len(none)} are better than all {len(blind)} by one measure or more"
    )
    answer += f"; best, by {most} of {len(measures)} measures: {first_of(leaders, MOST_NAMED)}" if most else ""
    answer += f"; by no measure: {first_of(none, MOST_NAMED)}." if none else "."
    return Finding(question, answer, len(none) < len(better) / 2)


def _better(network: Judged, measure, row: int, other: int, seed: int) -> bool:
    first, second = network.of(measure)[row], network.of(measure)[other]
    both = np.isfinite(first) & np.isfinite(second)
    sign = 1 if measure.higher else -1
    if both.sum() < 2:
        return False
    low = comparison(sign * first[both], sign * second[both], seed=seed).low
    return low is not None and low > 0
