"""A benchmark as one Markdown page with its figures, made from ``report.json`` alone: docs/attribution.md is one."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from tfvid.core.files import replacing
from tfvid.experiments.attribution.measures import OBJECTIVE
from tfvid.experiments.attribution.methods import BASELINES
from tfvid.experiments.study.document import VERDICTS
from tfvid.report.markdown import markdown_table, plain
from tfvid.report.report_file import read_report_file

MANY_ROWS = 16  # longer tables are folded


def write_document(folder, path, command: str) -> Path:
    """Writes the page of the benchmark in `folder` to `path`; its figures go into ``images/`` beside it.

    Args:
      folder: of a finished benchmark.
      path: of the Markdown file.
      command: the configuration's path, for the line that says how the page was made.

    Returns:
      `path`.

    Raises:
      DataError: there is no report in `folder`.
    """
    folder, path = Path(folder), Path(path)
    report = read_report_file(folder, "a benchmark")
    figures = [_figure(folder / figure["file"], figure["text"], path) for figure in report["figures"]]
    with replacing(path) as temporary:
        temporary.write_text(_document(report, figures, path, command), encoding="utf-8")
    return path


def _figure(file: Path, text: str, path: Path) -> str:
    """A figure beside the page, pictures of clips as JPEGs, and the line that shows it."""
    is_clip = file.name.startswith("clip_")
    place = path.parent / "images" / f"{path.stem}_{file.stem}{'.jpg' if is_clip else '.png'}"
    with replacing(place) as temporary, Image.open(file) as picture:
        if is_clip:
            picture.convert("RGB").save(temporary, "JPEG", quality=85)
        else:
            picture.convert("RGB").save(temporary, "PNG", optimize=True)
    return f"![{plain(text)}](images/{place.name})"


def _document(report: dict, figures: list[str], path: Path, command: str) -> str:
    dataset, by_id = report["dataset"], {table["id"]: table for table in report["tables"]}
    ranks, correlation, agreement, *clips = figures
    parts = [
        f"# {plain(report['title'])}",
        f"{dataset['clips']} clips of {plain(dataset['name'])} ({plain(dataset['split'])}) on each network.\n"
        f"Made by `python scripts/benchmark_attribution.py --config {command} --document {os.fspath(path)}`;\n"
        "do not edit.",
        "\n".join(_network(network) for network in report["networks"]),
        "## What was found\n\n" + "\n".join(_finding(*pair) for pair in enumerate(report["findings"], 1)),
        ranks,
        *_methods(by_id["methods"], report),
        *_section(by_id["correlation"], correlation),
        *_section(by_id["agreement"], agreement),
        *(_section(by_id["sanity"]) if "sanity" in by_id else ()),
        "## One clip as every method sees it",
        *clips,
        "## Notes\n\n" + "\n".join(f"* {plain(note)}" for note in report["notes"]),
        "## Settings\n\n" + _settings(report),
        "## Made of\n\n" + _made_of(report["manifest"]),
    ]
    return "\n\n".join(parts) + "\n"


def _network(network: Mapping) -> str:
    right = "" if network["correct"] is None else f", right about {100 * network['correct']:.0f} % of the clips"
    return f"* **{plain(network['name'])}**: `{network['path']}`{right}"


def _finding(place: int, finding: Mapping) -> str:
    return f"{place}. {plain(finding['question'])} **{VERDICTS[finding['holds']]}** {plain(finding['answer'])}"


def _methods(table: dict, report: dict) -> list[str]:
    """The large table as two a network, of the measures of each kind; the best method's value in bold."""
    measures = {measure["name"]: measure for measure in report["measures"]}
    parts = [f"## {plain(table['title'])}", plain(table["caption"]) + " ↑ more is better, ↓ less is."]
    for network in report["networks"]:
        rows = [row for row in table["rows"] if row["network"] == network["name"]]
        kinds: dict[bool, list[dict]] = {True: [], False: []}
        for column in table["columns"]:
            if column["key"] in measures:
                kinds[measures[column["key"]]["kind"] == OBJECTIVE].append(column)
        columns = {column["key"]: column for column in table["columns"]}
        for objective, words in ((True, "measures that ask the network"), (False, "measures that know the truth")):
            if not kinds[objective]:
                continue
            shown = [*kinds[objective], columns[f"rank {'objective' if objective else 'truth'}"]]
            shown += [columns["seconds"]] if objective else []
            judged = [row for row in rows if not row["note"]]
            parts += [f"### {plain(network['name'])}: {words}", _judged(judged, shown, measures)]
        refusals = [f"* {plain(row['method'])}: {plain(row['note'])}" for row in rows if row["note"]]
        if refusals:
            parts += [f"Methods that do not support {plain(network['name'])}:", "\n".join(refusals)]
    return parts


