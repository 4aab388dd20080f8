"""EPIC-KITCHENS-100, which includes EPIC-KITCHENS-55: actions in long videos, each with a verb and a noun.

Damen et al., "Scaling Egocentric Vision", ECCV 2018 (55), and "Rescaling Egocentric Vision", IJCV 2022 (100). The first
has boxes of the nouns in every 30th frame. The annotations of actions are those of the second.
"""

import csv
import os
import re
from dataclasses import dataclass
from math import ceil, floor
from pathlib import Path

import numpy as np

from tfvid.core.errors import DataError, VideoError, check_choice, unknown
from tfvid.core.sampling import even_indices
from tfvid.data.base import VideoDataset
from tfvid.data.decode.clip import Clip, Sample
from tfvid.data.sources.annotated import boxes_of, frames_taken
from tfvid.data.sources.root import existing_folder

FILES = {"train": "EPIC_100_train.csv", "validation": "EPIC_100_validation.csv"}
CLASSES = "EPIC_100_{}_classes.csv"
INFO = "EPIC_100_video_info.csv"
# The places in which the published scripts store a video, and the tar file of its frames, which is unpacked there.
VIDEO_PLACES = ("{0}/videos/{1}.MP4", "videos/train/{0}/{1}.MP4", "videos/test/{0}/{1}.MP4")
FRAME = "frame_{:010d}.jpg"
FRAME_PLACES = ("{0}/rgb_frames/{1}", "frames_rgb_flow/rgb/train/{0}/{1}", "frames_rgb_flow/rgb/test/{0}/{1}")
SIZE = (1080, 1920)  # of a frame, if `INFO` does not name it
SPACING = 30  # frames from one with boxes to the next

_VIDEO = re.compile(r"(?P<person>P\d\d)_\d{2,3}")
_TIME = re.compile(r"(\d{1,2}):(\d\d):(\d\d(?:\.\d+)?)")
_BOX = re.compile(r"\(\s*(\d{1,6})\s*,\s*(\d{1,6})\s*,\s*(\d{1,6})\s*,\s*(\d{1,6})\s*\)")
_WORD = re.compile(r"""'([^']*)'|"([^"]*)\"""")


@dataclass(frozen=True)
class Video:
    """A video in ``EPIC_100_video_info.csv``: frames a second, and (H, W) of a frame in pixels."""

    fps: float
    size: tuple[int, int]


