"""Any videos listed in a CSV file per split."""

import csv
import re
from pathlib import Path

from tfvid.data.base import Sample, VideoDataset
from tfvid.data.root import existing_folder
from tfvid.errors import DataError, unknown

_NUMBER = r"\d{1,9}"
SPLITS = ("train", "validation", "test")


class CSVList(VideoDataset):
    """Videos listed in ``<root>/train.csv``, ``validation.csv`` and ``test.csv``, those that are there.

    A file's first line names its columns: ``path``, ``label`` and, if clips are parts of videos, ``start`` and
    ``stop`` (0-based frames, stop one past the last; either may be left empty). Paths are relative to `root` and
    stay inside it.

    Args:
      root: the folder.
      class_names: the labels, in order; None for all that occur in the files, sorted (as numbers where all are).

    Raises:
      DataError: names the file and the line.
    """

    def __init__(self, root, *, class_names=None):
        self.root = existing_folder(root)
        self.splits = tuple(split for split in SPLITS if self._file(split).is_file())
        if not self.splits:
            raise DataError(f"{self.root}: expected train.csv, validation.csv or test.csv in it, found none")
        self._rows = {split: list(_read(self._file(split))) for split in self.splits}
        found = {row["label"] for rows in self._rows.values() for _, row in rows}
        self.class_names = tuple(map(str, class_names)) if class_names else _sorted(found)

    def samples(self, split: str) -> list[Sample]:
        if split not in self.splits:
            raise DataError(f"{self.root}: {unknown('split', split, self.splits)}")
        labels = {name: label for label, name in enumerate(self.class_names)}
        samples = {}
        for line, row in self._rows[split]:
            where = f"{self._file(split)}, line {line}"
            sample = self._sample(where, row, labels)
            if sample.id in samples:
                raise DataError(f"{where}: {sample.id} is there twice")
            samples[sample.id] = sample
        return list(samples.values())

    def _file(self, split: str) -> Path:
        return self.root / f"{split}.csv"

    def _sample(self, where: str, row: dict, labels: dict[str, int]) -> Sample:
        if row["label"] not in labels:
            raise DataError(f"{where}: {unknown('label', row['label'], labels)}")
        # Resolved without the disk: a link may lead out of the root, "../" may not.
        path = Path(row["path"])
        if path.is_absolute() or ".." in path.parts or not path.name or "\0" in row["path"]:
            raise DataError(f"{where}: path {row['path']!r} must be relative to {self.root} and stay inside it")
        start, stop = _frame(where, row, "start") or 0, _frame(where, row, "stop")
        if stop is not None and stop <= start:
            raise DataError(f"{where}: stop must be above start, got {start} to {stop}")
        part = "" if start == 0 and stop is None else f"#{start}-{'' if stop is None else stop}"
        return Sample(path.as_posix() + part, labels[row["label"]], str(self.root / path), start, stop)


def _read(file: Path):
    """Yields (line number, row) with all four columns, those not given as ""."""
    try:
        with open(file, newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(lines, strict=True)
            columns = reader.fieldnames or []
            for name in ("path", "label"):
                if name not in columns:
                    raise DataError(f"{file}: no column {name!r} in its first line ({','.join(columns)})")
            for row in reader:
                if None in row or None in row.values():  # more values than columns, or fewer
                    count = len(columns)
                    raise DataError(f"{file}, line {reader.line_num}: expected {count} values, as the first line has")
                row = {name: (row.get(name) or "").strip() for name in ("path", "label", "start", "stop")}
                if not (row["path"] and row["label"]):
                    raise DataError(f"{file}, line {reader.line_num}: path or label is empty")
                yield reader.line_num, row
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror})") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{file}: not a CSV file in UTF-8 ({error})") from None


def _sorted(names: set[str]) -> tuple[str, ...]:
    """In an order that is the same in every process: "1" and "01" are equal as numbers."""
    if all(re.fullmatch(_NUMBER, name) for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    return tuple(sorted(names))


def _frame(where: str, row: dict, name: str) -> int | None:
    text = row[name]
    if text and not re.fullmatch(_NUMBER, text):
        raise DataError(f"{where}: {name} must be a frame number, 0 or more, got {text[:80]!r}")
    return int(text) if text else None