def _judged(rows: Sequence[Mapping], columns: Sequence[Mapping], measures: Mapping[str, Mapping]) -> str:
    best = {}
    for key in (column["key"] for column in columns if column["key"] in measures):
        means = {
            row["method"]: row[key]["mean"] for row in rows if row["method"] not in BASELINES and row[key] is not None
        }
        if len(set(means.values())) > 1:
            best[key] = (max if measures[key]["higher"] else min)(means.values())
    titles = ["method", *(_title(column, measures) for column in columns)]
    cells = [
        [
            plain(row["method"]),
            *(_cell(row[column["key"]], column["digits"], best.get(column["key"])) for column in columns),
        ]
        for row in rows
    ]
    return markdown_table(titles, cells)


def _title(column: Mapping, measures: Mapping[str, Mapping]) -> str:
    clips = measures.get(column["key"], {}).get("clips")
    return plain(column["title"]) + (f" ({clips} clips)" if clips else "")


def _cell(value, digits: int, best: float | None) -> str:
    if value is None:
        return "–"
    if not isinstance(value, Mapping):
        return _number(value, digits)
    text = _number(value["mean"], digits)
    text = f"**{text}**" if value["mean"] == best else text
    if value["low"] is None:
        return text
    return f"{text} \\[{_number(value['low'], digits)}, {_number(value['high'], digits)}\\]"


def _number(value: float, digits: int) -> str:
    if value and abs(value) < 0.5 * 10**-digits:
        return f"{value:.1e}".replace("-", "−")
    return f"{value:.{digits}f}".replace("-", "−")


def _section(table: dict, figure: str = "") -> list[str]:
    """A table with its figure; a long one is folded."""
    titles = [plain(column["title"]) for column in table["columns"]]
    keys = [(column["key"], column["digits"]) for column in table["columns"]]
    rows = [
        [plain(row[key]) if isinstance(row[key], str) else _cell(row[key], digits, None) for key, digits in keys]
        for row in table["rows"]
    ]
    text = markdown_table(titles, rows)
    if len(rows) > MANY_ROWS:
        text = f"<details><summary>{len(rows)} rows</summary>\n\n{text}\n\n</details>"
    return [f"## {plain(table['title'])}", plain(table["caption"]), *([figure] if figure else []), text]


def _settings(report: dict) -> str:
    lines = [
        f"* {plain(measure['name'])}{_options(measure['options'])}: {measure['kind']}" for measure in report["measures"]
    ]
    methods = report["manifest"]["config"]["methods"]
    lines += [f"* {plain(method['label'] or method['name'])}{_options(method['options'])}" for method in methods]
    return "\n".join(lines)


def _options(options: Mapping) -> str:
    return f" ({plain(', '.join(f'{name} {value}' for name, value in options.items()))})" if options else ""


def _made_of(manifest: dict) -> str:
    lines = [
        f"* {plain(name)}: weights `{model['weights']}`"
        for name, models in manifest["models"].items()
        for model in models
    ]
    lines.append(f"* clips: fingerprint `{manifest['dataset']['fingerprint']}`")
    lines.append("* " + ", ".join(f"{name} {version}" for name, version in manifest["packages"].items()))
    lines.append(f"* {plain(manifest['machine'])}")
    return "\n".join(lines)
