"""Boxes of UCF101-24: the people who act, in 24 of the 101 classes of UCF101.

Two published formats are read. Pickles (``pyannot.pkl``) are refused, because loading a pickle can run code.

* ``finalAnnots.mat``, the corrected annotation of Singh et al., ICCV 2017 (github.com/gurkirt/corrected-UCF101-Annots):
  a MATLAB struct ``annot`` with ``name`` ("Basketball/v_Basketball_g01_c01") and ``tubes``; a tube has ``sf`` and
  ``ef``, its first and last frame, and ``boxes``, a row (x, y, width, height) for each frame. All count from 1.
* A folder with ``<Class>/v_<Class>_gNN_cNN.xgtf``, the original format of the THUMOS challenge: ViPER's XML. Frames
  count from 1, pixels from 0. People (objects called PERSON) who do not act are left out, unless nobody is marked as
  acting.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from tfvid.core.errors import DataError
from tfvid.data.sources.matlab import read_tubes

SIZE = (240, 320)  # of all videos of UCF101: (H, W)
VIPER = "{http://lamp.cfar.umd.edu/viper#}"
VALUES = "{http://lamp.cfar.umd.edu/viperdata#}"


@dataclass(frozen=True)
class Tube:
    """The boxes of one person who acts.

    Attributes:
      start: first frame, 0-based.
      boxes: float64 `(n, 4)`, (top, left, bottom, right) in frames of 240 x 320, one for each frame from `start` on;
        NaN for no box.
    """

    start: int
    boxes: np.ndarray

    @property
    def stop(self) -> int:
        """One past the last frame."""
        return self.start + len(self.boxes)


def read_boxes(path) -> dict[str, list[Tube]]:
    """Reads the tubes of each video, by its name, e.g. "v_Basketball_g01_c01".

    Args:
      path: a ``.mat`` file, or the folder with the class folders of ``.xgtf`` files.

    Raises:
      DataError: the path is neither, or a file is not as published; one line that names the file and, in a ``.mat``
        file, the video.
    """
    path = Path(path)
    if path.is_dir():
        files = sorted(path.glob("*/*.xgtf"))
        if not files:
            raise DataError(f"{path}: no <Class>/v_<Class>_gNN_cNN.xgtf in it")
        # One published name has a capital C: v_RopeClimbing_g02_C01.
        return {file.stem.replace("_C", "_c"): _read_viper(file) for file in files}
    if path.suffix.lower() in (".pkl", ".pickle", ".gz"):
        raise DataError(
            f"{path}: pickles are not read, because they can run code; use finalAnnots.mat of the same annotation, "
            "or the folder of .xgtf files"
        )
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    if path.suffix.lower() != ".mat":
        raise DataError(f"{path}: expected finalAnnots.mat or a folder of .xgtf files")
    tubes = read_tubes(path)
    return {name: [Tube(start, np.array(boxes)) for start, boxes in of_video] for name, of_video in tubes.items()}


# ViPER


def _read_viper(file: Path) -> list[Tube]:
    source = _parse(file).find(f".//{VIPER}sourcefile")  # a second one belongs to another video
    if source is None:
        raise DataError(f"{file}: expected ViPER's XML with a sourcefile in it")
    people = [thing for thing in source.iter(f"{VIPER}object") if thing.get("name", "").upper() == "PERSON"]
    action = file.parent.name.lower()
    acting = [person for person in people if _acts(person, action)]
    try:
        tubes = [_viper_tube(person) for person in acting or people]
    except (TypeError, ValueError) as error:
        raise DataError(f"{file}: {error}") from None
    return [tube for tube in tubes if len(tube.boxes)]


def _parse(file: Path) -> ElementTree.Element:
    try:
        text = file.read_bytes()
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror})") from None
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text or b"\x00" in text:  # entities can grow without bound
        raise DataError(f"{file}: XML with a DOCTYPE, or not in UTF-8, is not read")
    try:
        return ElementTree.fromstring(text)
    except (ElementTree.ParseError, LookupError, ValueError) as error:  # or an encoding that Python does not know
        raise DataError(f"{file}: not XML ({error})") from None


def _acts(person: ElementTree.Element, action: str) -> bool:
    """Returns whether the attribute of the class is ever true; older files have other names, e.g. golf_swing."""
    for attribute in person.iter(f"{VIPER}attribute"):
        name = attribute.get("name", "").replace("_", "").lower()
        if name and (name in action or action in name):
            return any(value.get("value", "").lower() in ("true", "1") for value in attribute.iter(f"{VALUES}bvalue"))
    return False


def _viper_tube(person: ElementTree.Element) -> Tube:
    spans = []
    for box in person.iter(f"{VALUES}bbox"):
        first, last = _span(box.get("framespan"))
        left, top, width, height = (float(box.get(name, "")) for name in ("x", "y", "width", "height"))
        spans.append((first - 1, last, (top, left, top + height, left + width)))
    if not spans:
        return Tube(0, np.empty((0, 4)))
    start = min(span[0] for span in spans)
    boxes = np.full((max(span[1] for span in spans) - start, 4), np.nan)
    for first, stop, box in spans:
        boxes[first - start : stop - start] = box
    return Tube(start, boxes)


def _span(text: str | None) -> tuple[int, int]:
    numbers = re.fullmatch(r"\s*(\d{1,5}):(\d{1,5})\s*", text or "")
    if not numbers or not 1 <= int(numbers[1]) <= int(numbers[2]):
        raise ValueError(f"expected framespan '<first>:<last>', got {text!r}")
    return int(numbers[1]), int(numbers[2])