class EpicKitchens(VideoDataset):
    """Actions of EPIC-KITCHENS-100, by verb or by noun.

    A clip is the part of a video that shows one action. A video is read from its file, or, if there is no file, from
    the published folder of its frames (``frame_0000000001.jpg``, ...). In a file, the part is found by the time stamps
    of the action and the frame rate of the video if ``EPIC_100_video_info.csv`` is next to the annotations, and by the
    frame numbers of the action otherwise. In a folder it is found by the frame numbers, which are the numbers in the
    names of the pictures; so a missing picture does not shift the others.

    Args:
      root: the folder with ``P01/videos/P01_01.MP4`` or ``P01/rgb_frames/P01_01/frame_0000000001.jpg`` (as downloaded),
        or, of 55, ``videos/train/P01/P01_01.MP4`` or ``frames_rgb_flow/rgb/train/P01/P01_01/frame_0000000001.jpg``.
      annotations: the folder with ``EPIC_100_{train,validation}.csv`` and ``EPIC_100_{verb,noun}_classes.csv``,
        relative to `root` or not; None for `root` itself.
      classify: "verb" or "noun".
      classes: names of the classes to keep, in the order of their labels; None for all, 97 verbs or 300 nouns.
      boxes: ``EPIC_train_object_labels.csv`` of EPIC-KITCHENS-55, relative to `annotations` or not. A clip then has the
        boxes of its noun: in each frame those of the nearest annotated frame that is at most 15 frames away.

    Attributes:
      splits: "train" and "validation", those whose file exists.

    Raises:
      DataError: a file or a line is not as published; one line that names both.
    """

    flip_labels = {}

    def __init__(self, root, *, annotations=None, classify="verb", classes=None, boxes=None):
        check_choice("classify", classify, ("verb", "noun"))
        self.root = existing_folder(root)
        self.annotations = existing_folder(self.root / (annotations or ""))
        self.classify = classify
        self.splits = tuple(split for split, file in FILES.items() if (self.annotations / file).is_file())
        if not self.splits:
            raise DataError(f"{self.annotations}: expected {' or '.join(FILES.values())} in it, found neither")
        self._names = {key: number for number, (key, _) in self._classes(classify).items()}
        self.class_names = tuple(classes or self._names)
        for name in self.class_names:
            if name not in self._names:
                raise DataError(f"{self.annotations}: {unknown(classify, name, self._names)}")
        self._videos = dict(_videos(self.annotations / INFO)) if (self.annotations / INFO).is_file() else {}
        self._boxes, self._nouns = {}, {}
        if boxes is not None:
            self._boxes = read_boxes(self.annotations / boxes, self._classes("noun"))
            self._nouns = {id: noun for split in self.splits for id, noun, _ in self._actions(split)}
        self.max_boxes = max((len(drawn) for frames in self._boxes.values() for drawn in frames.values()), default=0)

    def samples(self, split: str) -> list[Sample]:
        if split not in self.splits:
            raise DataError(f"{self.annotations}: {unknown('split', split, self.splits)}")
        return [sample for _, _, sample in self._actions(split) if sample.label >= 0]

    def read(self, sample: Sample, num_frames: int, size: tuple[int, int]) -> Clip:
        clip, taken = (_read_folder if os.path.isdir(sample.path) else _read_file)(sample, num_frames, size)
        video = Path(sample.path).stem
        frames = self._boxes.get((video, self._nouns.get(sample.id)), {})
        drawn_on = self._videos[video].size if video in self._videos else SIZE
        boxes = boxes_of([_nearest(frames, frame) for frame in taken.tolist()], self.max_boxes, drawn_on, size)
        return Clip(clip.frames, boxes=boxes, decoded=clip.decoded, damage=clip.damage)

    def _classes(self, kind: str) -> dict[int, tuple[str, list[str]]]:
        return read_classes(self.annotations / CLASSES.format(kind))

    def _actions(self, split: str):
        """Yields (id, class number of the noun, sample); the label of a class that is not kept is -1."""
        file = self.annotations / FILES[split]
        labels = {self._names[name]: label for label, name in enumerate(self.class_names)}
        numbers, seen = set(self._names.values()), set()
        paths: dict[str, tuple[Path, bool]] = {}
        for where, row in _rows(file, ("narration_id", "video_id", f"{self.classify}_class", "noun_class")):
            video = _VIDEO.fullmatch(row["video_id"])
            if not video or not re.fullmatch(r"\w+", row["narration_id"]):
                raise DataError(f"{where}: expected video_id P<NN>_<NN> and a plain narration_id, got {row}")
            if row["narration_id"] in seen:
                raise DataError(f"{where}: {row['narration_id']} is there twice")
            seen.add(row["narration_id"])
            number = _integer(where, row, f"{self.classify}_class")
            if number not in numbers:
                raise DataError(f"{where}: {self.classify}_class {number} is not in {CLASSES.format(self.classify)}")
            if row["video_id"] not in paths:
                paths[row["video_id"]] = self._path(video["person"], row["video_id"])
            path, is_folder = paths[row["video_id"]]
            start, stop = self._range(where, row, is_folder)
            sample = Sample(row["narration_id"], labels.get(number, -1), str(path), start, stop)
            yield row["narration_id"], _integer(where, row, "noun_class"), sample

    def _range(self, where: str, row: dict, is_folder: bool) -> tuple[int, int]:
        """Returns the first and the one-past-last frame of an action in its video, 0-based."""
        # Not all published frames were extracted at the rate of their video, so time stamps would give other frames.
        if row["video_id"] in self._videos and not is_folder:
            fps = self._videos[row["video_id"]].fps
            start = floor(_seconds(where, row, "start_timestamp") * fps)
            stop = ceil(_seconds(where, row, "stop_timestamp") * fps)
        else:  # counted from 1, the last one included; some start at 0
            start = max(_integer(where, row, "start_frame"), 1) - 1
            stop = _integer(where, row, "stop_frame")
        if stop <= start:
            raise DataError(f"{where}: {row['narration_id']} ends at frame {stop}, before it starts, at {start}")
        return start, stop

    def _path(self, person: str, video: str) -> tuple[Path, bool]:
        """Returns the path of a video, and whether it is a folder of frames; the first place if there is neither."""
        files = [self.root / place.format(person, video) for place in VIDEO_PLACES]
        folders = [self.root / place.format(person, video) for place in FRAME_PLACES]
        there = [(file, False) for file in files if file.is_file()]
        there += [(folder, True) for folder in folders if folder.is_dir()]
        return there[0] if there else (files[0], False)


