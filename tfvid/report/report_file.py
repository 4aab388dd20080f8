"""``report.json``: all that a study or a benchmark found, from which its pages are made; and its tables as CSV."""

import csv
import json
from pathlib import Path

from tfvid.core.errors import DataError
from tfvid.core.files import replacing

FILE = "report.json"


def write_report_file(out: Path, report: dict) -> dict:
    """Writes `report`, and each of its ``tables`` under its ``csv`` name; returns it as it is read back.

    Raises:
      DataError: it holds NaN or infinite numbers.
    """
    for table in report["tables"]:
        _write_csv(out / table["csv"], table)
    try:
        text = json.dumps(report, ensure_ascii=False, allow_nan=False, indent=1)
    except ValueError as error:
        raise DataError(f"{out}: a number of the report is not finite ({error})") from error
    with replacing(out / FILE) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    return json.loads(text)


def read_report_file(folder: Path, of: str) -> dict:
    """The report in `folder`.

    Raises:
      DataError: there is no report; the message calls it one of `of`, e.g. "a study".
    """
    try:
        return json.loads((Path(folder) / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{folder}: no report of {of} here ({error})") from error


def _write_csv(path: Path, table: dict):
    """Writes a table of `tfvid.experiments.study.tables`.

    A sample takes a column for each of its numbers: ``<key>``, ``<key> std``, ``<key> low``, ...
    """
    keys = [column["key"] for column in table["columns"]]
    samples = [key for key in keys if any(isinstance(row[key], dict) for row in table["rows"])]
    parts = ("std", "low", "high", "n")
    header = [name for key in keys for name in [key, *(f"{key} {part}" for part in parts if key in samples)]]
    with replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, header, lineterminator="\n")
        writer.writeheader()
        for row in table["rows"]:
            cells = {}
            for key, value in row.items():
                cells[key] = value["mean"] if isinstance(value, dict) else value
                if isinstance(value, dict):
                    cells |= {f"{key} {part}": value[part] for part in parts}
            writer.writerow(cells)
