"""Any video files, named one by one."""

import hashlib
from pathlib import Path

from tfvid.data.base import Sample, VideoDataset

VIDEOS = "videos"  # the one split of files named one by one


class VideoFiles(VideoDataset):
    """Any video files, without labels.

    Args:
      paths: of the files.
    """

    class_names = ()
    splits = (VIDEOS,)

    def __init__(self, paths: list[str]):
        files = dict.fromkeys(Path(path).absolute() for path in paths)
        self._samples = [Sample(_file_id(file), -1, str(file)) for file in files]

    def samples(self, split: str) -> list[Sample]:
        return list(self._samples)


def _file_id(file: Path) -> str:
    """The file's name, and what tells it from another file of that name or from what it held before."""
    state = [str(file)]
    if file.exists():
        state += [str(file.stat().st_size), str(file.stat().st_mtime_ns)]
    return f"{file.stem}-{hashlib.sha256(' '.join(state).encode()).hexdigest()[:8]}"
