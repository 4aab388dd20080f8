"""Finds the clips in a folder: video files and folders of frames. Other files are counted.

A folder of frames has the pictures of one clip, numbered by their names: ``00001.jpg, 00002.jpg, ...`` or
``frame_9.png, frame_10.png, ...``.
"""

import os
import re
import unicodedata
import warnings
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from math import gcd
from pathlib import Path

from tfvid.core.errors import DataError, one_line

# The suffixes of the files that `tfvid.data.decode.confined.CONTAINERS` can open. The decoder looks at the content.
SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("3g2", "3gp", "f4v", "ismv", "m4v", "mj2", "mov", "mp4", "qt"),  # mov
        *("mk3d", "mkv", "webm", "avi", "divx", "m2t", "m2ts", "mts", "ts"),  # matroska, avi, mpegts
        *("mpe", "mpeg", "mpg", "vob", "flv", "asf", "wmv", "ogg", "ogm", "ogv"),  # mpeg, flv, asf, ogg
        *("mxf", "nut", "ivf", "dif", "dv", "rm", "rmvb", "gif"),
        *("m1v", "m2v", "264", "h264", "265", "h265", "hevc", "obu", "y4m"),
    )
)
PICTURES = frozenset((".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"))

# Files and folders that file managers, archives and file systems create.
_LEFTOVERS = frozenset(
    (
        *("__macosx", "icon\r", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "#recycle", "$recycle.bin"),
        *("system volume information", "lost+found"),
    )
)
SHOWN = 3  # number of names in a message


def nfc(text: str) -> str:
    """Returns `text` in Unicode's composed form: macOS writes ``é`` as two code points, Linux and Windows as one."""
    return unicodedata.normalize("NFC", text)


def is_clip_file(name: str) -> bool:
    """Returns whether a file of this name is a video or a picture."""
    return Path(name).suffix.lower() in SUFFIXES | PICTURES


def is_leftover(name: str) -> bool:
    """Returns whether a file or folder is hidden (``.DS_Store``, ``._a.mp4``) or made by a system (``__MACOSX``)."""
    return name.startswith(".") or name.lower() in _LEFTOVERS


@dataclass
class Found:
    """The contents of a folder.

    Attributes:
      clips: paths of video files and folders of frames, sorted by their paths.
      ignored: paths of other files, by kind.
    """

    clips: list[Path] = field(default_factory=list)
    ignored: defaultdict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))

    def left_out(self, root: Path, before: str = "") -> str:
        """Returns ``ignored files that are not videos (3): a/notes.txt, ...`` after `before`; "" if nothing is ignored.

        Paths in it are relative to `root`.
        """
        parts = [
            f"{kind} ({len(files)}): {shown([file.relative_to(root).as_posix() for file in files])}"
            for kind, files in self.ignored.items()
        ]
        return f"{before}ignored {'; '.join(parts)}" if parts else ""


def find_clips(folder: Path, found: Found, *, frames_here: bool = False) -> None:
    """Adds to `found` the clips in `folder` and in the folders below it. Links are followed, leftovers are left out.

    Args:
      folder: the folder to search.
      found: receives the clips and the ignored files.
      frames_here: whether `folder` itself may be a folder of frames. False for a class folder: pictures directly in it
        belong to no clip.

    Raises:
      DataError: a folder cannot be read, or the name of a clip is not valid UTF-8.
    """
    clips: list[Path] = []
    _walk(folder, clips, found.ignored, frames_here, ())
    found.clips += sorted(clips, key=path_order)


def path_order(path: Path) -> tuple:
    """A key that sorts paths equally on all systems, in any normal form of their names."""
    return [nfc(part) for part in path.parts], path.parts


