"""Writes and reads ``report.json``, the results of an experiment from which its pages are made, and the CSV files."""

import json
from collections.abc import Sequence
from pathlib import Path

from tfvid.core.errors import DataError
from tfvid.core.files import replacing
from tfvid.report.finding import Finding
from tfvid.report.table import Table

FILE = "report.json"
VERSION = 1


def write_report_file(
    out: Path,
    title: str,
    *,
    dataset: dict,
    findings: Sequence[Finding],
    tables: Sequence[Table | None],
    notes: Sequence[str],
    manifest: dict,
    **more,
) -> dict:
    """Writes ``report.json`` and the tables' CSV files into `out`.

    Args:
      out: folder of the experiment.
      title: of its page and document.
      dataset: ``name``, ``split`` and ``clips``, the number of explained clips.
      findings: in order.
      tables: in order; those that are None are left out.
      notes: sentences on how the numbers were computed.
      manifest: models, clips and settings of the experiment.
      **more: further entries, of values that JSON can represent.

    Returns:
      The report, equal to what `read_report_file` returns.

    Raises:
      DataError: a number is NaN or infinite.
    """
    kept = [table for table in tables if table is not None]
    report = {
        "version": VERSION,
        "title": title,
        "dataset": dataset,
        "findings": [finding.to_dict() for finding in findings],
        "tables": [table.to_dict() for table in kept],
        "notes": list(notes),
        **more,
        "manifest": manifest,
    }
    for table in kept:
        table.write_csv(out)
    try:
        text = json.dumps(report, ensure_ascii=False, allow_nan=False, indent=1)
    except ValueError as error:
        raise DataError(f"{out}: expected finite numbers in the report, got NaN or infinity ({error})") from error
    with replacing(out / FILE) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    return json.loads(text)


def read_report_file(folder: Path, kind: str) -> dict:
    """Reads the report in `folder`.

    Args:
      folder: of the experiment.
      kind: the kind of experiment, for the error message, e.g. "a study".

    Raises:
      DataError: there is no report, or it cannot be read.
    """
    try:
        return json.loads((Path(folder) / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{folder}: no report of {kind} here ({error})") from error
