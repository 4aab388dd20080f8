"""From a video file to the frames of a clip, with FFmpeg's libraries through PyAV.

How it decodes, and why (measured: docs/performance.md):

* Frames are decoded one after another, and only the wanted ones are converted to RGB. Seeking to each of them is up to
  ten times slower.
* The header's frame count is tried first and never trusted: every frame asked for is decoded up to the end, and
  where the count was wrong the frames are picked again.
* Frames are resized by OpenCV, or as it does (`tfvid.data.decode.resize`).
"""

import os
import stat
import time

import numpy as np

# OpenCV, which may be used by a dataset of yours and writes films, keeps FFmpeg's messages to itself. Set these to see
# them.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")

from tfvid.core.errors import TfvidError, VideoError
from tfvid.core.sampling import even_indices
from tfvid.data.decode.clip import Clip
from tfvid.data.decode.resize import resize_into

MOST_HELD = 1 << 23  # pixels of the decoded frames that wait to be converted; 8-bit YUV frames take 12 MB

# FFmpeg opens these too, as a one-frame video or by following what they name.
_NOT_VIDEO = {
    b"ID3": "audio only",
    b"fLaC": "audio only",
    b"\x89PNG": "a still image",
    b"\xff\xd8\xff": "a still image",
    b"#EXTM3U": "a playlist",
    b"ffconcat": "a playlist",
}
_BRANDS = {  # of MP4's family, behind "ftyp"
    b"M4A ": "audio only",
    b"M4B ": "audio only",
    b"heic": "a still image",
    b"heix": "a still image",
    b"mif1": "a still image",
    b"avif": "a still image",
}


def decode_clip(
    path,
    num_frames: int,
    size: tuple[int, int],
    start: int = 0,
    stop: int | None = None,
    time_limit: float = 60.0,
    seek: bool = False,
) -> Clip:
    """`tfvid.read_clip` as uint8, in this process, with what was found out about the file.

    For files from strangers read it in a decode process (`tfvid.data.decode.worker`): only there is memory limited,
    and does a crash cost one clip (`tfvid.data.decode.confined`).

    Args:
      path, num_frames, size, start, stop: see `tfvid.read_clip`.
      seek: go to the keyframe before `start` instead of decoding all that is before, for parts of long videos. The
        frames are the same. Only MP4 and MOV files have the index that this takes; others are decoded from the start.
      time_limit: seconds. It is looked at between frames, and while the file is read; a decoder that hangs inside one
        frame is not interrupted. `tfvid.data.decode.worker` sets a limit that holds whatever the decoder does.

    Returns:
      A `Clip`; `decoded` counts the frames in the range. Its `damage` is known from what was read: packets or frames
      that FFmpeg calls damaged, and, where the range goes on to the end, a file that is cut off or holds fewer frames
      than its index counts. A variable frame rate and frames that an edit list leaves out are no damage.

    Raises:
      VideoError: as in `tfvid.read_clip`, or the time limit has passed.
    """
    check_range(path, num_frames, size, start, stop)
    check_file(path)
    begun = time.monotonic()
    with _open(path, time_limit, begun, start if seek else 0) as video:
        promised = min(video.promised, stop or video.promised) - start
        guess = start + even_indices(promised, num_frames) if promised > 0 else ()
        frames, count = _pick(video, guess, stop, size)
        damage = video.damage(count)
    decoded = count - start
    if count == 0:
        raise VideoError(path, "no frame can be decoded")
    if decoded <= 0:
        raise VideoError(path, f"it has {count} frames, the clip starts at frame {start}")
    wanted = start + even_indices(decoded, num_frames)
    if not frames.keys() >= set(wanted):
        with _open(path, time_limit, begun, start if seek else 0) as video:
            frames, _ = _pick(video, wanted, wanted[-1] + 1, size)
        if not frames.keys() >= set(wanted):
            raise VideoError(path, "it gives other frames when it is decoded again")
    return Clip(_as_clip(frames, wanted), decoded=decoded, damage=damage)


def check_range(path, num_frames: int, size: tuple[int, int], start: int, stop: int | None):
    """Refuses a clip that cannot be, whatever the file."""
    if num_frames < 1 or min(size) < 1:
        raise TfvidError(f"num_frames and size must be 1 or more, got {num_frames} and {tuple(size)}")
    if start < 0 or (stop is not None and stop <= start):
        raise VideoError(path, f"no frames in the range from {start} to {stop}")


def check_file(path):
    """Refuses what need not be given to FFmpeg, or must not be: a FIFO blocks, a playlist names other files."""
    try:
        info = os.stat(path)
        if stat.S_ISDIR(info.st_mode):
            raise VideoError(path, "is a directory, not a video file")
        if not stat.S_ISREG(info.st_mode):
            raise VideoError(path, "is not a regular file")
        with open(path, "rb") as file:
            head = file.read(16)
    except FileNotFoundError:
        raise VideoError(path, "no such file") from None
    except OSError as error:
        raise VideoError(path, f"cannot be read ({error.strerror})") from None
    if not head:
        raise VideoError(path, "the file is empty")
    if head[4:8] == b"ftyp" and (kind := _BRANDS.get(head[8:12])):
        raise VideoError(path, f"{kind}, not a video")
    for magic, kind in _NOT_VIDEO.items():
        if head.startswith(magic):
            raise VideoError(path, f"{kind}, not a video")


def _open(path, time_limit: float, begun: float, start: int):
    """A `VideoReader` that begins at or before the frame `start`."""
    from tfvid.data.decode.reader import VideoReader  # here: only processes that decode load FFmpeg's libraries

    video = VideoReader(path, time_limit, begun)
    if start == 0 or video.seek(start):
        return video
    video.close()
    return VideoReader(path, time_limit, begun)


def _pick(video, wanted, stop: int | None, size) -> tuple[dict[int, np.ndarray], int]:
    """Decodes up to the frame `stop` or the end.

    The wanted frames are kept as they are decoded, then converted and resized together. In a prototype,
    decoding and resizing in turns was slower: each evicts the other's data from the processor's caches.

    Returns:
      The wanted frames, by index, in one block of memory; one past the last frame decoded.
    """
    wanted, count = set(wanted), video.first
    held: dict = {}
    frames: dict[int, np.ndarray] = {}
    block = np.empty((len(wanted), *size, 3), np.uint8)
    for frame in video.frames():
        if count in wanted:
            held[count] = frame
            if len(held) * frame.height * frame.width > MOST_HELD:
                _convert(video, held, frames, block)
        count += 1
        if count == stop:
            break
    _convert(video, held, frames, block)
    return frames, count


def _convert(video, held: dict, frames: dict[int, np.ndarray], block: np.ndarray) -> None:
    """Moves the decoded frames from `held` to `frames`, as resized RGB in the next places of `block`."""
    for index, frame in held.items():
        frames[index] = block[len(frames)]
        resize_into(frames[index], video.rgb(frame))
    held.clear()


def _as_clip(frames: dict[int, np.ndarray], wanted: np.ndarray) -> np.ndarray:
    """The wanted frames as one array: their block as it is, where it holds those and no others."""
    if list(frames) == wanted.tolist():
        block = frames[wanted[0]].base
        assert block is not None  # frames are views of it
        return block
    return np.stack([frames[i] for i in wanted])