def _walk(folder: Path, clips: list[Path], ignored: dict, frames_here: bool, above: tuple) -> None:
    status = folder.stat()
    here = (status.st_dev, status.st_ino)
    if here in above:  # a link to a folder above itself would never end
        return
    videos, pictures, folders = [], [], []
    for entry in visible(folder):
        suffix = Path(entry.name).suffix.lower()
        if entry.is_dir():
            folders.append(Path(entry.path))
        elif suffix in SUFFIXES:
            videos.append(checked_name(Path(entry.path)))
        elif suffix in PICTURES:
            pictures.append(Path(entry.path))
        else:
            ignored["files that are not videos"].append(Path(entry.path))
    clips += videos
    if pictures and videos:
        ignored["pictures beside videos"] += pictures
    elif pictures and not frames_here:
        ignored["pictures directly in a class folder, where each clip's frames need a folder of their own"] += pictures
    elif pictures and not frame_series([file.name for file in pictures]):
        ignored["pictures that are not numbered frames"] += pictures
    elif pictures:
        clips.append(checked_name(folder))
    for below in folders:
        _walk(below, clips, ignored, True, (*above, here))


def visible(folder: Path) -> list[os.DirEntry]:
    """Returns the entries of a folder without leftovers, sorted by name.

    Raises:
      DataError: the folder cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted((entry for entry in entries if not is_leftover(entry.name)), key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror})") from None


def checked_name(path: Path) -> Path:
    """Returns `path`.

    Raises:
      DataError: its name is not valid UTF-8, so records and pages cannot contain it.
    """
    try:
        path.name.encode()
    except UnicodeEncodeError:
        raise DataError(f"{path}: its name is not valid UTF-8; rename it") from None
    return path


def frame_series(names: list[str]) -> list[list[str]]:
    """Groups file names into series of numbered pictures: two names or more that differ only in their numbers.

    Returns:
      The series, the longest first, each in the order of its numbers: ``frame_10.jpg`` comes after ``frame_9.jpg``.
    """
    series = defaultdict(list)
    for name in names:
        series[re.sub(r"[0-9]+", "#", name.lower())].append(name)
    numbered = [sorted(of, key=_by_number) for form, of in series.items() if "#" in form and len(of) > 1]
    return sorted(numbered, key=lambda of: (-len(of), of))


def restarted(series: list[str]) -> list[list[str]]:
    """Divides a series whose last number starts again, as in two views ``1_001.jpg, ...``, ``2_001.jpg, ...``.

    A part has all names with the same earlier numbers. The last number starts again if it goes back from one part of
    two names or more to the next, and if it counts frames. It does not count if a part leaves out most of the numbers
    in its range: in ``<seconds>.<microseconds>.png`` the last number goes back each second, in a single view.

    Args:
      series: names as `frame_series` returns them.

    Returns:
      The parts by their earlier numbers, in order; [] if the last number does not start again.
    """
    parts = defaultdict(list)
    for name in series:
        parts[tuple(numbers_in(name)[:-1])].append(name)
    numbers = [[numbers_in(name)[-1] for name in names] for names in parts.values() if len(names) > 1]
    goes_back = any(after[0] <= before[-1] for before, after in pairwise(numbers))
    return list(parts.values()) if goes_back and (_count_frames(numbers) or _repeat(numbers)) else []


def _count_frames(parts: list[list[int]]) -> bool:
    """Whether rising numbers fill at least half of the range of each part on average, in one step for all parts."""
    step = gcd(*(after - before for part in parts for before, after in pairwise(part))) or 1
    return sum((part[-1] - part[0]) // step + 1 for part in parts) <= 2 * sum(map(len, parts))


def _repeat(parts: list[list[int]]) -> bool:
    """Whether on average a number is in more than one and a half parts."""
    return 1.5 * len({number for part in parts for number in part}) < sum(map(len, parts))


def numbers_in(name: str) -> list[int]:
    """Returns the whole numbers in a file name."""
    return [int(digits) for digits in re.findall(r"[0-9]+", name)]


def _by_number(name: str) -> tuple:
    return numbers_in(name), name


def warn(message: str) -> None:
    """Warns with one line. Python shows each message once in a process, even if a data set is made several times."""
    warnings.warn(one_line(message), RuntimeWarning, stacklevel=2)


def shown(names: list) -> str:
    """Returns the first names, with an ellipsis if there are more."""
    return ", ".join(map(str, names[:SHOWN])) + (", ..." if len(names) > SHOWN else "")
