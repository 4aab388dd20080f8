"""What keeps a decode process, which reads files from strangers, within bounds; nothing here is for other processes.

* Memory: the parent looks at what its child holds (`held`) and ends it above `allowance`. Beyond twice that, which a
  clip could take between two looks, the child gets no more (`limit_memory`). An allocation that fails inside FFmpeg
  can look like the end of the file, so this limit comes second.
* A crash leaves no core file: a thousand bad files would fill a disk.
* A dataset of yours that reads videos with OpenCV opens them only as one of `CONTAINERS`, as
  `tfvid.data.decode.reader` does.

It is no sandbox: a decoder that is taken over can do what the user can. SECURITY.md says what that means.
"""

import os
import re
import resource
from pathlib import Path

MEMORY = 2 << 30  # bytes for one clip; a frame of the most pixels allowed takes up to 1.2 GB (FFV1, RGB)

# A frame or picture may have 8192 x 8192 pixels: twice an 8K frame, and about 600 MB while it is decoded and converted.
# A few bytes of header can ask for far more.
MAX_PIXELS = 8192 * 8192

# What may be opened, by FFmpeg's names: "mov" is .mp4 too, "matroska" .webm, "mpeg" .vob. FFmpeg knows some 350 formats
# more: it would draw a text file as pictures, open what a playlist names, and take ``a%d.png`` for a series of files.
CONTAINERS = (
    *("mov", "matroska", "avi", "mpegts", "mpeg", "flv", "asf", "ogg", "mxf", "nut", "ivf", "dv", "rm", "gif"),
    *("mpegvideo", "m4v", "h264", "hevc", "obu", "yuv4mpegpipe"),  # bare streams of one codec
)
_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"


def confine():
    """Sets what holds for the whole process; called once, at the start of a process that only decodes."""
    ours = f"format_whitelist;{','.join(CONTAINERS)}|protocol_whitelist;file"
    os.environ[_OPTIONS] = "|".join(filter(None, [os.environ.get(_OPTIONS), ours]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def allowance(num_frames: int, size: tuple[int, int]) -> int:
    """Bytes that reading one clip may take: `MEMORY`, and the clip as it is put together."""
    return MEMORY + 4 * num_frames * size[0] * size[1] * 3


def held(process: int) -> int:
    """Bytes of memory that are the process's own, 0 where the system does not say."""
    try:
        _, resident, shared, *_ = Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return 0
    return (int(resident) - int(shared)) * resource.getpagesize()


def limit_memory(more: int):
    """This process gets no more memory than it has now and `more` bytes."""
    try:
        data = re.search(r"VmData:\s*(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"))
    except OSError:
        return
    assert data is not None  # Linux lists VmData for every process
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (int(data[1]) * 1024 + more, hard))
