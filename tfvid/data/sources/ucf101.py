"""UCF101: 13,320 videos of 101 actions, in three official splits; for 24 actions, boxes of the people who act.

Soomro, Zamir, Shah, "UCF101: A Dataset of 101 Human Actions Classes From Videos in The Wild", CRCV-TR-12-01, 2012.
"""

import re
from pathlib import Path

import numpy as np

from tfvid.core.errors import DataError, check_choice, unknown
from tfvid.data.base import VideoDataset
from tfvid.data.decode.clip import Clip, Sample
from tfvid.data.sources.annotated import boxes_of, event_of, frames_taken
from tfvid.data.sources.root import existing_folder
from tfvid.data.sources.ucf101_boxes import SIZE, read_boxes

LISTS = "ucfTrainTestlist"
VIDEOS = "UCF-101"
# The actions with boxes, for the argument `classes`.
UCF101_24 = (
    *("Basketball", "BasketballDunk", "Biking", "CliffDiving", "CricketBowling", "Diving", "Fencing"),
    *("FloorGymnastics", "GolfSwing", "HorseRiding", "IceDancing", "LongJump", "PoleVault", "RopeClimbing"),
    *("SalsaSpin", "SkateBoarding", "Skiing", "Skijet", "SoccerJuggling", "Surfing", "TennisSwing"),
    *("TrampolineJumping", "VolleyballSpiking", "WalkingWithDog"),
)

_VIDEO = re.compile(r"(?P<action>[A-Za-z]+)/(?P<name>v_[A-Za-z]+_g\d\d_c\d\d)\.avi")


class UCF101(VideoDataset):
    """UCF101, optionally with the boxes of UCF101-24.

    Args:
      root: the folder with ``UCF-101/<Class>/v_<Class>_gNN_cNN.avi`` and
        ``ucfTrainTestlist/{classInd,trainlist0N,testlist0N}.txt``.
      fold: the official split, 1, 2 or 3.
      classes: names of the classes to keep, in the order of their labels, e.g. `UCF101_24`; None for all, in the order
        of ``classInd.txt``.
      boxes: ``finalAnnots.mat`` or the folder of ``.xgtf`` files, see `tfvid.data.sources.ucf101_boxes`; the path may
        be relative to `root`. A clip then has the boxes of the people who act, and its event: the frames in which
        somebody acts.

    Attributes:
      splits: "train", and "validation" for the official test list.
      flip_labels: empty, because a mirror changes no label.

    Raises:
      DataError: a folder, file or line is not as published; one line that names it.
    """

    splits = ("train", "validation")
    flip_labels = {}

    def __init__(self, root, *, fold=1, classes=None, boxes=None):
        check_choice("fold", fold, (1, 2, 3))
        self.root, self.fold = existing_folder(root), fold
        self._labels = read_class_index(self.root / LISTS / "classInd.txt")
        self.class_names = tuple(classes or self._labels)
        for name in self.class_names:
            if name not in self._labels:
                raise DataError(f"{self.root}: {unknown('class', name, self._labels)}")
        self._tubes = read_boxes(self.root / boxes) if boxes is not None else {}
        self.max_boxes = max((_most_at_once(tubes) for tubes in self._tubes.values()), default=0)

    def samples(self, split: str) -> list[Sample]:
        if split not in self.splits:
            raise DataError(f"{self.root}: {unknown('split', split, self.splits)}")
        file = self.root / LISTS / f"{'train' if split == 'train' else 'test'}list0{self.fold}.txt"
        wanted = {name: label for label, name in enumerate(self.class_names)}
        samples = {}
        for where, line in _lines(file):
            video, _, number = line.partition(" ")
            parts = _VIDEO.fullmatch(video)
            # The files of HandstandPushups are called v_HandStandPushups_...
            if not parts or not parts["name"].lower().startswith(f"v_{parts['action']}_".lower()):
                raise DataError(f"{where}: expected <Class>/v_<Class>_gNN_cNN.avi, got {video!r}")
            action = parts["action"]
            if action not in self._labels:
                raise DataError(f"{where}: {unknown('class', action, self._labels)}")
            if number.strip() and number.strip() != str(self._labels[action]):
                raise DataError(f"{where}: {action} is class {self._labels[action]}, got {number.strip()!r}")
            if parts["name"] in samples:
                raise DataError(f"{where}: {parts['name']} is there twice")
            path = self.root / VIDEOS / video
            samples[parts["name"]] = Sample(parts["name"], wanted.get(action, -1), str(path))
        return [sample for sample in samples.values() if sample.label >= 0]

    def read(self, sample: Sample, num_frames: int, size: tuple[int, int]) -> Clip:
        clip = super().read(sample, num_frames, size)
        tubes = self._tubes.get(sample.id, [])
        taken = frames_taken(sample, clip.decoded, num_frames)
        boxes = boxes_of([_at(tubes, frame) for frame in taken.tolist()], self.max_boxes, SIZE, size)
        if not tubes:
            return Clip(clip.frames, boxes=boxes, decoded=clip.decoded, damage=clip.damage)
        event = event_of(taken, min(tube.start for tube in tubes), max(tube.stop for tube in tubes))
        return Clip(clip.frames, event, boxes, clip.decoded, clip.damage)


def read_class_index(file: Path) -> dict[str, int]:
    """Reads ``classInd.txt``, which has lines like ``1 ApplyEyeMakeup``.

    Returns:
      The number of each class by its name, in the order of the numbers.

    Raises:
      DataError: one line that names the file and the line.
    """
    labels: dict[str, int] = {}
    numbers = set()
    for where, line in _lines(file):
        number, _, name = line.partition(" ")
        if not re.fullmatch(r"\d{1,6}", number) or not re.fullmatch(r"[A-Za-z]+", name.strip()):
            raise DataError(f"{where}: expected '<number> <Class>', got {line!r}")
        if name.strip() in labels or int(number) in numbers:
            raise DataError(f"{where}: {line} is there twice")
        labels[name.strip()] = int(number)
        numbers.add(int(number))
    if not labels:
        raise DataError(f"{file}: no classes in it")
    return dict(sorted(labels.items(), key=lambda item: item[1]))


def _lines(file: Path):
    """Yields (where, line) for the lines that are not empty."""
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror})") from None
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield f"{file}, line {number}", line.strip()


def _at(tubes, frame: int) -> np.ndarray:
    """Returns the boxes in a frame of the video, `(n, 4)`."""
    rows = [tube.boxes[frame - tube.start] for tube in tubes if tube.start <= frame < tube.stop]
    boxes = np.reshape(rows, (-1, 4))
    return boxes[~np.isnan(boxes).any(axis=1)]


def _most_at_once(tubes) -> int:
    counts = np.zeros(max((tube.stop for tube in tubes), default=0), int)
    for tube in tubes:
        counts[tube.start : tube.stop] += ~np.isnan(tube.boxes).any(axis=1)
    return int(counts.max(initial=0))
