"""The page of a run: every clip with its films and numbers, one static file beside them.

No server and no network: it opens from disk. Without JavaScript it shows the animated films. The layout is the
paper's project page: class, scores, film beside film.
"""

import math
from collections.abc import Callable
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from urllib.parse import quote

import numpy as np

from tfvid.files import replacing
from tfvid.report.film import titles
from tfvid.report.overlay import display_size
from tfvid.report.reel import grid
from tfvid.results import Result, read_results


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
    results = read_results(folder)
    clips: dict[str, list[Result]] = {}
    for result in results:
        clips.setdefault(result.id, []).append(result)
    models = list(dict.fromkeys(result.model for result in results))
    static = files("tfvid.report") / "static"
    page = Template((static / "page.html").read_text(encoding="utf-8")).substitute(
        title=escape(title),
        fps=float(fps),
        layout="single" if len(models) == 1 else "",  # the films of several models stand side by side
        css=(static / "page.css").read_text(encoding="utf-8"),
        js=(static / "page.js").read_text(encoding="utf-8"),
        summary=summary_table(results),
        skipped=_skipped(skipped or {}),
        tools=_tools(results, models),
        cards="\n".join(_card(clip, sorted(rows, key=lambda r: models.index(r.model))) for clip, rows in clips.items()),
    )
    path = Path(folder) / "index.html"
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


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
        cells = [str(len(own)), f"{np.mean(known):.2f}" if known else "–"]
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
    mean = _minus(f"{values.mean():.{digits}f}")
    return f"{mean} <small>± {values.std():.{digits}f}</small>" if len(values) > 1 else mean


def _minus(number: str) -> str:
    number = number[1:] if float(number) == 0 and number.startswith("-") else number
    return number.replace("-", "−")


def _skipped(reasons: dict[str, str]) -> str:
    if not reasons:
        return ""
    items = "".join(f"<li><b>{escape(id)}</b>: {escape(reason)}</li>" for id, reason in reasons.items())
    return f"<details><summary>Clips that could not be read: {len(reasons)}</summary><ul>{items}</ul></details>"


# Choosing clips


def _tools(results: list[Result], models: list[str]) -> str:
    labels = sorted({result.label_name for result in results if result.label >= 0})
    tools = ['<label>Search <input type="search" name="search" placeholder="class or clip"></label>']
    if labels:
        tools.append(_select("Class", "data-label", [(label, label) for label in labels]))
        for index, model in enumerate(models):
            tools.append(_select(model, f"data-model-{index}", [("right", "right"), ("wrong", "wrong")]))
    return "\n".join(tools)


def _select(label: str, name: str, choices: list[tuple[str, str]]) -> str:
    options = "".join(f'<option value="{escape(value)}">{escape(text)}</option>' for value, text in choices)
    return f'<label>{escape(label)} <select name="{name}"><option value="">all</option>{options}</select></label>'


# One clip


def _card(clip: str, rows: list[Result]) -> str:
    first = rows[0]
    file = Path(first.path).name  # the name only: pages are shared, folders are nobody's business
    heading = first.label_name if first.label >= 0 else file or clip
    text = " ".join([clip, first.label_name, file, *(row.predicted_name for row in rows)]).lower()
    longest = max(rows, key=lambda row: len(row.mask))
    outcomes = "".join(
        f' data-model-{index}="{"right" if row.correct else "wrong"}"'
        for index, row in enumerate(rows)
        if row.correct is not None
    )
    name = clip if not file or Path(file).stem == clip else f"{clip} · {file}"
    return (
        f'<article class="card" data-text="{escape(text)}" data-label="{escape(first.label_name)}"'
        f' data-still="{_middle(longest.mask)}"{outcomes}>'
        f'<header><div><h2>{escape(heading)}</h2><p class="id">{escape(name)}</p></div>'
        f'<button type="button" class="play" aria-label="Play or pause {escape(heading)}">Play</button></header>'
        f'<div class="models">{"".join(_model(row) for row in rows)}</div></article>'
    )


