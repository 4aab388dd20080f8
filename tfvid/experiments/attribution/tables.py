"""The tables of a benchmark."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfvid.experiments.attribution.correlation import Correlation
from tfvid.experiments.attribution.findings import mean_ranks
from tfvid.experiments.attribution.judged import Judged
from tfvid.experiments.attribution.measures import OBJECTIVE, TRUTH
from tfvid.report.numbers import finite
from tfvid.report.table import Table, sample


def methods_table(
    networks: Mapping[str, Judged], refused: Mapping[str, Mapping[str, str]], order: Sequence[str], seed: int
) -> Table:
    """Returns the table of methods by measures for each network.

    If a method does not support a network, its row states the reason.

    Args:
      networks: the values of each network, by name.
      refused: for each network, the error of each method that does not support it.
      order: names of the rows in order.
      seed: of the bootstrap of the intervals.
    """
    measures = next(iter(networks.values())).measures
    rows = []
    for name, network in networks.items():
        ranks = {kind: mean_ranks(network, kind) for kind in (OBJECTIVE, TRUTH)}
        for method in order:
            row: dict[str, Any] = {"network": name, "method": method, "note": refused[name].get(method, "")}
            if method in network.methods:
                place = network.methods.index(method)
                row |= {m.name: sample(network.of(m)[place], seed) for m in measures}
                row |= {f"rank {kind}": finite(ranks[kind][place]) for kind in ranks}
                row["seconds"] = network.seconds[method]
            if method in network.methods or row["note"]:
                rows.append(row)
    return Table.of(
        "methods",
        "Methods by measures",
        "Means over clips with 95 % bootstrap intervals. Mean rank: over the measures of a kind; 1 is the best.",
        [
            ("network", "network"),
            ("method", "method"),
            *((measure.name, _title(measure)) for measure in measures),
            (f"rank {OBJECTIVE}", "mean rank, objective", "", 1),
            (f"rank {TRUTH}", "mean rank, ground truth", "", 1),
            ("seconds", "seconds per clip", "", 3),
            ("note", "note"),
        ],
        rows,
    )


def correlation_table(found: Mapping[str, list[Correlation]]) -> Table:
    """Returns the table of the rank correlations of every two measures over the methods.

    Args:
      found: the correlations of each network, by name.
    """
    rows = [
        {
            "network": network,
            "first": pair.first.name,
            "second": pair.second.name,
            "kinds": pair.first.kind if pair.first.kind == pair.second.kind else "across",
            "methods": pair.methods,
            "spearman": pair.spearman,
            "low": pair.low,
            "high": pair.high,
            "kendall": pair.kendall,
        }
        for network, pairs in found.items()
        for pair in pairs
    ]
    return Table.of(
        "correlation",
        "Do the measures rank the methods in the same order?",
        "Rank correlation of two measures over the methods. If lower values of a measure are better, its sign is "
        "reversed. The baselines are left out. Intervals are 95 % bootstrap intervals over clips.",
        [
            ("network", "network"),
            ("first", "measure"),
            ("second", "and"),
            ("kinds", "kinds"),
            ("methods", "methods", "", 0),
            ("spearman", "Spearman", "", 2),
            ("low", "from", "", 2),
            ("high", "to", "", 2),
            ("kendall", "Kendall", "", 2),
        ],
        rows,
    )


def agreement_table(matrices: Mapping[str, tuple[Sequence[str], np.ndarray]]) -> Table:
    """Returns the table of the rank correlation of every two methods' maps, as the mean over clips.

    Args:
      matrices: for each network, its M methods and the matrix `(M, M)` of `agreement`.
    """
    rows = [
        {"network": network, "first": names[i], "second": names[j], "spearman": float(matrix[i, j])}
        for network, (names, matrix) in matrices.items()
        for i in range(len(names))
        for j in range(i)
    ]
    return Table.of(
        "agreement",
        "Do the methods agree?",
        "Spearman's rank correlation of the maps of two methods, on at most 16 x 16 cells per frame; the mean over "
        "clips. Agreement does not mean that the maps are right.",
        [("network", "network"), ("first", "method"), ("second", "and"), ("spearman", "Spearman", "", 2)],
        sorted(rows, key=lambda row: (list(matrices).index(row["network"]), -row["spearman"])),
    )


def sanity_table(checked: Sequence[Mapping]) -> Table | None:
    """Returns the table of the similarity of maps before and after weights are randomised, at three depths.

    Args:
      checked: rows of `tfvid.experiments.attribution.sanity.Sanity`.

    Returns:
      The table; None without rows.
    """
    if not checked:
        return None
    rows = [
        {"network": row["network"], "method": row["method"], "clips": row["clips"], "layers": len(row["cascade"])}
        | {
            f"{measure} {share}": row["cascade"][_depth(len(row["cascade"]), share)][measure]
            for measure in ("spearman", "ssim")
            for share in DEPTHS
        }
        for row in checked
    ]
    return Table.of(
        "sanity",
        "Do the maps change when the weights are randomised?",
        "Spearman's correlation and SSIM with the map of the trained network, after the weights of the last layer, of "
        "half of the layers (from the scores down), and of all layers are shuffled. A value near 1 means that the map "
        "does not depend on what the network has learned (Adebayo et al., NeurIPS 2018).",
        [
            ("network", "network"),
            ("method", "method"),
            ("clips", "clips", "", 0),
            ("layers", "layers", "", 0),
            *(
                (f"{measure} {share}", f"{title}, {words}", "", 2)
                for measure, title in (("spearman", "Spearman"), ("ssim", "SSIM"))
                for share, words in DEPTHS.items()
            ),
        ],
        rows,
    )


DEPTHS = {0.0: "last layer", 0.5: "half", 1.0: "all"}


def _depth(layers: int, share: float) -> int:
    return round(share * (layers - 1))


def _title(measure) -> str:
    return f"{measure.name.replace('_', ' ')} {'↑' if measure.higher else '↓'}"
