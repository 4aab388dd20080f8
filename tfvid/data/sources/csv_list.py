"""A data set of clips that are listed in CSV files."""

import csv
import re
import unicodedata
from pathlib import Path

from tfvid.core.errors import DataError, unknown
from tfvid.core.sampling import frame_range
from tfvid.data.base import VideoDataset
from tfvid.data.decode.clip import Sample
from tfvid.data.decode.clip_files import nfc, visible, warn
from tfvid.data.sources.groups import checked_share, divided, grouped_example, hold_out, in_several, warn_share
from tfvid.data.sources.root import existing_folder
from tfvid.data.sources.split_names import SPELLINGS, SPLITS, by_split, split_of, warn_untrained

ONE_LIST = "clips.csv"
_NUMBER = r"\d{1,9}"
_DECIMAL = r"\d{1,9}(\.\d{0,9})?"
_COLUMNS = ("path", "label", "start", "stop", "start_seconds", "stop_seconds", "fps", "split")


class CSVList(VideoDataset):
    """Clips that are listed in one CSV file for each split, or in one file for all splits.

    The files are those of ``<root>/train.csv``, ``validation.csv`` and ``test.csv`` that exist. Other names of splits
    are training; val, valid, dev; testing. If none exists, ``<root>/clips.csv`` lists all clips. Its column ``split``
    names the split of a clip; without that column a share of each class is held out for validation.

    The first line of a file names its columns. Other columns than these are ignored:

    * ``path``: of a video file or a folder of frames, relative to `root` and inside it.
    * ``label``: the class.
    * ``start``, ``stop``: the part of the video, in frames, 0-based; stop is one past the last frame. Either may be
      empty.
    * ``start_seconds``, ``stop_seconds``: the part in seconds: all frames that are shown between the two times, by the
      time stamps of the file, so the frame rate may vary.
    * ``fps``: a constant frame rate that replaces the time stamps: frame k is shown from k / fps to (k + 1) / fps.
      Folders of frames need it.
    * ``group``: clips of one group stay on one side of the split.

    Class names and ids are in Unicode's composed form (NFC). A path is found in any normal form.

    Args:
      root: the folder.
      class_names: the labels, in order; None for all labels in the files, sorted (as numbers if all are numbers).
      file: one CSV file for all clips, relative to `root`, which replaces the files above.
      groups: the column that names the group of a clip; None for ``group`` if it exists. Without such a column, and
        where it is empty, the parts of one video are a group.
      validation_share: the share of each class that is held out, in [0, 1); used only for one file without the column
        ``split``.

    Raises:
      DataError: a file is missing or a line is not valid; one line that names the file and the line.
    """

    def __init__(self, root, *, class_names=None, file=None, groups=None, validation_share=0.2):
        self.root = existing_folder(root)
        self._share, self._groups = checked_share(validation_share), groups
        if class_names is not None and not isinstance(class_names, list | tuple):
            raise DataError(f"class_names must be a list of the labels, got {class_names!r}")
        self._rows = self._read_lists(file)
        self.splits = tuple(self._rows)
        found = {row["label"] for rows in self._rows.values() for row in rows}
        if "train" in self.splits:
            warn_untrained(self.root, found - {row["label"] for row in self._rows["train"]})
        self.class_names = tuple(nfc(str(name)) for name in class_names) if class_names else _sorted(found)

    def samples(self, split: str) -> list[Sample]:
        if split not in self.splits:
            raise DataError(f"{self.root}: {unknown('split', split, self.splits)}")
        labels = {name: label for label, name in enumerate(self.class_names)}
        samples = {}
        for row in self._rows[split]:
            sample = self._sample(row, labels)
            if sample.id in samples:
                raise DataError(f"{row['where']}: {sample.id} is there twice")
            samples[sample.id] = sample
        return list(samples.values())

    def _read_lists(self, file) -> dict[str, list[dict]]:
        """Returns the rows of each split."""
        if file is not None:
            return self._divide(self.root / str(file))
        files = {entry.name: Path(entry.path) for entry in visible(self.root) if _is_list(entry)}
        splits = by_split({name: Path(name).stem for name in files}, self.root)
        rows = {split: self._read(files[name]) for split, name in splits.items()}
        for split, row in ((split, row) for split, of in rows.items() for row in of):
            if split_of(row["split"] or "") not in (None, split):
                raise DataError(f"{row['where']}: its column split says {row['split']!r}, but its file is for {split}")
        if rows:
            if ONE_LIST in files:
                other = min(splits.values())
                warn(f"{self.root}: ignored {ONE_LIST}, since {other} is there; file={ONE_LIST} reads it")
            self._warn_shared(rows)
            return rows
        if not (self.root / ONE_LIST).is_file():
            other = f"; to read {min(files)}, give it as file" if files else ""
            lists = f"train.csv, validation.csv, test.csv or {ONE_LIST}"
            raise DataError(f"{self.root}: expected {lists} in it, found none{other}")
        return self._divide(self.root / ONE_LIST)

    def _divide(self, file: Path) -> dict[str, list[dict]]:
        """Returns the rows of one file for all splits, by split."""
        rows = self._read(file)
        if not rows:
            raise DataError(f"{file}: no clips in it")
        if rows[0]["split"] is None:
            return self._hold_out(file, rows)
        by_name: dict[str, list[dict]] = {split: [] for split in SPLITS}
        for row in rows:
            split = split_of(row["split"])
            if split is None:
                raise DataError(f"{row['where']}: {unknown('split', row['split'], SPELLINGS)}")
            by_name[split].append(row)
        by_name = {split: of for split, of in by_name.items() if of}
        self._warn_shared(by_name)
        return by_name

    def _hold_out(self, file: Path, rows: list[dict]) -> dict[str, list[dict]]:
        labels, groups = [row["label"] for row in rows], [row["group"] for row in rows]
        out = hold_out(labels, groups, self._share)
        warn_share(file, out, self._share)
        label_of = dict(zip(groups, labels, strict=True))
        named = self._groups is not None or label_of.keys() != {nfc(row["path"]) for row in rows}
        example = [] if named or not self._share else grouped_example(list(label_of), list(label_of.values()))
        if example:
            warn(
                f"{file}: clips look like parts of one source ({', '.join(example)}, ...), and training and validation "
                "share such sources; name each clip's source in a column 'group', or say groups=path"
            )
        return divided(rows, out)

    def _warn_shared(self, rows: dict[str, list[dict]]):
        shared = in_several({split: [row["group"] for row in of] for split, of in rows.items()})
        if shared:
            warn(f"{self.root}: of the clips' groups (or videos, where they have no group), {shared}")

    def _sample(self, row: dict, labels: dict[str, int]) -> Sample:
        where = row["where"]
        if row["label"] not in labels:
            raise DataError(f"{where}: {unknown('label', row['label'], labels)}")
        # Only the text is checked: a link may lead out of the root, "../" may not.
        path = Path(row["path"])
        if path.is_absolute() or ".." in path.parts or not path.name or "\0" in row["path"]:
            raise DataError(f"{where}: path {row['path']!r} must be relative to {self.root} and stay inside it")
        part, start, stop, seconds = _part(row)
        id, file = nfc(path.as_posix()) + part, str(_on_disk(self.root / path))
        return Sample(id, labels[row["label"]], file, start, stop, seconds)

    def _read(self, file: Path) -> list[dict]:
        """Returns the rows of a file, with the keys `_COLUMNS`, ``group`` and, for messages, ``where``.

        A value is "" if its column is missing; ``split`` is then None.
        """
        rows = []
        try:
            with open(file, newline="", encoding="utf-8-sig") as lines:
                reader = csv.DictReader(lines, strict=True, skipinitialspace=True)
                reader.fieldnames = columns = [name.strip() for name in reader.fieldnames or []]
                _check_columns(file, columns, {"path", "label", *([self._groups] if self._groups else [])})
                for cells in reader:
                    where = f"{file}, line {reader.line_num}"
                    if None in cells or None in cells.values():  # more values than columns, or fewer
                        raise DataError(f"{where}: expected {len(columns)} values, as the first line has")
                    row = {name: (cells.get(name) or "").strip() for name in _COLUMNS}
                    if not (row["path"] and row["label"]):
                        raise DataError(f"{where}: path or label is empty")
                    row["label"] = nfc(row["label"])
                    row["split"] = row["split"] if "split" in columns else None
                    row["path"] = Path(row["path"]).as_posix()  # ./a.mp4 is a.mp4
                    row["group"] = nfc((cells.get(self._groups or "group") or "").strip()) or nfc(row["path"])
                    rows.append(row | {"where": where})
        except OSError as error:
            raise DataError(f"{file}: cannot be read ({error.strerror})") from None
        except (csv.Error, UnicodeDecodeError) as error:
            raise DataError(f"{file}: not a CSV file in UTF-8 ({error})") from None
        return rows


