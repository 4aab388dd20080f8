"""From a video file to the frames of a clip, with OpenCV.

How it decodes, and why (measured: docs/performance.md):

* Frames are grabbed one after another and only the wanted ones are retrieved: seeking is up to ten times slower.
* One FFmpeg thread a file. With more, damaged H.264 decodes differently every time. Work is spread over clips.
* The header's frame count is tried first and never trusted: every frame asked for is decoded up to the end, and
  where the count was wrong the frames are picked again.
"""

import os
import stat
import time

import numpy as np

# Broken files are an error of ours, in one line, and not FFmpeg's running commentary. Set these to see it.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
import cv2  # noqa: E402  (it reads the level when it is imported)

from tfvid.data.base import Clip  # noqa: E402
from tfvid.data.confined import complained  # noqa: E402
from tfvid.data.resize import resize_into  # noqa: E402
from tfvid.data.sampling import even_indices  # noqa: E402
from tfvid.errors import TfvidError, VideoError  # noqa: E402

# A frame may have 8192 x 8192 pixels: twice an 8K frame, and about 600 MB while it is decoded and converted. A
# few bytes of header can ask for far more.
MAX_PIXELS = 8192 * 8192

# FFmpeg opens these too, as a one-frame video or by following what they name.
_NOT_VIDEO = {
    b"ID3": "audio only",
    b"fLaC": "audio only",
    b"\x89PNG": "a still image",
    b"\xff\xd8\xff": "a still image",
    b"#EXTM3U": "a playlist",
    b"ffconcat": "a playlist",
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

    For files from strangers read it in a decode process (`tfvid.data.worker`): only there is memory limited, does a
    crash cost one clip, and is it noticed when OpenCV cannot convert a frame (`tfvid.data.confined`).

    Args:
      path, num_frames, size, start, stop: see `tfvid.read_clip`.
      seek: go to `start` by the container's index, where it has one that leads there, instead of decoding all that is
        before: for parts of long videos. Exact where all frames last equally long; otherwise some frames off.
      time_limit: seconds. It is looked at between frames; a decoder that hangs inside one is FFmpeg's to
        interrupt. `tfvid.data.worker` sets a limit that holds whatever the decoder does.

    Returns:
      A `Clip`; `decoded` counts the frames in the range. Its `damage` says so when those are at least two fewer than
      the header names: where a container stores no count, OpenCV rounds duration times rate, which can be
      one too many. Truncation and a variable frame rate cannot be told apart.

    Raises:
      VideoError: as in `tfvid.read_clip`, or the time limit has passed.
    """
    check_range(path, num_frames, size, start, stop)
    check_file(path)
    deadline = time.monotonic() + time_limit

    capture, first = _open(path, time_limit, start if seek else 0)
    header = capture.get(cv2.CAP_PROP_FRAME_COUNT)  # may be 0, -1 or -9e18
    promised = int(min(header, stop or header)) - start
    guess = start + even_indices(promised, num_frames) if promised > 0 else ()
    frames, count = _pick(capture, path, guess, first, stop, size, deadline, time_limit)

    decoded = count - start
    if count == 0:
        raise VideoError(path, "no frame can be decoded")
    if decoded <= 0:
        raise VideoError(path, f"it has {count} frames, the clip starts at frame {start}")
    wanted = start + even_indices(decoded, num_frames)
    if not frames.keys() >= set(wanted):
        capture, first = _open(path, time_limit, first)
        frames, _ = _pick(capture, path, wanted, first, wanted[-1] + 1, size, deadline, time_limit)
        if not frames.keys() >= set(wanted):
            raise VideoError(path, "it gives other frames when it is decoded again")
    short = f"gives {decoded} of the {promised} frames that its header names" if decoded < promised - 1 else ""
    return Clip(_as_clip(frames, wanted), decoded=decoded, damage=short)


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
    if head[4:11] == b"ftypM4A":
        raise VideoError(path, "audio only, not a video")
    for magic, kind in _NOT_VIDEO.items():
        if head.startswith(magic):
            raise VideoError(path, f"{kind}, not a video")


def _open(path, time_limit: float, start: int = 0) -> tuple[cv2.VideoCapture, int]:
    """The file, and the frame that comes next: `start`, or 0 where its index does not lead there."""
    milliseconds = int(time_limit * 1000) + 1
    options = {
        cv2.CAP_PROP_N_THREADS: 1,
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC: milliseconds,
        cv2.CAP_PROP_READ_TIMEOUT_MSEC: milliseconds,
    }
    # An absolute path cannot be taken for a protocol ("concat:..."). In bytes, since OpenCV crashes on a str that is
    # not valid Unicode: Python's form of a name that is not text in the locale's encoding.
    flat = [value for option in options.items() for value in option]
    capture = cv2.VideoCapture(os.fsencode(os.path.abspath(path)), cv2.CAP_FFMPEG, flat)
    if not capture.isOpened():
        raise VideoError(path, "no video stream that can be opened (not a video, audio only, or a broken header)")
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)  # the default of some releases only
    height, width = capture.get(cv2.CAP_PROP_FRAME_HEIGHT), capture.get(cv2.CAP_PROP_FRAME_WIDTH)
    if height * width > MAX_PIXELS:
        raise VideoError(path, f"frames of {height:.0f} x {width:.0f} pixels; at most {MAX_PIXELS} are decoded")
    if start == 0:
        return capture, 0
    if capture.set(cv2.CAP_PROP_POS_FRAMES, start) and round(capture.get(cv2.CAP_PROP_POS_FRAMES)) == start:
        return capture, start
    return _open(path, time_limit)


def _pick(capture, path, wanted, first, stop, size, deadline, time_limit) -> tuple[dict[int, np.ndarray], int]:
    """Decodes from the frame `first`, which comes next, up to `stop` or the end.

    Returns:
      The wanted frames, by index, in one block of memory; one past the last frame decoded.
    """
    wanted, frames, count = set(wanted), {}, first
    block = np.empty((len(wanted), *size, 3), np.uint8)
    while stop is None or count < stop:
        if time.monotonic() > deadline:
            raise VideoError(path, f"not decoded within {time_limit:g} s")
        grabbed = capture.grab()
        complained()  # about damage, which is decoded as well as can be
        if not grabbed:
            break
        if count in wanted:
            frames[count] = block[len(frames)]
            resize_into(frames[count], _retrieve(capture, path, count))
        count += 1
    return frames, count


def _as_clip(frames: dict[int, np.ndarray], wanted: np.ndarray) -> np.ndarray:
    """The wanted frames as one array: their block as it is, where it holds those and no others."""
    if list(frames) == wanted.tolist():
        return frames[wanted[0]].base
    return np.stack([frames[i] for i in wanted])


def _retrieve(capture, path, index: int) -> np.ndarray:
    """The grabbed frame, turned upright by its rotation mark, uint8 (H, W, 3), RGB."""
    try:
        ok, frame = capture.retrieve()
    except cv2.error:
        ok = False
    if not ok:
        raise VideoError(path, f"frame {index} cannot be converted")
    if complained():
        raise VideoError(
            path,
            f"OpenCV {cv2.__version__} cannot convert frame {index} to RGB; if the video is interlaced, make it "
            "progressive (ffmpeg -i VIDEO -vf bwdif OUT.mp4)",
        )
    return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
