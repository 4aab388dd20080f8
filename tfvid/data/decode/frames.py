"""Reads the frames of a clip from a folder of numbered pictures, with Pillow.

A picture becomes 8-bit RGB. Grey is repeated in the three channels. Of 16 bits the upper 8 are kept. An alpha channel
and a colour profile are ignored. CMYK is converted by Pillow. The EXIF orientation is applied.
"""

import os
import time
import warnings
from math import gcd
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from tfvid.core.errors import DataError, VideoError, message_line
from tfvid.core.sampling import even_indices
from tfvid.data.decode.clip import Clip
from tfvid.data.decode.clip_files import PICTURES, SUFFIXES, frame_series, numbers_in, restarted, shown, visible
from tfvid.data.decode.confined import MAX_PIXELS
from tfvid.data.decode.resize import resize_into
from tfvid.data.decode.video import check_range

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")  # those of `PICTURES`, of the 40 that Pillow reads


def decode_frames(
    folder,
    num_frames: int,
    size: tuple[int, int],
    start: int = 0,
    stop: int | None = None,
    time_limit: float = 60.0,
    names: list[str] | None = None,
) -> Clip:
    """Reads a clip from a folder of pictures that are numbered by their names, in the order of their numbers.

    Only the pictures that are needed are read. A picture that cannot be read is left out, and the clip is chosen from
    the others.

    Args:
      folder: a folder of ``.jpg``, ``.png``, ``.webp``, ``.bmp`` or ``.tif`` files.
      num_frames: T; the pictures are spread evenly over the range, and repeated if it is shorter than T.
      size: (H, W) in pixels; the whole picture is resized, and its aspect ratio is not kept.
      start: first picture of the range, 0-based; the pictures that exist are counted.
      stop: one past its last picture; None for all.
      time_limit: seconds; checked between pictures.
      names: the names of the pictures, in order, if the caller knows them; the folder is then not listed. `start` and
        `stop` count these names.

    Returns:
      A `Clip`. `decoded` is the number of pictures in the range without those that cannot be read. `damage` names
      those, and numbers that are missing between the first and the last.

    Raises:
      VideoError: the folder has no numbered pictures, several series of them, or videos beside them; the pictures have
        different sizes; none in the range can be read; or the time limit has passed.
    """
    check_range(folder, num_frames, size, start, stop)
    deadline = time.monotonic() + time_limit
    names = frame_names(folder) if names is None else names
    left = names[start:stop]
    if not left:
        raise VideoError(folder, f"it has {len(names)} frames, the clip starts at frame {start}")
    pictures = _Pictures(folder, size)
    while left:
        wanted = [left[index] for index in even_indices(len(left), num_frames)]
        for name in dict.fromkeys(wanted):
            if time.monotonic() > deadline:
                raise VideoError(folder, f"not decoded within {time_limit:g} s")
            pictures.read(name)
        frames = [pictures.frames[name] for name in wanted if name in pictures.frames]
        if len(frames) == num_frames:
            return Clip(np.stack(frames), decoded=len(left), damage=_damage(names, pictures.bad))
        left = [name for name in left if name not in pictures.bad]
    name, why = next(iter(pictures.bad.items()))
    raise VideoError(folder, f"none of its pictures can be read; the first: {name}: {why}")


class _Pictures:
    """Reads pictures of one folder, which must have the same size.

    Attributes:
      frames: by name, uint8 `(H, W, 3)`, resized to `size`.
      bad: why a picture cannot be read, by name.
    """

    def __init__(self, folder, size: tuple[int, int]):
        self.folder, self.size = folder, size
        self.frames: dict[str, np.ndarray] = {}
        self.bad: dict[str, str] = {}
        self._first: tuple[str, tuple[int, int]] | None = None  # its name and size

    def read(self, name: str) -> None:
        """Adds a picture to `frames` or `bad`; raises VideoError if it has another size than the first."""
        if name in self.frames:
            return
        try:
            picture = _read(Path(self.folder) / name)
        except _Unreadable as error:
            self.bad[name] = str(error)
            return
        self._first = self._first or (name, picture.shape[:2])
        if picture.shape[:2] != self._first[1]:
            raise VideoError(self.folder, _sizes(*self._first, name, picture.shape[:2]))
        self.frames[name] = np.empty((*self.size, 3), np.uint8)
        resize_into(self.frames[name], picture)