def _check_columns(file: Path, columns: list[str], needed: set[str]):
    """Raises DataError if a `needed` column is missing, or a column that is read is there twice."""
    first = ",".join(columns)
    for name in ("path", "label", *sorted(needed - {"path", "label"})):
        if name not in columns:
            other = next((sign for sign in (";", "\t") if sign in first), None)
            commas = f"; its values must be separated by commas, not by {other!r}" if other else ""
            raise DataError(f"{file}: no column {name!r} in its first line ({first}){commas}")
    twice = [name for name in columns if columns.count(name) > 1 and name in needed.union(_COLUMNS, ["group"])]
    if twice:
        raise DataError(f"{file}: column {twice[0]!r} is there twice in its first line ({first})")


def _is_list(entry) -> bool:
    return Path(entry.name).suffix.lower() == ".csv" and entry.is_file()


def _sorted(names: set[str]) -> tuple[str, ...]:
    """Sorts labels, as numbers if all are; "1" and "01", which are equal as numbers, have a fixed order, too."""
    if all(re.fullmatch(_NUMBER, name) for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    return tuple(sorted(names))


def _part(row: dict) -> tuple[str, int, int | None, tuple | None]:
    """Returns the part of the video: its name in the id, first frame, one past the last frame, both in seconds."""
    where = row["where"]
    start, stop = _number(row, "start", "a frame number"), _number(row, "stop", "a frame number")
    times = _number(row, "start_seconds", "seconds"), _number(row, "stop_seconds", "seconds")
    in_seconds = any(time is not None for time in times)
    if in_seconds and (start, stop) != (None, None):
        raise DataError(f"{where}: give start and stop in frames or in seconds, not both")
    first, last = times if in_seconds else (start, stop)
    first = first or 0
    if last is not None and last <= first:
        raise DataError(f"{where}: stop must be above start, got {first:g} to {last:g}")
    if first == 0 and last is None:
        return "", 0, None, None
    if not in_seconds:
        return f"#{first}-{'' if last is None else last}", int(first), last if last is None else int(last), None
    name = f"#{first:.12g}s-{'' if last is None else f'{last:.12g}s'}"
    fps = _number(row, "fps", "frames a second")
    if fps is None:
        return name, 0, None, (first, last)
    if not 0 < fps < 1000:
        raise DataError(f"{where}: fps must be above 0 and below 1000, got {fps:g}")
    return name, *frame_range(first, last, fps), None


def _number(row: dict, name: str, what: str) -> int | float | None:
    text = row[name]
    if not text:
        return None
    whole = what == "a frame number"
    if not re.fullmatch(_NUMBER if whole else _DECIMAL, text):
        raise DataError(f"{row['where']}: {name} must be {what}, 0 or more, got {text[:80]!r}")
    return int(text) if whole else float(text)


def _on_disk(file: Path) -> Path:
    """Returns `file` with its name in the normal form in which it is stored on the disk."""
    text = str(file)
    if text.isascii() or file.exists():
        return file
    other = (Path(unicodedata.normalize(form, text)) for form in ("NFC", "NFD"))
    return next((path for path in other if path.exists()), file)
