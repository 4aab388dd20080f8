"""A table of a report, written as CSV and as Markdown. The HTML template is in ``tfvid/report/templates``.

A cell is text, a finite number, None, or a sample. A sample is a dict of ``mean``, ``std``, ``low`` and ``high`` (the
95 % bootstrap interval of the mean), and ``n``. ``std``, ``low`` and ``high`` may be None.
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfvid.core.files import replacing
from tfvid.metrics.statistics import Comparison, describe
from tfvid.report.markdown import markdown_table, plain
from tfvid.report.numbers import number

PARTS = ("std", "low", "high", "n")  # of a sample, in addition to its mean


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
      key: the name of the column in rows and in the CSV file.
      title: the heading.
      unit: of the numbers; "" for none.
      digits: decimals of the numbers.
    """

    key: str
    title: str
    unit: str = ""
    digits: int = 3


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
      id: its name in the report; the CSV file is ``tables/<id>.csv``.
      title: the heading.
      caption: describes the numbers.
      columns: the columns in order.
      rows: in each row a cell for each column's key.
    """

    id: str
    title: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Mapping]

    @classmethod
    def of(cls, id: str, title: str, caption: str, columns: Iterable[tuple], rows: Iterable[Mapping]) -> "Table":
        """A table with `columns` given as the arguments of `Column`; a cell that a row lacks is None."""
        described = [Column(*column) for column in columns]
        filled = [{column.key: row.get(column.key) for column in described} for row in rows]
        return cls(id, title, caption, described, filled)

    @classmethod
    def from_dict(cls, table: Mapping) -> "Table":
        """The table that `to_dict` wrote."""
        columns = [Column(**column) for column in table["columns"]]
        return cls(table["id"], table["title"], table["caption"], columns, table["rows"])

    def to_dict(self) -> dict:
        """The entry of ``report.json``."""
        return {
            "id": self.id,
            "title": self.title,
            "caption": self.caption,
            "csv": self.csv,
            "columns": [asdict(column) for column in self.columns],
            "rows": list(self.rows),
        }

    @property
    def csv(self) -> str:
        """The name of the CSV file in the folder of the report."""
        return f"tables/{self.id}.csv"

    def is_text(self, column: Column) -> bool:
        """Whether a column contains text, and is therefore aligned to the left."""
        return any(isinstance(row.get(column.key), str) for row in self.rows)

    def write_csv(self, folder: Path) -> None:
        """Writes the CSV file into `folder`.

        Each number of a sample has its own column: ``<key>`` (the mean), ``<key> std``, ``<key> low``, ``<key> high``,
        ``<key> n``.
        """
        keys = [column.key for column in self.columns]
        samples = {key for key in keys if any(isinstance(row[key], Mapping) for row in self.rows)}
        header = [name for key in keys for name in [key, *(f"{key} {part}" for part in PARTS if key in samples)]]
        with replacing(folder / self.csv) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, header, lineterminator="\n")
            writer.writeheader()
            writer.writerows(_csv_row(row) for row in self.rows)

    def markdown(
        self, rows: Sequence[Mapping] | None = None, *, units: bool = True, intervals_only: bool = False
    ) -> str:
        """The rows as a Markdown table.

        Args:
          rows: the rows to write; None: all.
          units: whether the headings contain the units.
          intervals_only: write a sample as mean and interval only, see `markdown_cell`.
        """
        titles = [plain(c.title) + (f" ({c.unit})" if c.unit and units else "") for c in self.columns]
        cells = (
            [markdown_cell(row[c.key], c.digits, intervals_only=intervals_only) for c in self.columns]
            for row in (self.rows if rows is None else rows)
        )
        return markdown_table(titles, cells)


def _csv_row(row: Mapping) -> dict:
    cells: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, Mapping):
            cells |= {key: value["mean"]} | {f"{key} {part}": value[part] for part in PARTS}
        else:
            cells[key] = value
    return cells


def markdown_cell(value, digits: int, *, intervals_only: bool = False, best: bool = False) -> str:
    """A cell of a Markdown table.

    Args:
      value: text, a number, None or a sample, see the module.
      digits: number of decimals.
      intervals_only: write a sample without its standard deviation and size, and a non-zero number that would round to
        zero with an exponent.
      best: write the mean of a sample in bold.
    """
    if value is None or isinstance(value, str):
        return "–" if value is None else plain(value)
    tiny = "exponent" if intervals_only else "0"
    if not isinstance(value, Mapping):
        return number(value, digits, tiny if intervals_only else "bound")
    mean, std, low, high = (
        None if value[key] is None else number(value[key], digits, tiny) for key in ("mean", *PARTS[:3])
    )
    text = f"**{mean}**" if best else f"{mean}"
    if intervals_only:
        return text if low is None else f"{text} \\[{low}, {high}\\]"
    text += f" ± {std}" if std is not None else ""
    text += f" [{low}, {high}]" if low is not None else ""
    return f"{text}, n {value['n']}"


def text_and_note(value, digits: int) -> tuple[str, str]:
    """Returns the text of a cell of an HTML table, and its note in small print; "" for no note.

    Args:
      value: text, a number, None or a sample, see the module.
      digits: number of decimals.
    """
    if isinstance(value, str):
        return value, ""
    if not isinstance(value, Mapping):
        return number(value, digits, "bound"), ""
    std, low, high, n = (value.get(part) for part in PARTS)
    text = number(value["mean"], digits) + (f" ± {number(std, digits)}" if std is not None else "")
    notes = [f"{number(low, digits)} to {number(high, digits)}"] if low is not None and high is not None else []
    notes += [f"n {n}"] if n is not None else []
    return text, ", ".join(notes)


def sample(values: np.ndarray, seed: int = 0) -> dict | None:
    """Makes a cell, a sample, of the finite values; None if there are none.

    Args:
      values: floats `(N,)`; NaN and infinite values are left out.
      seed: of the bootstrap.
    """
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    about = describe(values, seed=seed)
    return {"mean": about.mean, "std": about.std, "low": about.low, "high": about.high, "n": about.n}


def sample_of_models(values: Sequence[float]) -> dict | None:
    """Makes a cell of one value per model: mean and standard deviation without an interval; None without values."""
    if not values:
        return None
    return {"mean": float(np.mean(values)), "std": float(np.std(values)), "low": None, "high": None, "n": len(values)}


def difference(result: Comparison) -> dict | None:
    """Makes a cell of a difference of means with its interval; None if the difference is unknown."""
    if result.difference is None:
        return None
    return {"mean": result.difference, "std": None, "low": result.low, "high": result.high, "n": result.first.n}
