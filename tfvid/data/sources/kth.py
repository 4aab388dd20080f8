"""KTH: six actions by 25 people in four settings, with the frames of each repetition in ``00sequences.txt``.

Schüldt, Laptev, Caputo, ICPR 2004. Subjects 1-16 train (1528 sequences), 17-25 are held out (863), as in
Mänttäri et al., ACCV 2020.
"""

import re
from pathlib import Path

from tfvid.core.errors import DataError, unknown
from tfvid.data.base import VideoDataset
from tfvid.data.decode.clip import Sample
from tfvid.data.sources.root import existing_folder

ACTIONS = ("boxing", "handclapping", "handwaving", "jogging", "running", "walking")
SEQUENCES = "00sequences.txt"

_NAME = re.compile(r"person(?P<subject>\d\d)_(?P<action>[a-z]+)_d(?P<setting>\d)")


class KTH(VideoDataset):
    """The six actions of KTH.

    Args:
      root: the folder with ``<action>/person<NN>_<action>_d<K>_uncomp.avi`` and ``00sequences.txt``.
      whole_files: whether each video file is one sample with all of its frames. ``00sequences.txt`` is then not read:
        use it for files that are already cut, to which the frame ranges in that list do not apply.
      train_subjects: numbers of the persons in the training split.
      validation_subjects: numbers of the persons in the validation split.

    Attributes:
      flip_labels: empty, because a mirror changes no label.

    Raises:
      DataError: a folder, file or line is not as published; one line that names it.
    """

    class_names = ACTIONS
    splits = ("train", "validation")
    flip_labels = {}

    def __init__(
        self, root, *, whole_files=False, train_subjects=tuple(range(1, 17)), validation_subjects=tuple(range(17, 26))
    ):
        self.root = existing_folder(root)
        self.whole_files = whole_files
        self.subjects = {"train": set(train_subjects), "validation": set(validation_subjects)}
        both = self.subjects["train"] & self.subjects["validation"]
        if both:
            raise DataError(f"subjects {sorted(both)} are in both splits")

    def samples(self, split: str) -> list[Sample]:
        if split not in self.splits:
            raise DataError(f"{self.root}: {unknown('split', split, self.splits)}")
        found = self._files() if self.whole_files else self._sequences()
        return [sample for subject, sample in found if subject in self.subjects[split]]

    def _sequences(self) -> list[tuple[int, Sample]]:
        found = []
        for name, ranges in read_sequences(self.root / SEQUENCES).items():
            subject, label, path = self._video(name)
            for number, (start, stop) in enumerate(ranges, 1):
                found.append((subject, Sample(f"{name}_{number}", label, path, start, stop)))
        return found

    def _files(self) -> list[tuple[int, Sample]]:
        found = []
        for file in sorted(self.root.glob("*/person*_uncomp.avi")):
            name = file.name.removesuffix("_uncomp.avi")
            if not _NAME.fullmatch(name) or file.parent.name not in name:
                raise DataError(f"{file}: expected <action>/person<NN>_<action>_d<K>_uncomp.avi")
            subject, label, path = self._video(name)
            found.append((subject, Sample(name, label, path)))
        if not found:
            raise DataError(f"{self.root}: no <action>/person<NN>_<action>_d<K>_uncomp.avi in it")
        return found

    def _video(self, name: str) -> tuple[int, int, str]:
        """Returns subject, label and path of the video `name`."""
        parts = _NAME.fullmatch(name)
        assert parts is not None  # names are checked when they are listed
        path = self.root / parts["action"] / f"{name}_uncomp.avi"
        return int(parts["subject"]), ACTIONS.index(parts["action"]), str(path)


def read_sequences(file: Path) -> dict[str, list[tuple[int, int]]]:
    """Reads ``00sequences.txt``: prose, then a line for each video, ``person01_boxing_d1  frames  1-95, 96-185``.

    In the published file one video is ``*missing*``; it has no sequences.

    Returns:
      The sequences of each video as [start, stop), 0-based, by its name. In the file they are 1-based, and the last
      frame is included.

    Raises:
      DataError: one line that names the file and the line.
    """
    try:
        lines = Path(file).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror})") from None
    sequences: dict[str, list[tuple[int, int]]] = {}
    for number, line in enumerate(lines, 1):
        words = line.split(maxsplit=1)
        is_video = bool(words) and re.match(r"person\d+_", words[0])
        if not words or not (is_video or sequences):
            continue  # an empty line, or the prose before the first video
        try:
            name, ranges = _parse_line(*words)
            if name in sequences:
                raise ValueError(f"{name} is there twice")
        except (ValueError, TypeError) as error:
            detail = error if isinstance(error, ValueError) else f"got {line.strip()!r}"
            raise DataError(f"{file}, line {number}: {_EXPECTED}; {detail}") from None
        sequences[name] = ranges
    if not sequences:
        raise DataError(f"{file}: no line of the form 'person01_boxing_d1  frames  1-95, 96-185'")
    return sequences


_EXPECTED = "expected 'person<NN>_<action>_d<K>  frames  <first>-<last>, ...'"


def _parse_line(name: str, rest: str) -> tuple[str, list[tuple[int, int]]]:
    parts = _NAME.fullmatch(name)
    if not parts:
        raise ValueError(f"got {name!r}")
    if parts["action"] not in ACTIONS:
        raise ValueError(unknown("action", parts["action"], ACTIONS))
    if rest.strip() == "*missing*":
        return name, []
    if not rest.startswith("frames"):
        raise ValueError(f"got {rest.strip()!r}")
    ranges = []
    for text in rest.removeprefix("frames").split(","):
        first_last = re.fullmatch(r"\s*(\d+)-(\d+)\s*", text)
        if not first_last:
            raise ValueError(f"got {text.strip()!r} for a range")
        first, last = map(int, first_last.groups())
        if not 1 <= first <= last:
            raise ValueError(f"{first}-{last} is not a range")
        ranges.append((first - 1, last))
    return name, ranges
