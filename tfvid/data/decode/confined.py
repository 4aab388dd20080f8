"""The limits of a decode process, which reads untrusted files.

* Memory: the parent checks the memory of its child (`held`) and ends it above `allowance`. The child itself cannot
  allocate more than twice that (`limit_memory`), which it could reach between two checks. An allocation that fails
  inside FFmpeg can look like the end of the file, so this limit is the second one.
* A crash leaves no core file: a thousand bad files would fill a disk.
* A data set of a user that reads videos with OpenCV opens them only as one of `CONTAINERS`, as
  `tfvid.data.decode.reader` does.

This is not a sandbox: an attacker who controls the decoder has the rights of the user (SECURITY.md).
"""

import os
import re
import resource
from pathlib import Path

MEMORY = 2 << 30  # bytes for one clip; a frame of `MAX_PIXELS` takes up to 1.2 GB (FFV1, RGB)

# The largest frame or picture: twice an 8K frame, about 600 MB while it is decoded and converted. A header of a few
# bytes can ask for far more.
MAX_PIXELS = 8192 * 8192

# The formats that may be opened, by FFmpeg's names: "mov" includes .mp4, "matroska" .webm, "mpeg" .vob. FFmpeg has some
# 350 more: it would draw a text file as pictures, open the files of a playlist, and read ``a%d.png`` as several files.
CONTAINERS = (
    *("mov", "matroska", "avi", "mpegts", "mpeg", "flv", "asf", "ogg", "mxf", "nut", "ivf", "dv", "rm", "gif"),
    *("mpegvideo", "m4v", "h264", "hevc", "obu", "yuv4mpegpipe"),  # bare streams of one codec
)
_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"


def confine():
    """Sets the limits of the process; called once, at the start of a decode process."""
    ours = f"format_whitelist;{','.join(CONTAINERS)}|protocol_whitelist;file"
    os.environ[_OPTIONS] = "|".join(filter(None, [os.environ.get(_OPTIONS), ours]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def allowance(num_frames: int, size: tuple[int, int]) -> int:
    """Returns the bytes that reading one clip may take: `MEMORY`, and four times the clip."""
    return MEMORY + 4 * num_frames * size[0] * size[1] * 3


def held(process: int) -> int:
    """Returns the private memory of a process in bytes; 0 if the system does not say."""
    try:
        _, resident, shared, *_ = Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return 0
    return (int(resident) - int(shared)) * resource.getpagesize()


def limit_memory(more: int):
    """Limits the memory of this process to its present size and `more` bytes."""
    try:
        data = re.search(r"VmData:\s*(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"))
    except OSError:
        return
    assert data is not None  # Linux lists VmData for every process
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (int(data[1]) * 1024 + more, hard))