def _read_file(sample: Sample, num_frames: int, size: tuple[int, int]) -> tuple[Clip, np.ndarray]:
    """Returns the clip of a video file, and the frames of the video in it: int64 `(T,)`, 0-based."""
    from tfvid.data.decode.video import decode_clip

    clip = decode_clip(sample.path, num_frames, size, sample.start, sample.stop, seek=True)
    return clip, frames_taken(sample, clip.decoded, num_frames)


def _read_folder(sample: Sample, num_frames: int, size: tuple[int, int]) -> tuple[Clip, np.ndarray]:
    """Like `_read_file` for a published folder of frames: ``frame_0000000001.jpg`` is the first frame of the video.

    Raises:
      VideoError: the names count from 0, the folder has no frame in the range, or none can be read.
    """
    from tfvid.data.decode.frames import decode_frames  # Pillow is loaded when it is needed

    assert sample.stop is not None  # `EpicKitchens` names both ends
    # The names are looked up, because listing and sorting the 100,000 pictures of a long video takes seconds.
    frames = [f for f in range(sample.start, sample.stop) if os.path.lexists(_frame_file(sample.path, f))]
    if os.path.lexists(_frame_file(sample.path, -1)) or not frames:
        fault = f"has none of the frames {sample.start + 1} to {sample.stop}" if not frames else "counts frames from 0"
        raise VideoError(sample.path, f"{fault}; expected the published names, from {FRAME.format(1)} on")
    names = [FRAME.format(frame + 1) for frame in frames]
    clip = decode_frames(sample.path, num_frames, size, names=names)
    return clip, np.array(frames)[even_indices(clip.decoded, num_frames)]


def _frame_file(folder: str, frame: int) -> str:
    """Returns the path of the picture of a frame, 0-based."""
    return os.path.join(folder, FRAME.format(frame + 1))


def read_classes(file: Path) -> dict[int, tuple[str, list[str]]]:
    """Reads ``EPIC_100_{verb,noun}_classes.csv``.

    Returns:
      By number of the class: its name, and all words for it.

    Raises:
      DataError: one line that names the file and the line.
    """
    classes = {}
    for where, row in _rows(file, ("id", "key", "instances")):
        number = _integer(where, row, "id")
        if number in classes or not row["key"]:
            raise DataError(f"{where}: class {number} is there twice, or has no key")
        classes[number] = (row["key"], [first or second for first, second in _WORD.findall(row["instances"])])
    if not classes:
        raise DataError(f"{file}: no classes in it")
    return dict(sorted(classes.items()))


