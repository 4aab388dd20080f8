"""Writes a study as one Markdown document with figures, e.g. docs/study.md, from its ``report.json``."""

import os
from pathlib import Path

from tfvid.experiments.study.tables import ALL
from tfvid.report.document import bullets, figure, findings_section, folded, made_of, table_section
from tfvid.report.document import write_document as write
from tfvid.report.markdown import plain
from tfvid.report.table import Table

MANY_ROWS = 12  # longer tables are collapsed


def write_document(folder, path, command: str) -> Path:
    """Writes the document of the study in `folder` to `path`; its figures go into ``images/`` beside it.

    Args:
      folder: of a finished study.
      path: of the Markdown file.
      command: path of the configuration, for the line that states how the document was made.

    Returns:
      `path`.

    Raises:
      DataError: there is no report in `folder`.
    """
    return write(folder, path, "a study", lambda report, folder, path: _parts(report, folder, path, command))


def _parts(report: dict, folder: Path, path: Path, command: str) -> list[str]:
    dataset = report["dataset"]
    models = [
        f"* **{plain(group['name'])}**: {', '.join(f'`{model}`' for model in group['models'])}"
        for group in report["groups"]
    ]
    return [
        f"# {plain(report['title'])}",
        f"{dataset['clips']} clips of {dataset['name']} ({dataset['split']}) explained with each model. Made by\n"
        f"`python scripts/compare.py --config {command} --document {os.fspath(path)}`; do not edit.",
        "\n".join(models),
        findings_section(report["findings"]),
        *_figures(folder, path),
        *(part for table in report["tables"] for part in _table(Table.from_dict(table))),
        bullets("Notes", [plain(note) for note in report["notes"]]),
        bullets("Made of", made_of(report["manifest"], lambda group, model: model["name"])),
    ]


def _figures(folder: Path, path: Path) -> list[str]:
    """Returns the histograms, then the clips at half their size."""
    files = sorted((folder / "figures").glob("*.png"), key=lambda file: file.name != "histograms.png")
    clip = "One of the first clips that all models get right: frames, Grad-CAM, masks"
    texts = ["Histograms" if file.name == "histograms.png" else clip for file in files]
    return [figure(file, text, path, shrink=2, quality=88) for file, text in zip(files, texts, strict=True)]


def _table(table: Table) -> list[str]:
    """Returns the section of a table; the rows of single classes, and the rows of a long table, are collapsed."""
    shown, hidden = table.rows, []
    if any(row.get("class") == ALL for row in shown):
        shown, hidden = ([row for row in table.rows if (row["class"] == ALL) is whole] for whole in (True, False))
    elif len(shown) > MANY_ROWS:
        shown, hidden = [], shown
    parts = [table.markdown(shown)] if shown else []
    parts += [folded(len(hidden), table.markdown(hidden))] if hidden else []
    return table_section(table, "\n\n".join(parts))
