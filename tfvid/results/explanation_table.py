"""The scores of explanations during training: one row per moment (epoch or step), method and clip, as dicts and CSV."""

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
    """Rows ordered by moment, and the CSV file that holds them. Saving replaces the whole file.

    Args:
      path: the CSV file; if it exists, its rows are read.
      unit: the unit of the moments, "epoch" or "step"; also the name of the first column.

    Attributes:
      rows: a list of dicts with the keys `unit`, `TEXTS` and `NUMBERS`. A missing number is None, and an empty field in
        the file.

    Raises:
      DataError: the file cannot be read, or is not such a table.
    """

    def __init__(self, path: str | Path, unit: str):
        self.path, self.unit, self.columns = Path(path), unit, [unit, *TEXTS, *NUMBERS]
        self.rows: list[Row] = []
        if self.path.exists():
            self.rows = self._read()

    def forget_after(self, moment: int):
        """Removes the rows after `moment`; a training that resumes from `moment` creates them again."""
        self.rows = [row for row in self.rows if row[self.unit] <= moment]

    def replace(self, moment: int, rows: list[Row]):
        """Replaces the rows of `moment` by `rows`."""
        kept = [row for row in self.rows if row[self.unit] != moment]
        self.rows = sorted(kept + [{self.unit: moment} | row for row in rows], key=lambda row: row[self.unit])

    def save(self):
        """Writes the file. If writing fails, raises OSError and leaves the file unchanged."""
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
    """Returns one row per clip of a result, without the moment. A number that the result does not provide is None.

    Args:
      result: the result of any explainer. A ``mask`` `(B, T)` gives the mask length and, if the event is known, the
        temporal IoU. An ``attribution`` `(B, T, H, W)` gives the blob statistics. The paper's scores are copied.
      method: the name of the explainer.
      ids: B ids of the clips.
      label: the true classes `(B,)`, -1 for unknown ones; None if all are unknown.
      class_name: a function from a class index to the name of the class, or to "" for -1.
      events: int `(B, 2)`, the known events as [start, stop) in frames; (-1, -1) if unknown.
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
    """Rounds to six digits, so that a row is equal before and after it is written and read. None for NaN."""
    return float(f"{value:.6g}") if np.isfinite(value) else None
