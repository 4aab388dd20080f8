"""What explanations said while a model trained: one row a moment, method and clip, as dicts and as a CSV file."""

import csv
from pathlib import Path
from typing import Any

import numpy as np

from tfvid.core.errors import DataError
from tfvid.core.files import replacing
from tfvid.explain.base import Explanation
from tfvid.metrics.blobs import blob_statistics
from tfvid.metrics.localization import known_events, temporal_iou
from tfvid.metrics.masks import drop, mask_length

TEXTS = ("method", "clip", "label", "target", "predicted")
NUMBERS = ("mask_length", "OS", "FS", "RS", "CS", "drop", "temporal_iou", "blob_count", "blob_size", "centre_distance")
SCORES = {"OS": "original_score", "FS": "freeze_score", "RS": "reverse_score", "CS": "true_score"}

Row = dict[str, Any]  # int, str, float or None


class ExplanationTable:
    """Rows ordered by moment, kept in a CSV file too, which is replaced as a whole.

    Args:
      path: the file; its rows are read, if it is there.
      unit: of the moments, "epoch" or "step"; the name of the first column.

    Attributes:
      rows: a list of dicts with the keys `unit`, `TEXTS` and `NUMBERS`; a number that a row has none of is None, an
        empty field in the file.

    Raises:
      DataError: the file cannot be read, or is not such a table.
    """

    def __init__(self, path: str | Path, unit: str):
        self.path, self.unit, self.columns = Path(path), unit, [unit, *TEXTS, *NUMBERS]
        self.rows: list[Row] = []
        if self.path.exists():
            self.rows = self._read()

    def forget_after(self, moment: int):
        """Drops the rows later than `moment`: a training that goes on from there makes them anew."""
        self.rows = [row for row in self.rows if row[self.unit] <= moment]

    def replace(self, moment: int, rows: list[Row]):
        """Puts `rows` in the place of those of `moment`."""
        kept = [row for row in self.rows if row[self.unit] != moment]
        self.rows = sorted(kept + [{self.unit: moment} | row for row in rows], key=lambda row: row[self.unit])

    def save(self):
        """Writes the file; raises OSError where that fails, and the file is as it was."""
        with replacing(self.path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self.columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)

    def _read(self) -> list[Row]:
        try:
            with open(self.path, newline="", encoding="utf-8") as file:
                reader = csv.DictReader(file)
                columns, rows = list(reader.fieldnames or ["none"]), list(reader)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise DataError(f"{self.path}: cannot read this table ({error})") from error
        if columns != self.columns:
            raise DataError(
                f"{self.path}: expected the columns {', '.join(self.columns)}, got {', '.join(columns)}; "
                "choose another log_dir, or remove the file"
            )
        try:
            return [self._row(row) for row in rows]
        except (TypeError, ValueError) as error:
            raise DataError(f"{self.path}: not a table of explanations ({error})") from error

    def _row(self, texts: dict[str, str]) -> Row:
        row: Row = {self.unit: int(texts[self.unit])} | {name: texts[name] for name in TEXTS}
        return row | {name: float(texts[name]) if texts[name] else None for name in NUMBERS}


def explanation_rows(result: Explanation, method: str, ids, label, class_name, events) -> list[Row]:
    """A row for each clip of a result, without its moment; a number is left None where the result has no such thing.

    Args:
      result: of any explainer. A ``mask`` `(B, T)` gives a length and, where the event is known, its temporal IoU; an
        ``attribution`` `(B, T, H, W)` gives blobs; the paper's scores are taken as they are.
      method: what the explainer is called.
      ids: of the clips, B strings.
      label: the true classes `(B,)`, None or -1 where not known.
      class_name: of a class index, or "" for -1.
      events: int `(B, 2)`, (-1, -1) where not known.
    """
    label = np.full(len(ids), -1) if label is None else label
    columns = {name: getattr(result, field) for name, field in SCORES.items() if hasattr(result, field)}
    if {"OS", "FS"} <= columns.keys():
        columns["drop"] = drop(columns["OS"], columns["FS"])
    mask = getattr(result, "mask", None)
    if mask is not None:
        columns["mask_length"] = mask_length(mask)
        columns["temporal_iou"] = np.where(known_events(events), temporal_iou(mask, events), np.nan)
    maps = getattr(result, "attribution", None)
    if maps is not None:
        blobs = blob_statistics(maps)
        columns |= {"blob_count": blobs.count, "blob_size": blobs.size, "centre_distance": blobs.centre_distance}
    return [
        {
            "method": method,
            "clip": id,
            "label": class_name(label[i]),
            "target": class_name(result.target[i]),
            "predicted": class_name(result.predicted[i]),
        }
        | {name: _number(columns[name][i]) if name in columns else None for name in NUMBERS}
        for i, id in enumerate(ids)
    ]


def _number(value) -> float | None:
    """Six digits, so that a row reads the same before and after a way through the file; None for NaN."""
    return float(f"{value:.6g}") if np.isfinite(value) else None
