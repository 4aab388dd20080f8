"""The gallery of a run: one static page that shows every clip with its films and scores.

The page opens from disk, without server and network. Its layout follows the paper's project page: class, scores, and
films side by side.
"""

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from markupsafe import Markup

from tfvid.report.clips import Group, clips_section
from tfvid.report.numbers import number
from tfvid.report.page import write_page
from tfvid.report.rendering import render
from tfvid.results.result_store import STILL, Result, read_results


def write_gallery(
    folder,
    *,
    title: str = "What the models look at, and when",
    fps: float = 5.0,
    skipped: dict[str, str] | None = None,
    notes: Mapping[str, str] | None = None,
) -> Path:
    """Writes ``index.html`` for the results in `folder`.

    Args:
      folder: with ``results.parquet`` and the files it names.
      title: of the page.
      fps: frames per second.
      skipped: for each clip that could not be read, the reason by the clip's id.
      notes: for each model, what a reader of its answers must know.

    Returns:
      The page's path.

    Raises:
      DataError: there are no results in `folder`, or they cannot be read.
    """
    results = read_results(folder, maps=False)
    groups = [Group(model, (model,)) for model in dict.fromkeys(result.model for result in results)]
    drawn = [result for result in results if result.sheet]
    total, shown = (len({result.id for result in some}) for some in (results, drawn))
    return write_page(
        folder,
        "gallery.html",
        title=title,
        clips=clips_section(drawn, groups, fps=fps),
        sources=["results.parquet"],
        summary=summary_table(results),
        total=total,
        shown=shown,
        unusual=_unusual(results, skipped or {}),
        notes=notes or {},
    )


# The run's numbers


def summary_table(results: list[Result]) -> Markup:
    """Returns the table of one row per model: accuracy, mask length, drops, and temporal IoU with two reference values.

    Args:
      results: the records of the run.
    """
    columns: list[tuple[str, Callable[[Result], float], int]] = [
        ("mask length", lambda r: r.mask_length, 1),
        ("OS", lambda r: r.original_score, 2),
        ("drop OS − FS", lambda r: r.original_score - r.freeze_score, 2),
        ("drop OS − RS", lambda r: r.original_score - r.reverse_score, 2),
    ]
    if any(result.event[0] >= 0 for result in results):
        columns += [
            ("temporal IoU", lambda r: r.temporal_iou, 2),
            ("random", lambda r: r.temporal_iou_random, 2),
            ("centred", lambda r: r.temporal_iou_centred, 2),
        ]
    rows = {}
    for model in dict.fromkeys(result.model for result in results):
        own = [result for result in results if result.model == model]
        known = [result.correct for result in own if result.correct is not None]
        accuracy = number(float(np.mean(known)), 2) if known else "–"
        means = [_mean_and_deviation([value(result) for result in own], digits) for _, value, digits in columns]
        rows[model] = [(str(len(own)), ""), (accuracy, ""), *means]
    return render("summary.html", titles=["clips", "accuracy", *(name for name, *_ in columns)], rows=rows)


def _mean_and_deviation(values: list[float], digits: int) -> tuple[str, str]:
    values = np.array([value for value in values if not math.isnan(value)])
    if not len(values):
        return "–", ""
    return number(values.mean(), digits), number(values.std(), digits) if len(values) > 1 else ""


def _unusual(results: list[Result], skipped: dict[str, str]) -> dict[str, dict[str, str]]:
    """Returns unreadable clips, clips from damaged files, and clips of identical frames, with a text for each id."""
    return {
        "Clips that could not be read": skipped,
        "Clips from damaged files": {result.id: result.damage for result in results if result.damage},
        "Clips of identical frames": {result.id: STILL.format(len(result.mask)) for result in results if result.still},
    }
