"""From a folder of numbered pictures to the frames of a clip, with Pillow.

A picture becomes 8-bit RGB: grey is repeated over the three channels, of 16 bits the upper 8 are kept, an alpha channel
and a colour profile are left out, CMYK is converted as Pillow does it. It is turned upright by its EXIF orientation.
"""

import os
import time
import warnings
from math import gcd
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from tfvid.core.errors import DataError, VideoError
from tfvid.core.sampling import even_indices
from tfvid.data.decode.clip import Clip
from tfvid.data.decode.clip_files import PICTURES, SUFFIXES, frame_series, numbers_in, restarted, shown, visible
from tfvid.data.decode.confined import MAX_PIXELS
from tfvid.data.decode.resize import resize_into
from tfvid.data.decode.video import check_range

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")  # of Pillow's 40, those that `PICTURES` names


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

    Only the pictures that are needed are read. One that cannot be read is left out, and the clip is chosen from the
    others.

    Args:
      folder: with ``.jpg``, ``.png``, ``.webp``, ``.bmp`` or ``.tif`` files.
      num_frames: T; the pictures are spread evenly over the range and repeated where it is shorter than T.
      size: (H, W) in pixels; the whole picture is resized, its aspect ratio is not kept.
      start: first picture of the range, 0-based, counted over the pictures that are there.
      stop: one past its last picture; None for all.
      time_limit: seconds; looked at between pictures.
      names: of the clip's pictures, in order, for a caller that knows them; the folder is then not listed. `start` and
        `stop` count over them.

    Returns:
      A `Clip`; `decoded` counts the pictures of the range without those that could not be read. Its `damage` names
      those, and numbers that are missing between the first and the last.

    Raises:
      VideoError: no numbered pictures, several series of them, videos beside them, pictures of different sizes, none
        that can be read in the range, or the time limit has passed.
    """
    check_range(folder, num_frames, size, start, stop)
    deadline = time.monotonic() + time_limit
    names = frame_names(folder) if names is None else names
    left = names[start:stop]
    if not left:
        raise VideoError(folder, f"it has {len(names)} frames, the clip starts at frame {start}")
    frames, bad, first = {}, {}, None
    while left:
        wanted = [left[index] for index in even_indices(len(left), num_frames)]
        for name in dict.fromkeys(wanted):
            if time.monotonic() > deadline:
                raise VideoError(folder, f"not decoded within {time_limit:g} s")
            if name in frames:
                continue
            try:
                picture = _read(Path(folder) / name)
            except _Unreadable as error:
                bad[name] = str(error)
                continue
            first = first or (name, picture.shape[:2])
            if picture.shape[:2] != first[1]:
                raise VideoError(folder, _sizes(*first, name, picture.shape[:2]))
            frames[name] = np.empty((*size, 3), np.uint8)
            resize_into(frames[name], picture)
        if frames.keys() >= set(wanted):
            return Clip(np.stack([frames[name] for name in wanted]), decoded=len(left), damage=_damage(names, bad))
        left = [name for name in left if name not in bad]
    name, why = next(iter(bad.items()))
    raise VideoError(folder, f"none of its pictures can be read; the first: {name}: {why}")


def frame_names(folder) -> list[str]:
    """The names of a folder's pictures, in the order of their numbers.

    Raises:
      VideoError: there is no such folder, or it does not hold one series of numbered pictures and nothing else that
        could be the clip.
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


def _is_broken_link(entry: os.DirEntry) -> bool:
    """Whether it is a link to nothing: a picture that cannot be read, not one that was never there."""
    return entry.is_symlink() and not os.path.exists(entry.path)


class _Unreadable(Exception):
    """A picture that cannot be decoded; says why."""


def _read(file: Path) -> np.ndarray:
    """A picture, uint8 (H, W, 3), RGB, upright.

    Raises:
      _Unreadable: it is cut off, damaged, no picture, or larger than `MAX_PIXELS`, which its header says.
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
    except Exception as error:  # Pillow's readers raise anything for a damaged file
        raise _Unreadable(" ".join(str(error).split())[:200] or type(error).__name__) from None


def _upright(picture: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # damaged EXIF data beside a picture that is whole
        return picture


def _as_rgb(picture: Image.Image) -> np.ndarray:
    if picture.mode.startswith("I;16") or picture.mode == "I":  # grey of 16 bits, which `convert` would cut at 255
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
    """What is wrong with the pictures of a folder, in words; "" where nothing is."""
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
    """The numbers that are left out between the first name and the last.

    Pictures may be numbered in steps (0, 5, 10, ...). Where more numbers are missing than there are, they do not count
    frames (they are times, for instance), and none is missing.
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
