"""The page of a study: what was found, the histograms, the tables, and every clip with its films.

It is made of the study's ``report.json`` and of the records beside it.
"""

import json
from collections.abc import Iterable
from html import escape
from pathlib import Path

import numpy as np

from tfvid.core.errors import DataError
from tfvid.report.clips import OWN_MEASURES, Group, Measure, clips_section
from tfvid.report.histogram_svg import histogram_svg
from tfvid.report.page import beside, number, write_page
from tfvid.results.result_store import ResultStore, read_results

VERSION = 1
SOURCES = ("report.json", "manifest.json", "measures.parquet", "predictions.parquet", "results.parquet")

# What each measure of the paper (section 4.3) says, in a sentence, and its title and unit.
MEASURES = {
    "blob_count": ("blob count", "", "Separate areas of the Grad-CAM map a frame: fewer is more focused."),
    "blob_size": ("blob size", "px", "Diameter of those areas."),
    "centre_distance": ("centre distance", "px", "From those areas to the middle of the frame."),
    "mask_length": ("mask length", "frames", "Frames that the temporal mask perturbs: how many the model needs."),
    "drop_ratio": ("drop ratio", "", "(OS − FS) / (OS − RS): how much more freezing costs than reversing."),
    "drop_difference": (
        "drop difference",
        "",
        "RS − FS: what frames in reverse tell the model that frozen ones do not.",
    ),
}


def write_study_page(folder, report: dict, *, fps: float = 5.0) -> Path:
    """Writes ``index.html`` for a study.

    Args:
      folder: of the study; its ``results.parquet`` and films, where they are there, become the page's clips.
      report: as in ``report.json``.
      fps: frames a second of the films.

    Returns:
      The page's path.

    Raises:
      DataError: a report of another version, or records that cannot be read.
    """
    if report.get("version") != VERSION:
        raise DataError(f"{folder}: expected a report of version {VERSION}, got {report.get('version')!r}")
    groups = [Group(group["name"], tuple(group["models"])) for group in report["groups"]]
    results = read_results(folder, maps=False) if ResultStore(folder).files() else []
    parts = {
        "Findings": _findings(report["findings"]),
        "Histograms": _histograms(report, groups),
        "Tables": "".join(_table(table) for table in report["tables"]),
        "Notes": _notes(report["notes"]) + _manifest(report["manifest"]),
    }
    parts = {title: body for title, body in parts.items() if body}
    return write_page(
        folder,
        title=report["title"],
        lead=_lead(report["dataset"], groups) + _contents([*parts, *(["Clips"] if results else [])]),
        top="".join(_section(title, body) for title, body in parts.items()),
        clips=clips_section(results, groups, fps=fps, measures=_measures(report), values=report["clips"]),
        sources=list(SOURCES),
    )


def _contents(titles: list[str]) -> str:
    links = "".join(f'<a href="#{title.lower()}">{title}</a>' for title in titles)
    return f'<nav aria-label="On this page">{links}</nav>'


def _section(title: str, body: str) -> str:
    return f'<section class="part" id="{title.lower()}"><h2>{title}</h2>{body}</section>'


def _lead(dataset: dict, groups: list[Group]) -> str:
    names = " ".join(
        f'<li class="g{index}"><b>{escape(group.name)}</b> {escape(", ".join(group.models))}</li>'
        for index, group in enumerate(groups)
    )
    split = f", {escape(dataset['split'])} split" if dataset["split"] else ""
    return (
        f'<p class="lead">{escape(dataset["name"])}{split}, {dataset["clips"]} clips. For each clip: the frames a model'
        " needs (a learned temporal mask) and where it looks (Grad-CAM), measured as in the paper.</p>"
        f'<ul class="groups">{names}</ul>'
    )


# What was found

STATES = {True: ("holds", "✓ holds"), False: ("fails", "✗ does not hold"), None: ("open", "? undecided")}


def _findings(findings: list[dict]) -> str:
    items = []
    for finding in findings:
        kind, word = STATES[finding["holds"]]
        items.append(
            f'<li class="{kind}"><h3>{escape(finding["question"])}</h3><p class="verdict">{word}</p>'
            f"<p>{escape(finding['answer'])}</p></li>"
        )
    return f'<ul class="findings">{"".join(items)}</ul>' if items else ""


def _notes(notes: list[str]) -> str:
    return f'<ul class="notes">{"".join(f"<li>{escape(note)}</li>" for note in notes)}</ul>' if notes else ""


# Histograms


def _histograms(report: dict, groups: list[Group]) -> str:
    figures = []
    for histogram in report["histograms"]:
        measure = histogram["measure"]
        means = {group.name: _mean(report["clips"], group, measure) for group in groups}
        figures.append(_figure(histogram, groups, means))
    if not figures:
        return ""
    return (
        "<p>Of each clip's mean over a group's models. Areas are shares of a group's clips; dotted lines are means.</p>"
        f'<div class="histograms">{"".join(figures)}</div>'
    )


