"""What keeps a decode process, which reads files from strangers, within bounds; nothing here is for other processes.

* FFmpeg opens a file only as one of `CONTAINERS`. It knows some 350 formats more, and would draw a text file as
  pictures, open what a playlist names, and take the file name ``a%d.png`` for a series of files. (OpenCV 4.11 does not
  pass this on, by a mistake of that release: opencv/opencv#26793.)
* Memory: the parent looks at what its child holds (`held`) and ends it above `allowance`. Beyond twice that, which a
  clip could take between two looks, the child gets no more (`limit_memory`). An allocation that fails inside FFmpeg
  looks like the end of the file, so this limit comes second.
* A crash leaves no core file: a thousand bad files would fill a disk.
* FFmpeg's error messages go to a file in memory. Nobody reads them, but that there is one is at times all that tells
  of a failure: where OpenCV 4.13 to 5.0 cannot convert a frame, because it is interlaced, they return whatever was
  in their memory, as if all were well (`complained`).

It is no sandbox: a decoder that is taken over can do what the user can. SECURITY.md says what that means.
"""

import os
import re
import resource
import sys
from pathlib import Path

MEMORY = 2 << 30  # bytes for one clip; a frame of the most pixels allowed takes up to 1.2 GB (FFV1, RGB)

# By FFmpeg's names for what reads them: "mov" is .mp4 too, "matroska" .webm, "mpeg" .vob.
CONTAINERS = (
    *("mov", "matroska", "avi", "mpegts", "mpeg", "flv", "asf", "ogg", "mxf", "nut", "ivf", "dv", "rm", "gif"),
    *("mpegvideo", "m4v", "h264", "hevc", "obu", "yuv4mpegpipe"),  # bare streams of one codec
)
_OPTIONS, _LOG_LEVEL = "OPENCV_FFMPEG_CAPTURE_OPTIONS", "OPENCV_FFMPEG_LOGLEVEL"
_stderr: int | None = None  # a file in memory, in a confined process


def confine(messages: int):
    """Once, at the start of a process that only decodes.

    Args:
      messages: a file descriptor; what libraries write to stderr goes there. Python's `sys.stderr` stays where it was.
    """
    global _stderr
    ours = f"format_whitelist;{','.join(CONTAINERS)}|protocol_whitelist;file"
    os.environ[_OPTIONS] = "|".join(filter(None, [os.environ.get(_OPTIONS), ours]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if os.environ.get(_LOG_LEVEL) == "-8":  # `tfvid.data.video` sets it; whoever sets another wants to see messages
        del os.environ[_LOG_LEVEL]  # errors, as they come
        sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
        os.dup2(messages, 2)
        _stderr = messages


def complained() -> bool:
    """Whether a library wrote an error message since this was last asked; False in a process that is not confined."""
    return _stderr is not None and os.lseek(_stderr, 0, os.SEEK_CUR) != os.lseek(_stderr, 0, os.SEEK_SET)


def allowance(num_frames: int, size: tuple[int, int]) -> int:
    """Bytes that reading one clip may take: `MEMORY`, and the clip as it is put together."""
    return MEMORY + 4 * num_frames * size[0] * size[1] * 3


def held(process: int) -> int:
    """Bytes of memory that are the process's own, 0 where the system does not say."""
    try:
        _, resident, shared, *_ = Path(f"/proc/{process}/statm").read_text().split()
    except (OSError, ValueError):
        return 0
    return (int(resident) - int(shared)) * resource.getpagesize()


def limit_memory(more: int):
    """This process gets no more memory than it has now and `more` bytes."""
    try:
        data = re.search(r"VmData:\s*(\d+) kB", Path("/proc/self/status").read_text())
    except OSError:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (int(data[1]) * 1024 + more, hard))
