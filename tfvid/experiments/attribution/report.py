"""Writes the report of a benchmark from its records: ``report.json``, a CSV file for each table, and figures."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tfvid.config import AttributionConfig, MethodConfig
from tfvid.core.errors import DataError
from tfvid.core.files import safe_name
from tfvid.experiments.attribution import findings, plots, tables
from tfvid.experiments.attribution.agreement import agreement
from tfvid.experiments.attribution.claims import claims_table
from tfvid.experiments.attribution.correlation import correlations
from tfvid.experiments.attribution.judged import Judged, judged
from tfvid.experiments.attribution.measures import Measure
from tfvid.experiments.attribution.records import Record, with_baselines
from tfvid.report.report_file import write_report_file

FIGURES = {
    "ranks.png": "Rank of each method by each measure; objective measures left of the line",
    "correlation.png": "Rank correlation of objective with ground-truth measures over the methods; bold: not zero",
    "agreement.png": "Rank correlation of the maps of every two methods",
}


def write_report(
    out: Path,
    config: AttributionConfig,
    measures: list[Measure],
    records: Sequence[Record],
    *,
    clips: list[str],
    refused: Mapping[str, Mapping[str, str]],
    sanity: Sequence[Mapping],
    first: Mapping[str, Mapping],
    manifest: dict,
) -> dict:
    """Writes the report of a benchmark into `out`.

    Args:
      out: the benchmark's folder.
      config: of the benchmark.
      measures: the measures of the tables.
      records: the records with their maps.
      clips: ids in order.
      refused: for each network, the error of each method that does not support it.
      sanity: rows of `tfvid.experiments.attribution.sanity.Sanity`.
      first: for each network, a batch of the one clip to draw.
      manifest: of the benchmark.

    Returns:
      The report, as in ``report.json``: ``title``, ``dataset``, ``networks`` (each with ``name``, ``path`` and
      ``correct``, the share of clips that it classifies correctly), ``measures``, ``findings``, ``tables``,
      ``figures``, ``notes`` and ``manifest``. All numbers are finite.

    Raises:
      DataError: no clip was explained with a network.
    """
    rows = [method.row for method in with_baselines(config.methods)]
    of_network = {n.name: [record for record in records if record.network == n.name] for n in config.networks}
    networks = {name: judged(own, rows, measures, clips) for name, own in of_network.items()}
    _check_explained(out, networks)
    found = {name: correlations(network, config.seed) for name, network in networks.items()}
    alike = {n: (own.methods, agreement(of_network[n], own.methods, clips)) for n, own in networks.items()}
    return write_report_file(
        out,
        config.title,
        dataset={"name": config.data.dataset, "split": config.split, "clips": len(clips)},
        networks=[{"name": n.name, "path": n.path, "correct": networks[n.name].correct} for n in config.networks],
        measures=[measure.to_dict() for measure in measures],
        findings=findings.all_findings(networks, found, config.seed),
        tables=[
            tables.methods_table(networks, refused, rows, config.seed),
            claims_table(networks, config.seed),
            tables.correlation_table(found),
            tables.agreement_table(alike),
            tables.sanity_table(sanity),
        ],
        figures=_draw(out, networks, found, alike, of_network, first),
        notes=_notes(config.target, measures, config.methods),
        manifest=manifest,
    )


def _check_explained(out: Path, networks: Mapping[str, Judged]) -> None:
    """Raises DataError if no clip was explained with a network."""
    for name, network in networks.items():
        if not network.methods:
            raise DataError(f"{out}: no clip was explained with {name}")


def _draw(out: Path, networks, found, alike, of_network, first) -> list[dict]:
    """Draws the figures into ``figures/``; returns dicts of ``file`` and ``text``."""
    folder = out / "figures"
    plots.draw_ranks(networks, folder / "ranks.png")
    plots.draw_correlations(found, folder / "correlation.png")
    plots.draw_agreement(alike, folder / "agreement.png")
    figures = [{"file": f"figures/{name}", "text": text} for name, text in FIGURES.items()]
    for name, batch in first.items():
        id = batch["id"][0]
        maps = {record.method: record.coarse for record in of_network[name] if record.clip == id}
        maps = {method: maps[method] for method in networks[name].methods if method in maps}
        file = f"figures/clip_{safe_name(name)}.png"
        plots.draw_clip(batch, maps, f"{name}: one frame of {id}", out / file)
        figures.append(
            {"file": file, "text": f"{name}: the map of each method on one frame; the boxes are the ground truth"}
        )
    return figures


def _notes(target: str, measures: Sequence[Measure], methods: Sequence[MethodConfig]) -> list[str]:
    notes = [
        f"Each clip's {target} class is explained. Intervals are 95 % BCa bootstrap intervals over clips.",
        "The baselines do not use the network: random draws each voxel independently, centre is a Gaussian in the "
        "middle of the clip, frame_difference and optical_flow show what moves, edges what stands out in a frame. "
        "Compare every value with theirs.",
        "The mask of a method that explains only time is used as a map that is constant over each frame.",
        "Seconds per clip are wall-clock time on the machine below, without compilation if there was a second call.",
    ]
    notes += [
        f"{measure.name} is measured on the first {measure.clips} clips only, because it is expensive."
        for measure in measures
        if measure.clips is not None
    ]
    without = {method.row: method.without for method in methods if method.without}
    if without:
        listed = "; ".join(f"{row}: {', '.join(names)}" for row, names in without.items())
        notes.append(f"Skipped measures, which would run a slow method many times: {listed}.")
    return notes
