"""A study as one Markdown page with its figures, made from ``report.json`` alone: docs/study.md is one."""

import os
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from tfvid.core.files import replacing
from tfvid.experiments.study.tables import ALL
from tfvid.report.markdown import markdown_table, plain
from tfvid.report.report_file import read_report_file

VERDICTS = {True: "Yes.", False: "No.", None: "Undecided."}
MANY_ROWS = 12  # longer tables are folded


def write_document(folder, path, command: str) -> Path:
    """Writes the page of the study in `folder` to `path`; its figures go into ``images/`` beside it.

    Args:
      folder: of a finished study.
      path: of the Markdown file.
      command: the configuration's path, for the line that says how the page was made.

    Returns:
      `path`.

    Raises:
      DataError: there is no report in `folder`.
    """
    folder, path = Path(folder), Path(path)
    report = read_report_file(folder, "a study")
    figures = _figures(folder, path)
    with replacing(path) as temporary:
        temporary.write_text(_document(report, figures, path, command), encoding="utf-8")
    return path


def _figures(folder: Path, path: Path) -> list[tuple[str, str]]:
    """The study's figures beside the page, clips as JPEGs of half the size; their names there, and what they show."""
    figures = []
    for file in sorted((folder / "figures").glob("*.png"), key=lambda file: file.name != "histograms.png"):
        is_clip = file.name.startswith("clip_")
        place = path.parent / "images" / f"{path.stem}_{file.stem}{'.jpg' if is_clip else '.png'}"
        with replacing(place) as temporary, Image.open(file) as picture:
            if is_clip:
                picture.convert("RGB").reduce(2).save(temporary, "JPEG", quality=88)
            else:
                picture.save(temporary, "PNG", optimize=True)
        what = "One of the first clips that all models get right: frames, Grad-CAM, masks" if is_clip else "Histograms"
        figures.append((f"images/{place.name}", what))
    return figures


def _document(report: dict, figures: list[tuple[str, str]], path: Path, command: str) -> str:
    dataset, manifest = report["dataset"], report["manifest"]
    models = [
        f"* **{plain(group['name'])}**: {', '.join(f'`{model}`' for model in group['models'])}"
        for group in report["groups"]
    ]
    findings = [
        f"{place}. {plain(finding['question'])} **{VERDICTS[finding['holds']]}** {plain(finding['answer'])}"
        for place, finding in enumerate(report["findings"], 1)
    ]
    parts = [
        f"# {plain(report['title'])}",
        f"{dataset['clips']} clips of {dataset['name']} ({dataset['split']}) explained with each model. Made by\n"
        f"`python scripts/compare.py --config {command} --document {os.fspath(path)}`; do not edit.",
        "\n".join(models),
        "## What was found\n\n" + "\n".join(findings),
        *(f"![{text}]({name})" for name, text in figures),
        *(_table(table) for table in report["tables"]),
        "## Notes\n\n" + "\n".join(f"* {plain(note)}" for note in report["notes"]),
        "## Made of\n\n" + _made_of(manifest),
    ]
    return "\n\n".join(parts) + "\n"


def _table(table: dict) -> str:
    """The table; what is class by class, and what is long, is folded."""
    head, rest = table["rows"], []
    if any(row.get("class") == ALL for row in head):
        head, rest = ([row for row in table["rows"] if (row["class"] == ALL) is whole] for whole in (True, False))
    elif len(head) > MANY_ROWS:
        head, rest = [], head
    parts = [f"## {plain(table['title'])}", plain(table["caption"])]
    if head:
        parts.append(_rows(table["columns"], head))
    if rest:
        parts.append(f"<details><summary>{len(rest)} rows</summary>\n\n{_rows(table['columns'], rest)}\n\n</details>")
    return "\n\n".join(parts)


def _rows(columns: list[dict], rows: list[dict]) -> str:
    titles = [plain(column["title"]) + (f" ({column['unit']})" if column["unit"] else "") for column in columns]
    keys = [(column["key"], column["digits"]) for column in columns]
    return markdown_table(titles, ([_cell(row[key], digits) for key, digits in keys] for row in rows))


def _cell(value, digits: int) -> str:
    if value is None:
        return "–"
    if isinstance(value, str):
        return plain(value)
    if not isinstance(value, Mapping):
        if 0 < value < 0.5 * 10**-digits:
            return f"< {10**-digits:.{digits}f}"
        return f"{value:.{digits}f}".replace("-", "−")
    text = f"{value['mean']:.{digits}f}"
    text += f" ± {value['std']:.{digits}f}" if value["std"] is not None else ""
    text += f" [{value['low']:.{digits}f}, {value['high']:.{digits}f}]" if value["low"] is not None else ""
    return f"{text}, n {value['n']}".replace("-", "−")


def _made_of(manifest: dict) -> str:
    lines = [
        f"* {plain(model['name'])}: weights `{model['weights']}`"
        for models in manifest["models"].values()
        for model in models
    ]
    lines.append(f"* clips: fingerprint `{manifest['dataset']['fingerprint']}`")
    lines.append("* " + ", ".join(f"{name} {version}" for name, version in manifest["packages"].items()))
    return "\n".join(lines)