def read_boxes(file: Path, nouns: dict[int, tuple[str, list[str]]]) -> dict[tuple[str, int], dict[int, np.ndarray]]:
    """Reads ``EPIC_train_object_labels.csv``.

    Nouns are matched by the word, because their numbers in the file are those of EPIC-KITCHENS-55, which differ. Frames
    are those of the recorded video, counted from 1. Boxes are (top, left, height, width) in its pixels.

    Args:
      file: the CSV file.
      nouns: the nouns of EPIC-KITCHENS-100, see `read_classes`; boxes of other nouns are left out.

    Returns:
      By video and number of the noun, then by frame, 0-based: float64 `(n, 4)`, (top, left, bottom, right).

    Raises:
      DataError: one line that names the file and the line.
    """
    numbers = {word: number for number, (key, words) in nouns.items() for word in [key, *words]}
    found: dict[tuple[str, int], dict[int, np.ndarray]] = {}
    for where, row in _rows(file, ("noun", "video_id", "frame", "bounding_boxes")):
        frame = _integer(where, row, "frame")
        text = row["bounding_boxes"].strip()
        boxes = [tuple(map(int, box)) for box in _BOX.findall(text)]
        # Without the boxes, only the brackets and commas of a list may be left.
        if frame < 1 or not re.fullmatch(r"\[[\s,]*\]", _BOX.sub("", text)):
            raise DataError(
                f"{where}: expected a frame from 1 and '[(top, left, height, width), ...]', got {text[:80]!r}"
            )
        if row["noun"] in numbers and boxes:
            of_video = found.setdefault((row["video_id"], numbers[row["noun"]]), {})
            top, left, height, width = np.array(boxes, np.float64).T
            drawn = np.stack([top, left, top + height, left + width], axis=1)
            of_video[frame - 1] = np.concatenate([of_video.get(frame - 1, np.empty((0, 4))), drawn])
    return found


def _nearest(frames: dict[int, np.ndarray], frame: int) -> np.ndarray:
    """Returns the boxes of the nearest annotated frame, `(n, 4)`; none if it is more than `SPACING` / 2 frames away."""
    for away in range(SPACING // 2 + 1):
        for near in (frame - away, frame + away):
            if near in frames:
                return frames[near]
    return np.empty((0, 4))


def _videos(file: Path):
    for where, row in _rows(file, ("video_id", "fps", "resolution")):
        size = re.fullmatch(r"(\d{1,5})x(\d{1,5})", row["resolution"])
        try:
            fps = float(row["fps"])
        except ValueError:
            fps = 0.0
        if not size or not 0 < fps < 1000:
            raise DataError(f"{where}: expected fps and <width>x<height>, got {row['fps']!r} and {row['resolution']!r}")
        yield row["video_id"], Video(fps, (int(size[2]), int(size[1])))


def _rows(file: Path, needed: tuple[str, ...]):
    """Yields (where, row) of a CSV file that has the columns `needed`."""
    try:
        with open(file, newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(lines, strict=True)
            for name in needed:
                if name not in (reader.fieldnames or []):
                    raise DataError(
                        f"{file}: no column {name!r} in its first line ({','.join(reader.fieldnames or [])})"
                    )
            for row in reader:
                where = f"{file}, line {reader.line_num}"
                if None in row or None in row.values():  # more values than columns, or fewer
                    raise DataError(f"{where}: expected {len(reader.fieldnames or [])} values, as the first line has")
                yield where, row
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror})") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{file}: not a CSV file in UTF-8 ({error})") from None


def _integer(where: str, row: dict, name: str) -> int:
    text = row.get(name) or ""
    if not re.fullmatch(r"\d{1,9}", text.strip()):
        raise DataError(f"{where}: {name} must be a whole number, 0 or more, got {text!r}")
    return int(text)


def _seconds(where: str, row: dict, name: str) -> float:
    parts = _TIME.fullmatch((row.get(name) or "").strip())
    if not parts:
        raise DataError(f"{where}: {name} must be HH:MM:SS.ss, got {row.get(name)!r}")
    return int(parts[1]) * 3600 + int(parts[2]) * 60 + float(parts[3])
