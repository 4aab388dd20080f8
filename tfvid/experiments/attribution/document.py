"""Writes a benchmark as one Markdown document with figures, e.g. docs/attribution.md, from its ``report.json``."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from tfvid.experiments.attribution.measures import OBJECTIVE, TRUTH
from tfvid.experiments.attribution.methods import BASELINES
from tfvid.report.document import bullets, figure, findings_section, folded, made_of, table_section
from tfvid.report.document import write_document as write
from tfvid.report.markdown import markdown_table, plain
from tfvid.report.table import Column, Table, markdown_cell

MANY_ROWS = 16  # longer tables are collapsed
KINDS = {OBJECTIVE: "measures that ask the network", TRUTH: "measures that know the truth"}


def write_document(folder, path, command: str) -> Path:
    """Writes the document of the benchmark in `folder` to `path`; its figures go into ``images/`` beside it.

    Args:
      folder: of a finished benchmark.
      path: of the Markdown file.
      command: path of the configuration, for the line that states how the document was made.

    Returns:
      `path`.

    Raises:
      DataError: there is no report in `folder`.
    """
    return write(folder, path, "a benchmark", lambda report, folder, path: _parts(report, folder, path, command))


def _parts(report: dict, folder: Path, path: Path, command: str) -> list[str]:
    dataset = report["dataset"]
    tables = {table["id"]: Table.from_dict(table) for table in report["tables"]}
    ranks, correlation, agreement, *clips = (
        figure(folder / drawn["file"], drawn["text"], path) for drawn in report["figures"]
    )
    return [
        f"# {plain(report['title'])}",
        f"{dataset['clips']} clips of {plain(dataset['name'])} ({plain(dataset['split'])}) on each network.\n"
        f"Made by `python scripts/benchmark_attribution.py --config {command} --document {os.fspath(path)}`;\n"
        "do not edit.",
        "\n".join(_network(network) for network in report["networks"]),
        findings_section(report["findings"]),
        ranks,
        *_methods(tables["methods"], report),
        *_section(tables["correlation"], correlation),
        *_section(tables["agreement"], agreement),
        *(_section(tables["sanity"]) if "sanity" in tables else ()),
        "## One clip as every method sees it",
        *clips,
        bullets("Notes", [plain(note) for note in report["notes"]]),
        bullets("Settings", _settings(report)),
        bullets(
            "Made of",
            [*made_of(report["manifest"], lambda network, _: network), plain(report["manifest"]["machine"])],
        ),
    ]


def _network(network: Mapping) -> str:
    right = "" if network["correct"] is None else f", right about {100 * network['correct']:.0f} % of the clips"
    return f"* **{plain(network['name'])}**: `{network['path']}`{right}"


def _methods(table: Table, report: dict) -> list[str]:
    """Splits the large table into two tables per network, one for each kind of measure; the best values are bold."""
    measures = {measure["name"]: measure for measure in report["measures"]}
    columns = {column.key: column for column in table.columns}
    kinds = {kind: [columns[name] for name in measures if measures[name]["kind"] == kind] for kind in KINDS}
    parts = [f"## {plain(table.title)}", plain(table.caption) + " ↑ more is better, ↓ less is."]
    for network in report["networks"]:
        rows = [row for row in table.rows if row["network"] == network["name"]]
        judged = [row for row in rows if not row["note"]]
        for kind, taken in kinds.items():
            if taken:
                shown = [*taken, columns[f"rank {kind}"], *([columns["seconds"]] if kind == OBJECTIVE else [])]
                parts += [f"### {plain(network['name'])}: {KINDS[kind]}", _judged(judged, shown, measures)]
        refusals = [f"* {plain(row['method'])}: {plain(row['note'])}" for row in rows if row["note"]]
        if refusals:
            parts += [f"Methods that do not support {plain(network['name'])}:", "\n".join(refusals)]
    return parts


def _judged(rows: Sequence[Mapping], columns: Sequence[Column], measures: Mapping[str, Mapping]) -> str:
    best = {column.key: _best(rows, measures[column.key]) for column in columns if column.key in measures}
    titles = ["method", *(_title(column, measures) for column in columns)]
    cells = [[plain(row["method"]), *(_cell(row[column.key], column, best) for column in columns)] for row in rows]
    return markdown_table(titles, cells)


def _best(rows: Sequence[Mapping], measure: Mapping) -> float | None:
    """Returns the best mean of a measure over the methods; None if all are equal."""
    cells = [row[measure["name"]] for row in rows if row["method"] not in BASELINES]
    means = [cell["mean"] for cell in cells if cell is not None]
    return (max if measure["higher"] else min)(means) if len(set(means)) > 1 else None


def _cell(value, column: Column, best: Mapping[str, float | None]) -> str:
    is_best = isinstance(value, Mapping) and value["mean"] == best.get(column.key)
    return markdown_cell(value, column.digits, intervals_only=True, best=is_best)


def _title(column: Column, measures: Mapping[str, Mapping]) -> str:
    clips = measures.get(column.key, {}).get("clips")
    return plain(column.title) + (f" ({clips} clips)" if clips else "")


def _section(table: Table, figure: str = "") -> list[str]:
    """Returns the section of a table with its figure; a long table is collapsed."""
    text = table.markdown(units=False, intervals_only=True)
    text = folded(len(table.rows), text) if len(table.rows) > MANY_ROWS else text
    return table_section(table, text, *([figure] if figure else []))


def _settings(report: dict) -> list[str]:
    methods = report["manifest"]["config"]["methods"]
    return [
        *(f"{plain(m['name'])}{_options(m['options'])}: {m['kind']}" for m in report["measures"]),
        *(f"{plain(m['label'] or m['name'])}{_options(m['options'])}" for m in methods),
    ]


def _options(options: Mapping) -> str:
    return f" ({plain(', '.join(f'{name} {value}' for name, value in options.items()))})" if options else ""
