"""Decodes the frames of a clip from a video file, with FFmpeg's libraries through PyAV.

* Frames are decoded one after another, and only the chosen ones are converted to RGB.
* The frame count in the header is a first guess. All frames of the range are decoded; if the count was wrong, the
  frames are chosen again.
* Frames are resized like OpenCV's `INTER_AREA` (`tfvid.data.decode.resize`).
"""

import os
import stat
import time

import numpy as np

# OpenCV writes films, and data sets of users may read with it. These hide the messages of its FFmpeg; set them to see
# the messages.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")

from tfvid.core.errors import TfvidError, VideoError
from tfvid.core.sampling import even_indices
from tfvid.data.decode.clip import Clip
from tfvid.data.decode.resize import resize_into

MOST_HELD = 1 << 23  # pixels of the decoded frames that are not converted yet; 12 MB of 8-bit YUV

# FFmpeg also opens these: as a video of one frame, or by opening the files that they name.
_NOT_VIDEO = {
    b"ID3": "audio only",
    b"fLaC": "audio only",
    b"\x89PNG": "a still image",
    b"\xff\xd8\xff": "a still image",
    b"#EXTM3U": "a playlist",
    b"ffconcat": "a playlist",
}
_BRANDS = {  # of MP4 and related formats, after "ftyp"
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
    """Decodes a clip like `tfvid.read_clip`, as uint8, in this process, and reports the damage of the file.

    Read untrusted files in a decode process (`tfvid.data.decode.worker`): only there the memory is limited, and a crash
    costs one clip (`tfvid.data.decode.confined`).

    Args:
      path: see `tfvid.read_clip`.
      num_frames: see `tfvid.read_clip`.
      size: see `tfvid.read_clip`.
      start: see `tfvid.read_clip`.
      stop: see `tfvid.read_clip`.
      time_limit: seconds. It is checked between frames and while the file is read; a decoder that hangs inside a frame
        is not interrupted. The limit of `tfvid.data.decode.worker` holds in any case.
      seek: whether decoding begins at the keyframe before `start`, for parts of long videos. The frames are the same.
        Only MP4 and MOV files have the index for this; others are decoded from their first frame.

    Returns:
      A `Clip`. `decoded` is the number of frames in the range. `damage` covers the part that was read: packets or
      frames that FFmpeg reports as damaged, and, if the range ends with the file, a file that is cut off or has fewer
      frames than its index. A variable frame rate and frames that an edit list leaves out are not damage.

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
    """Raises an error if a clip has no frames, no pixels or an empty range."""
    if num_frames < 1 or min(size) < 1:
        raise TfvidError(f"num_frames and size must be 1 or more, got {num_frames} and {tuple(size)}")
    if start < 0 or (stop is not None and stop <= start):
        raise VideoError(path, f"no frames in the range from {start} to {stop}")


def check_file(path):
    """Raises VideoError for files that FFmpeg must not open: a FIFO blocks, a playlist names other files."""
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
    """Opens a `VideoReader` that begins at or before the frame `start`."""
    from tfvid.data.decode.reader import VideoReader  # FFmpeg is loaded when it is needed

    video = VideoReader(path, time_limit, begun)
    if start == 0 or video.seek(start):
        return video
    video.close()
    return VideoReader(path, time_limit, begun)


def _pick(video, wanted, stop: int | None, size) -> tuple[dict[int, np.ndarray], int]:
    """Decodes up to the frame `stop` or the end.

    The wanted frames are first decoded, then converted and resized together. In a prototype, resizing each frame after
    it was decoded was slower: decoding and resizing remove each other's data from the caches of the processor.

    Returns:
      The wanted frames, by index, in one block of memory; one past the last decoded frame.
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
    """Moves the decoded frames from `held` to `frames`, as resized RGB in the next free places of `block`."""
    for index, frame in held.items():
        frames[index] = block[len(frames)]
        resize_into(frames[index], video.rgb(frame))
    held.clear()


def _as_clip(frames: dict[int, np.ndarray], wanted: np.ndarray) -> np.ndarray:
    """Returns the wanted frames as one array: their block itself, if it has exactly these frames."""
    if list(frames) == wanted.tolist():
        block = frames[wanted[0]].base
        assert block is not None  # frames are views of it
        return block
    return np.stack([frames[i] for i in wanted])