def frame_names(folder) -> list[str]:
    """Returns the names of the pictures in a folder, in the order of their numbers.

    Raises:
      VideoError: there is no such folder, or it has anything else than one series of numbered pictures.
    """
    try:
        entries = [entry.name for entry in visible(folder) if entry.is_file() or _is_broken_link(entry)]
    except DataError as error:
        raise VideoError(folder, str(error).removeprefix(f"{folder}: ")) from None
    pictures = [name for name in entries if Path(name).suffix.lower() in PICTURES]
    videos = [name for name in entries if Path(name).suffix.lower() in SUFFIXES]
    if videos:
        beside = f" beside {len(pictures)} pictures" if pictures else ""
        raise VideoError(folder, f"a folder with videos ({shown(videos)}){beside}; name one of the videos")
    series = frame_series(pictures)
    if not series:
        kinds = ", ".join(sorted(PICTURES))
        raise VideoError(folder, f"a folder without frames: expected two or more numbered pictures ({kinds}) in it")
    if len(series) > 1:
        examples = ", ".join(f"{len(names)} like {names[0]}" for names in series[:4])
        raise VideoError(folder, f"pictures of {len(series)} series ({examples}); keep one in a folder of its own")
    if views := restarted(series[0]):
        examples = ", ".join(f"{len(names)} like {names[0]}" for names in views[:4])
        raise VideoError(
            folder,
            f"the last number in the names starts again ({examples}); keep one series in a folder of its own, "
            "or number all pictures in one sequence",
        )
    return series[0]


def first_size(folder) -> tuple[int, int]:
    """Returns the (H, W) of the first picture of a folder that can be read, upright.

    Raises:
      VideoError: as `frame_names`, or no picture can be read.
    """
    for name in frame_names(folder):
        try:
            height, width = _read(Path(folder) / name).shape[:2]
        except _Unreadable:
            continue
        return height, width
    raise VideoError(folder, "none of its pictures can be read")


def _is_broken_link(entry: os.DirEntry) -> bool:
    """Returns whether an entry is a link to nothing, which counts as a picture that cannot be read."""
    return entry.is_symlink() and not os.path.exists(entry.path)


class _Unreadable(Exception):
    """A picture cannot be decoded; the message is the reason."""


def _read(file: Path) -> np.ndarray:
    """Reads a picture as uint8 `(H, W, 3)`, RGB, upright.

    Raises:
      _Unreadable: it is cut off, damaged, not a picture, or larger than `MAX_PIXELS` by its header.
    """
    try:
        if not os.path.getsize(file):
            raise _Unreadable("the file is empty")
        with warnings.catch_warnings(action="ignore"), Image.open(file, formats=FORMATS) as picture:
            width, height = picture.size
            if height * width > MAX_PIXELS:
                raise _Unreadable(f"{height} x {width} pixels; at most {MAX_PIXELS} are decoded")
            picture.load()
            return _as_rgb(_upright(picture))
    except Image.DecompressionBombError:
        raise _Unreadable(f"more than {MAX_PIXELS} pixels, the most that are decoded") from None
    except (_Unreadable, MemoryError):
        raise
    except Exception as error:  # Pillow raises errors of any type for a damaged file
        raise _Unreadable(message_line(error, 200) or type(error).__name__) from None


def _upright(picture: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # damaged EXIF data in a whole picture
        return picture


def _as_rgb(picture: Image.Image) -> np.ndarray:
    if picture.mode.startswith("I;16") or picture.mode == "I":  # grey of 16 bits, which `convert` would clip at 255
        values = np.asarray(picture).astype(np.int64)
        if values.min() < 0 or values.max() > 0xFFFF:
            raise _Unreadable("grey values of more than 16 bits")
        return np.repeat((values >> 8).astype(np.uint8)[..., None], 3, axis=2)
    if picture.mode == "F":
        raise _Unreadable("floating-point values, expected 8 or 16 bits")
    return np.asarray(picture.convert("RGB"))


def _sizes(first: str, size: tuple[int, int], other: str, of_other: tuple[int, int]) -> str:
    return (
        f"pictures of different sizes: {first} has {size[0]} x {size[1]} pixels, {other} has "
        f"{of_other[0]} x {of_other[1]}; the frames of a clip have one size"
    )


def _damage(names: list[str], bad: dict[str, str]) -> str:
    """Returns what is wrong with the pictures of a folder, in words; "" if nothing is."""
    parts = []
    if bad:
        name, why = next(iter(bad.items()))
        parts.append(f"has {_pictures(bad)} that cannot be read (the first: {name}: {why})")
    lost = _missing(names)
    if lost:
        parts.append(f"lacks {_pictures(lost)} between its first and its last (the first: number {lost[0]})")
    return " and ".join(parts)


def _pictures(some) -> str:
    return f"{len(some)} picture{'s' if len(some) > 1 else ''}"


def _missing(names: list[str]) -> list[int]:
    """Returns the numbers that are missing between the first and the last picture.

    Pictures may be numbered in steps (0, 5, 10, ...). If more numbers are missing than exist, the numbers do not count
    frames (they may be times), and none is missing.
    """
    columns = list(zip(*map(numbers_in, names), strict=True))
    counting = [column for column in columns if len(set(column)) > 1]
    if len(counting) != 1:
        return []
    numbers = sorted(set(counting[0]))
    step = gcd(*(number - numbers[0] for number in numbers))
    count = (numbers[-1] - numbers[0]) // step + 1
    if count > 2 * len(numbers):
        return []
    there = set(numbers)
    return [number for number in range(numbers[0], numbers[-1], step) if number not in there]