def _figure(histogram: dict, groups: list[Group], means: dict[str, float | None]) -> str:
    names = [group.name for group in groups]
    unit = f" <small>{escape(histogram['unit'])}</small>" if histogram["unit"] else ""
    about = MEASURES.get(histogram["measure"], ("", "", ""))[2]
    legend = []
    for index, name in enumerate(names):
        if name in histogram["groups"]:
            counted = f"n {histogram['n'][name]}"
            for key, words in (("left_out", "left out"), ("beyond", "further right")):
                if histogram.get(key, {}).get(name):
                    counted += f", {histogram[key][name]} {words}"
            mean = "" if means[name] is None else f" mean {number(means[name], 2)},"
            legend.append(f'<li class="g{index}"><b>{escape(name)}</b>{mean} {counted}</li>')
    return (
        f"<figure><figcaption><h3>{escape(histogram['title'])}{unit}</h3><p>{escape(about)}</p></figcaption>"
        f'{histogram_svg(histogram, names, means)}<ul class="groups">{"".join(legend)}</ul>'
        f'<button type="button" data-sort="{escape(histogram["measure"])}">Sort clips by this</button></figure>'
    )


def _mean(clips: dict, group: Group, measure: str) -> float | None:
    """Mean over the clips of the group's mean: what the group's histogram is made of."""
    values: dict[str, list[float]] = {}
    for model in group.models:
        for clip, measures in clips.get(model, {}).items():
            if measures.get(measure) is not None:
                values.setdefault(clip, []).append(measures[measure])
    return float(np.mean([np.mean(of_clip) for of_clip in values.values()])) if values else None


# Tables


def _table(table: dict) -> str:
    columns = table["columns"]
    written = {column["key"]: _written(table["rows"], column["key"]) for column in columns}
    head = "".join(
        f'<th scope="col"{_kind(written[column["key"]])}>{escape(column["title"])}{_unit(column["unit"])}</th>'
        for column in columns
    )
    rows = []
    for row in table["rows"]:
        cells = []
        for place, column in enumerate(columns):
            value = row.get(column["key"])
            tag, scope = ("th", ' scope="row"') if place == 0 else ("td", "")
            cells.append(f"<{tag}{scope}{_kind(written[column['key']])}>{_cell(value, column['digits'])}</{tag}>")
        rows.append(f"<tr>{''.join(cells)}</tr>")
    csv = f' <a href="{beside(table["csv"])}" download>CSV</a>' if table["csv"] else ""
    return (
        f'<div class="table" id="{escape(table["id"])}"><h3>{escape(table["title"])}{csv}</h3>'
        f'<p>{escape(table["caption"])}</p><div class="scroll" tabindex="0" role="region"'
        f' aria-label="{escape(table["title"])}"><table class="summary"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div></div>"
    )


def _written(rows: Iterable[dict], key: str) -> bool:
    """Whether a column holds words, which stand to the left, rather than numbers."""
    return any(isinstance(row.get(key), str) for row in rows)


def _kind(words: bool) -> str:
    return ' class="words"' if words else ""


def _unit(unit: str) -> str:
    return f" <small>{escape(unit)}</small>" if unit else ""


def _cell(value, digits: int) -> str:
    if isinstance(value, str):
        return escape(value)
    if not isinstance(value, dict):
        small = value is not None and 0 < value < 10**-digits / 2  # a p-value is never 0
        return f"&lt; {10**-digits:.{digits}f}" if small else number(value, digits)
    text = number(value["mean"], digits)
    if value.get("std") is not None:
        text += f" ± {number(value['std'], digits)}"
    about = []
    if value.get("low") is not None and value.get("high") is not None:
        about.append(f"{number(value['low'], digits)} to {number(value['high'], digits)}")
    if value.get("n") is not None:
        about.append(f"n {value['n']}")
    return text + (f"<small>{', '.join(about)}</small>" if about else "")


# Clips and what they were made of


def _measures(report: dict) -> list[Measure]:
    """The paper's, then what else the report or the records say of a clip."""
    named = {histogram["measure"]: (histogram["title"], histogram["unit"]) for histogram in report["histograms"]}
    named = {key: (title, unit) for key, (title, unit, _) in MEASURES.items()} | named
    return [Measure(key, title, unit) for key, (title, unit) in named.items()] + [
        measure for measure in OWN_MEASURES if measure.key not in named
    ]


def _manifest(manifest: dict) -> str:
    text = json.dumps(manifest, indent=2, ensure_ascii=False)
    return (
        "<details><summary>Models, settings, data and versions</summary>"
        f'<pre tabindex="0">{escape(text)}</pre></details>'
        if manifest
        else ""
    )
