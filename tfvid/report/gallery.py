"""The page of a run: every clip with its films and numbers, one static file beside them.

No server and no network: it opens from disk. The layout is the paper's project page: class, scores, film beside film.
"""

import math
from collections.abc import Callable
from html import escape
from pathlib import Path

import numpy as np

from tfvid.report.clips import Group, clips_section
from tfvid.report.page import number, write_page
from tfvid.results.result_store import STILL, Result, read_results

LEAD = """<p class="lead">Which frames does each model need, and where does it look? Every clip is shown beside its
Grad-CAM and beside its copy in which the learned temporal mask perturbs frames (by default it freezes them).</p>"""


def write_gallery(
    folder, *, title: str = "What the models look at, and when", fps: float = 5.0, skipped: dict[str, str] | None = None
) -> Path:
    """Writes ``index.html`` for the results in `folder`.

    Args:
      folder: with ``results.parquet`` and the files it names.
      title: of the page.
      fps: frames a second.
      skipped: reason by id, for clips that could not be read.

    Returns:
      The page's path.

    Raises:
      DataError: there are no results in `folder`, or they cannot be read.
    """
    results = read_results(folder, maps=False)
    groups = [Group(model, (model,)) for model in dict.fromkeys(result.model for result in results)]
    drawn = [result for result in results if result.sheet]
    return write_page(
        folder,
        title=title,
        lead=LEAD,
        top=summary_table(results) + _not_drawn(results, drawn) + _unusual(results, skipped or {}),
        clips=clips_section(drawn, groups, fps=fps),
        sources=["results.parquet"],
    )


# The run's numbers


def summary_table(results: list[Result]) -> str:
    """One row a model: accuracy, length of the masks, drops, and temporal IoU beside its two baselines."""
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
    head = "".join(f'<th scope="col">{name}</th>' for name in ["clips", "accuracy", *(name for name, *_ in columns)])
    rows = []
    for model in dict.fromkeys(result.model for result in results):
        own = [result for result in results if result.model == model]
        known = [result.correct for result in own if result.correct is not None]
        cells = [str(len(own)), number(float(np.mean(known)), 2) if known else "–"]
        cells += [_mean_and_deviation([value(result) for result in own], digits) for _, value, digits in columns]
        cells = "".join(f"<td>{cell}</td>" for cell in cells)
        rows.append(f'<tr><th scope="row">{escape(model)}</th>{cells}</tr>')
    return (
        '<div class="scroll"><table class="summary"><caption>Means ± standard deviations over the clips</caption>'
        f"<thead><tr><td></td>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _mean_and_deviation(values: list[float], digits: int) -> str:
    values = np.array([value for value in values if not math.isnan(value)])
    if not len(values):
        return "–"
    mean = number(values.mean(), digits)
    return f"{mean} <small>± {number(values.std(), digits)}</small>" if len(values) > 1 else mean


def _not_drawn(results: list[Result], drawn: list[Result]) -> str:
    clips, shown = (len({result.id for result in some}) for some in (results, drawn))
    if clips == shown:
        return ""
    return f"<p>Shown below: {shown} of {clips} clips. The others are in <code>results.parquet</code>.</p>"


def _unusual(results: list[Result], skipped: dict[str, str]) -> str:
    """The clips that could not be read, those of damaged files, and those whose frames are all identical."""
    damaged = {result.id: result.damage for result in results if result.damage}
    still = {result.id: STILL.format(len(result.mask)) for result in results if result.still}
    lists = {"that could not be read": skipped, "from damaged files": damaged, "of identical frames": still}
    return "".join(_listed(f"Clips {kind}", clips) for kind, clips in lists.items() if clips)


def _listed(title: str, clips: dict[str, str]) -> str:
    """Ids and what is said of them, folded away."""
    items = "".join(f"<li><b>{escape(id)}</b>: {escape(said)}</li>" for id, said in clips.items())
    return f"<details><summary>{title}: {len(clips)}</summary><ul>{items}</ul></details>"
