"""Writes the page of a study: findings, histograms, tables, and every clip with its films.

The page is made from the study's ``report.json`` and the records in the same folder.
"""

import json
from pathlib import Path

import numpy as np

from tfvid.core.errors import DataError
from tfvid.report.clips import OWN_MEASURES, Group, Measure, clips_section
from tfvid.report.histogram_svg import histogram_svg
from tfvid.report.page import write_page
from tfvid.report.report_file import VERSION
from tfvid.report.table import Table
from tfvid.results.result_store import ResultStore, read_results

SOURCES = ("report.json", "manifest.json", "measures.parquet", "predictions.parquet", "results.parquet")

STATES = {True: ("holds", "✓ holds"), False: ("fails", "✗ does not hold"), None: ("open", "? undecided")}

# Title and unit of each measure of the paper (section 4.3), and a sentence that describes it.
MEASURES = {
    "blob_count": ("blob count", "", "Separate areas of the Grad-CAM map per frame: fewer means more focused."),
    "blob_size": ("blob size", "px", "Diameter of these areas."),
    "centre_distance": ("centre distance", "px", "Distance of these areas from the middle of the frame."),
    "mask_length": ("mask length", "frames", "Frames that the temporal mask perturbs: how many the model needs."),
    "drop_ratio": ("drop ratio", "", "(OS − FS) / (OS − RS): the drop by freezing relative to the drop by reversing."),
    "drop_difference": (
        "drop difference",
        "",
        "RS − FS: the score of the reversed clip minus that of the frozen clip.",
    ),
}


def write_study_page(folder, report: dict, *, fps: float = 5.0) -> Path:
    """Writes ``index.html`` for a study.

    Args:
      folder: of the study. The page shows the clips of its ``results.parquet`` and their films, if these exist.
      report: the content of ``report.json``.
      fps: frames per second of the films.

    Returns:
      The page's path.

    Raises:
      DataError: the report has another version, or the records cannot be read.
    """
    if report.get("version") != VERSION:
        raise DataError(f"{folder}: expected a report of version {VERSION}, got {report.get('version')!r}")
    groups = [Group(group["name"], tuple(group["models"])) for group in report["groups"]]
    results = read_results(folder, maps=False) if ResultStore(folder).files() else []
    figures = [_figure(histogram, report["clips"], groups) for histogram in report["histograms"]]
    notes, manifest = report["notes"], report["manifest"]
    parts = {
        "Findings": report["findings"],
        "Histograms": figures,
        "Tables": report["tables"],
        "Notes": notes or manifest,
        "Clips": results,
    }
    return write_page(
        folder,
        "study.html",
        title=report["title"],
        clips=clips_section(results, groups, fps=fps, measures=_measures(report), values=report["clips"]),
        sources=SOURCES,
        dataset=report["dataset"],
        groups=groups,
        contents=[title for title, part in parts.items() if part],
        findings=report["findings"],
        states=STATES,
        figures=figures,
        tables=[Table.from_dict(table) for table in report["tables"]],
        notes=notes,
        manifest=json.dumps(manifest, indent=2, ensure_ascii=False) if manifest else "",
    )


def _figure(histogram: dict, clips: dict, groups: list[Group]) -> dict:
    """Returns a histogram of the page: its texts, its drawing, and the legend's entry for each group."""
    means = {group.name: _mean(clips, group, histogram["measure"]) for group in groups}
    names = list(means)
    return {
        "measure": histogram["measure"],
        "title": histogram["title"],
        "unit": histogram["unit"],
        "about": MEASURES.get(histogram["measure"], ("", "", ""))[2],
        "svg": histogram_svg(histogram, names, means),
        "legend": [
            {"index": names.index(name), "name": name, "mean": means[name], "counted": _counted(histogram, name)}
            for name in names
            if name in histogram["groups"]
        ],
    }


def _counted(histogram: dict, group: str) -> str:
    """Returns the numbers of clips of a group that are in a histogram and that are not."""
    counted = f"n {histogram['n'][group]}"
    for key, words in (("left_out", "left out"), ("beyond", "further right")):
        number_of = histogram.get(key, {}).get(group)
        counted += f", {number_of} {words}" if number_of else ""
    return counted


def _mean(clips: dict, group: Group, measure: str) -> float | None:
    """Returns the mean of the values in the group's histogram: each is a clip's mean over the models of the group."""
    values: dict[str, list[float]] = {}
    for model in group.models:
        for clip, measures in clips.get(model, {}).items():
            if measures.get(measure) is not None:
                values.setdefault(clip, []).append(measures[measure])
    return float(np.mean([np.mean(of_clip) for of_clip in values.values()])) if values else None


def _measures(report: dict) -> list[Measure]:
    """Returns the paper's measures, then the further measures of the report and of the records."""
    named = {histogram["measure"]: (histogram["title"], histogram["unit"]) for histogram in report["histograms"]}
    named = {key: (title, unit) for key, (title, unit, _) in MEASURES.items()} | named
    return [Measure(key, title, unit) for key, (title, unit) in named.items()] + [
        measure for measure in OWN_MEASURES if measure.key not in named
    ]
