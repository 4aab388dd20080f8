"""A table as a CSV file."""

import csv
from pathlib import Path

from tfvid.files import replacing


def write_csv(path: Path, table: dict):
    """Writes a table of `tfvid.study.tables`.

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