def _middle(mask: np.ndarray) -> int:
    """The frame to show while nothing moves: the middle one of those masked."""
    masked = np.flatnonzero(mask > 0.5)
    return int(masked[len(masked) // 2]) if len(masked) else len(mask) // 2


def _model(row: Result) -> str:
    mark, kind = {True: ("✓", "right"), False: ("✗", "wrong"), None: ("", "")}[row.correct]
    spoken = f'<span class="{kind}" role="img" aria-label="{kind}">{mark}</span> ' if mark else ""
    same = row.target == row.predicted
    explained = f"{row.original_score:.2f}" if same else f"· explained: {escape(row.target_name)}"
    return (
        f'<section class="model"><h3>{spoken}<b>{escape(row.model)}</b>: {escape(row.predicted_name)} {explained}</h3>'
        f"{_film(row)}{_scores(row)}{_doubt(row)}{_files(row)}</section>"
    )


def _film(row: Result) -> str:
    height, width = display_size(row.size)
    columns, _ = grid(len(row.mask), height)
    panes = "".join(
        f'<figure><figcaption>{escape(panel)}</figcaption><canvas width="{width}" height="{height}"></canvas></figure>'
        for panel in titles(row.perturbation)
    )
    animated = row.webp or row.gif
    fallback = f'<noscript><img src="{quote(animated)}" alt="{_spoken(row)}"></noscript>' if animated else ""
    values = " ".join(f"{value:.2f}" for value in row.mask)
    return (
        f'<div class="film" role="group" aria-label="{_spoken(row)}" data-reel="{quote(row.reel)}"'
        f' data-columns="{columns}" data-mask="{values}">'
        f'<div class="panes">{panes}</div>{fallback}'
        f'<div class="timeline" style="--length:{len(row.mask)}">{_strip(row.mask)}{_event(row)}'
        f'<input type="range" min="1" max="{len(row.mask)}" value="1" aria-label="Frame, {escape(row.model)}">'
        "</div></div>"
    )


def _spoken(row: Result) -> str:
    frozen = [str(frame + 1) for frame in np.flatnonzero(row.mask > 0.5)]
    state = titles(row.perturbation)[2]
    what = f"frames {', '.join(frozen)} of {len(row.mask)} {state}" if frozen else f"no frame {state}"
    return escape(f"{row.model}: {what}")


def _strip(mask: np.ndarray) -> str:
    """The mask as drawn by `overlay.mask_strip`: a cell a frame, its level the value."""
    cells = []
    for frame, value in enumerate(np.clip(mask, 0, 1).round(3).tolist()):
        frozen = value > 0.5
        kind = "frozen" if frozen else "kept"
        for y, height, strong in ((0, 1 - value, not frozen), (1 - value, value, frozen)):
            if height > 0:
                pale = "" if strong else " pale"
                cells.append(
                    f'<rect class="{kind}{pale}" x="{frame + 0.03:.2f}" y="{y:.3f}" width=".94" height="{height:.3f}"/>'
                )
    return (
        f'<svg class="strip" viewBox="0 0 {len(mask)} 1" preserveAspectRatio="none" aria-hidden="true">'
        f"{''.join(cells)}</svg>"
    )


def _event(row: Result) -> str:
    start, stop = row.event
    if start < 0:
        return ""
    left, width = 100 * start / len(row.mask), 100 * (stop - start) / len(row.mask)
    return f'<div class="event" title="the event" style="margin-left:{left:.2f}%;width:{width:.2f}%"></div>'


def _scores(row: Result) -> str:
    scores = {"OS": row.original_score, "FS": row.freeze_score, "RS": row.reverse_score, "CS": row.true_score}
    head, cells = [], []
    for name, value in scores.items():
        if not math.isnan(value):
            head.append(f'<th scope="col">{name}</th>')
            cells.append(f'<td class="bar" style="--share:{value:.3f}">{value:.2f}</td>')
    head.append('<th scope="col">mask</th>')
    cells.append(f"<td>{row.mask_length} <small>of {len(row.mask)}</small></td>")
    if not math.isnan(row.temporal_iou):
        head.append('<th scope="col">temporal IoU <small>random, centred</small></th>')
        cells.append(
            f"<td>{row.temporal_iou:.2f} "
            f"<small>{row.temporal_iou_random:.2f}, {row.temporal_iou_centred:.2f}</small></td>"
        )
    return f'<table class="scores"><thead><tr>{"".join(head)}</tr></thead><tr>{"".join(cells)}</tr></table>'


def _doubt(row: Result) -> str:
    if row.full_drop > 0:
        return ""
    return '<p class="doubt">Even the whole clip perturbed does not lower this score: the mask says little.</p>'


def _files(row: Result) -> str:
    names = {
        "GIF": row.gif,
        "MP4": row.mp4,
        "WebP": row.webp,
        "reversed film": row.reversed,
        "contact sheet": row.sheet,
    }
    links = "".join(f'<a href="{quote(file)}">{name}</a>' for name, file in names.items() if file)
    return f'<p class="files">{links}</p>' if links else ""
