"""Single video files and folders of frames."""

import hashlib
import os
import warnings
from functools import cache
from pathlib import Path

import numpy as np

from tfvid.core.arguments import frame_size, whole_number
from tfvid.core.errors import VideoError, one_line
from tfvid.data.base import VideoDataset
from tfvid.data.decode.clip import Sample
from tfvid.data.decode.clip_files import Found, find_clips, visible, warn
from tfvid.data.decode.video import check_range
from tfvid.data.decode.worker import DecodePool, one_a_core

VIDEOS = "videos"  # the name of the only split


class VideoFiles(VideoDataset):
    """Clips without labels.

    Args:
      paths: paths of video files, of folders of frames (`tfvid.data.decode.frames`), or of folders that contain either,
        at any depth. A warning counts other files in those folders.
    """

    class_names = ()
    splits = (VIDEOS,)

    def __init__(self, paths: list[str]):
        files = dict.fromkeys(clip for path in paths for clip in _clips(Path(path).absolute()))
        self._samples = [Sample(_file_id(file), -1, str(file)) for file in files]

    def samples(self, split: str) -> list[Sample]:
        return list(self._samples)


def _clips(path: Path) -> list[Path]:
    """Returns the clips of a path: itself, or those in a folder that is not a folder of frames."""
    if not path.is_dir():
        return [path]
    found = Found()
    find_clips(path, found, frames_here=True)
    if found.ignored:
        warn(f"{path}: {found.left_out(path)}")
    return found.clips or [path]  # the decoder reports what is wrong with a folder without a clip


def _file_id(path: Path) -> str:
    """Returns an id: the name of the clip, and a hash of its path, sizes and times, which changes with the clip."""
    files = [path] if not path.is_dir() else [Path(entry.path) for entry in visible(path)]
    state = [str(path)]
    for file in files:
        if file.exists():
            state += [str(file.stat().st_size), str(file.stat().st_mtime_ns)]
    name = path.name if path.is_dir() else path.stem
    return f"{name}-{hashlib.sha256(' '.join(state).encode()).hexdigest()[:8]}"


def read_clip(path, num_frames: int, size: tuple[int, int], start: int = 0, stop: int | None = None) -> np.ndarray:
    """Reads a clip from a video file or a folder of frames. The file may be untrusted.

    A child process decodes it (`tfvid.data.decode.worker`). The first call starts this process and takes about a second
    longer. A file that crashes the decoder, takes more than a minute or more than 2 GiB of memory raises an error.
    Threads may read at the same time. A damaged file gives a clip of the frames that can be decoded, and a UserWarning,
    once for each file.

    Args:
      path: a video file: mp4, mov, webm, mkv, avi, ... (`tfvid.data.decode.confined.CONTAINERS`); or a folder with the
        frames as numbered pictures: ``00001.jpg, 00002.jpg, ...`` (`tfvid.data.decode.frames.decode_frames`).
      num_frames: T; frames are spread evenly over the range, and repeated if it is shorter than T.
      size: (H, W) in pixels; the whole frame is resized, and its aspect ratio is not kept.
      start: first frame of the range, 0-based.
      stop: one past its last frame; None for the end of the file.

    Returns:
      float32 `(T, H, W, 3)`, RGB in [0, 1].

    Raises:
      VideoError: the file cannot be decoded; one line that names the file and the reason.
      ConfigError: `num_frames`, `start` or `stop` is not a whole number, or `size` is not a pair of them.
    """
    # Python's own numbers can be sent to the decode process.
    num_frames, size = whole_number(num_frames, "num_frames"), frame_size(size)
    start = whole_number(start, "start", None)
    stop = None if stop is None else whole_number(stop, "stop", None)
    check_range(path, num_frames, size, start, stop)
    if not os.fsdecode(path):
        raise VideoError("''", "expected the path of a video file or a folder of frames, got an empty one")
    # The decode process may have another current folder.
    sample = Sample("", -1, os.path.abspath(os.fsdecode(path)), start, stop)
    try:
        clip = _decode_processes(os.getpid()).read(sample, num_frames, size)
    except VideoError as error:
        raise VideoError(path, error.reason) from None
    warning = one_line(f"{os.fsdecode(path)} is damaged: {clip.damage}")
    if clip.damage and warning not in _warned:
        _warned.add(warning)
        warnings.warn(warning, UserWarning, stacklevel=2)
    return clip.frames / np.float32(255)


_warned: set[str] = set()  # Python's own filter may be reset


@cache
def _decode_processes(parent: int) -> DecodePool:
    """Returns the pool of this process; a forked process makes its own, because it must not use that of its parent."""
    return DecodePool(VideoFiles([]), one_a_core())
