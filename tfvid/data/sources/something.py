"""Something-something v2: short clips of people who do something with an object.

Goyal et al., ICCV 2017. 174 classes named by templates, 168,913 training and 24,777 validation clips.
"""

import json
import re
from functools import cached_property
from pathlib import Path

from tfvid.core.errors import DataError, unknown
from tfvid.data.base import VideoDataset
from tfvid.data.decode.clip import Sample
from tfvid.data.decode.clip_files import visible
from tfvid.data.sources.root import existing_folder

VIDEOS = "20bn-something-something-v2"
FRAMES = "20bn-something-something-v2-frames"


class SomethingSomething(VideoDataset):
    """Something-something v2, or any data set in its layout.

    A clip is a video file, or, if there is no file, a folder of frames (`tfvid.data.decode.frames`).

    Args:
      root: the folder with ``20bn-something-something-v2/<id>.webm``, or with folders of frames,
        ``20bn-something-something-v2/<id>/000001.jpg`` or ``20bn-something-something-v2-frames/<id>/000001.jpg``; and
        either ``something-something-v2-{labels,train,validation,test}.json`` or ``labels/{labels,...}.json``.

    Attributes:
      splits: those of train, validation and test whose file exists. The test split has no labels (-1).
      class_names: the templates without brackets, 174 in the published data set.

    Raises:
      DataError: a file is missing or not as published; one line that names it.
    """

    def __init__(self, root):
        self.root = existing_folder(root)
        self._pattern = self._layout()
        self.class_names = self._class_names()
        self.splits = tuple(s for s in ("train", "validation", "test") if self._file(s).is_file())

    @cached_property
    def flip_labels(self) -> dict[int, int] | None:  # type: ignore[override]  # computed once, and never assigned
        """The label with "left" and "right" exchanged, by label; None if such a name is not a class."""
        labels = {name: label for label, name in enumerate(self.class_names)}
        partners = {name: swap_sides(name) for name in labels}
        if not labels.keys() >= set(partners.values()):
            return None
        return {labels[name]: labels[partner] for name, partner in partners.items() if partner != name}

    def samples(self, split: str) -> list[Sample]:
        if split not in self.splits:
            raise DataError(f"{self.root}: {unknown('split', split, self.splits)}")
        file = self._file(split)
        records = _read_json(file)
        if not isinstance(records, list):
            raise DataError(f"{file}: expected a list of records, got {_kind(records)}")
        labels = {name: label for label, name in enumerate(self.class_names)}
        samples, seen = [], set()
        for number, record in enumerate(records):
            where = f"{file}: record {number}"
            sample = self._sample(record, split, labels, where)
            if sample.id in seen:
                raise DataError(f"{where}: id {sample.id!r} is there twice")
            seen.add(sample.id)
            samples.append(sample)
        return samples

    def _layout(self) -> str:
        patterns = ("something-something-v2-{}.json", "labels/{}.json")
        for pattern in patterns:
            if (self.root / pattern.format("labels")).is_file():
                return pattern
        tried = " or ".join(pattern.format("labels") for pattern in patterns)
        raise DataError(f"{self.root}: expected {tried} in it, found neither")

    def _file(self, name: str) -> Path:
        return self.root / self._pattern.format(name)

    def _class_names(self) -> tuple[str, ...]:
        file = self._file("labels")
        indices = _read_json(file)
        try:
            names = {int(index): name for name, index in indices.items()}
        except (AttributeError, TypeError, ValueError, OverflowError):
            raise DataError(f'{file}: expected {{"template": "index", ...}}') from None
        if not names:
            raise DataError(f"{file}: no labels in it")
        if sorted(names) != list(range(len(indices))):
            raise DataError(f"{file}: the indices are not 0 to {len(indices) - 1}, each once")
        return tuple(_without_brackets(names[label]) for label in range(len(names)))

    def _sample(self, record, split: str, labels: dict[str, int], where: str) -> Sample:
        needed = ("id",) if split == "test" else ("id", "template")
        if not isinstance(record, dict):
            raise DataError(f"{where}: expected an object, got {_kind(record)}")
        for name in needed:
            if not isinstance(record.get(name), (str, int)):
                raise DataError(f"{where}: no field {name!r}, it has {', '.join(map(str, record)) or 'none'}")
        id = str(record["id"])
        # An id is a file name: "../x" would leave the folder.
        if not re.fullmatch(r"\w[\w-]*", id):
            raise DataError(f"{where}: id {id!r} is not a plain name (letters, digits, _ and -)")
        label = -1
        if split != "test":
            name = _without_brackets(str(record["template"]))
            if name not in labels:
                raise DataError(f"{where}: unknown label {name!r}, it is not in {self._file('labels').name}")
            label = labels[name]
        return Sample(id, label, str(self._clip(id)))

    def _clip(self, id: str) -> Path:
        video = self.root / VIDEOS / f"{id}.webm"
        return video if id not in self._folders or video.is_file() else self._folders[id]

    @cached_property
    def _folders(self) -> dict[str, Path]:
        """The folders of frames by id."""
        parents = [self.root / name for name in (FRAMES, VIDEOS) if (self.root / name).is_dir()]
        return {entry.name: Path(entry.path) for parent in parents for entry in visible(parent) if entry.is_dir()}


def swap_sides(name: str) -> str:
    """Returns `name` with "left" and "right" exchanged; the "right" of "pulling it right out" is not a direction."""
    return re.sub(r"\b(left|right)\b(?! out\b)", lambda side: "right" if side[0] == "left" else "left", name)


def _without_brackets(template: str) -> str:
    return template.replace("[", "").replace("]", "")


def _kind(value) -> str:
    names = {dict: "an object", list: "a list", str: "a string", type(None): "null"}
    return names.get(type(value), "a number")


def _read_json(file: Path):
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{file}: no such file") from None
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:  # not JSON, or not UTF-8, or a million brackets
        raise DataError(f"{file}: not valid JSON ({error})") from None
