"""Any videos sorted into class folders."""

from pathlib import Path

from tfvid.data.base import Sample, VideoDataset
from tfvid.errors import DataError, unknown

SUFFIXES = {".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".ts", ".webm", ".wmv"}
SPLITS = ("train", "validation", "test")


class ClassFolders(VideoDataset):
    """Videos in class folders, the folder's name being the class.

    Either ``<root>/<split>/<class>/<video>`` with splits named train, validation and test, or
    ``<root>/<class>/<video>``, of which a share is held out for validation: in each class, in the order of
    file names and spread evenly over it.

    Args:
      root: the folder.
      validation_share: used only where there are no split folders; in [0, 1).

    Raises:
      DataError: no folder, no class folder or no video; the message names where it looked. Or a name that is not text
        (bytes that are no UTF-8), which neither a record nor a page could hold.
    """

    def __init__(self, root, *, validation_share=0.2):
        self.root = Path(root)
        if not self.root.is_dir():
            raise DataError(f"{self.root}: no such folder")
        if not 0 <= validation_share < 1:
            raise DataError(f"validation_share must be in [0, 1), got {validation_share}")
        self.share = validation_share
        self.split_folders = tuple(split for split in SPLITS if (self.root / split).is_dir())
        self.splits = self.split_folders or SPLITS[:2]
        parents = [self.root / split for split in self.split_folders] or [self.root]
        self.class_names = tuple(sorted({folder.name for parent in parents for folder in _folders(parent)}))
        if not self.class_names:
            raise DataError(f"{self.root}: no class folders in it")

    def samples(self, split: str) -> list[Sample]:
        if split not in self.splits:
            raise DataError(f"{self.root}: {unknown('split', split, self.splits)}")
        parent = self.root / split if self.split_folders else self.root
        samples = []
        for label, name in enumerate(self.class_names):
            videos = _videos(parent / name)
            if not self.split_folders:
                held_out = split == "validation"
                videos = [v for i, v in enumerate(videos) if self._is_held_out(i) == held_out]
            samples += [Sample(video.relative_to(self.root).as_posix(), label, str(video)) for video in videos]
        if not samples:
            raise DataError(f"{parent}: no video ({', '.join(sorted(SUFFIXES))}) in its class folders for {split!r}")
        return samples

    def _is_held_out(self, index: int) -> bool:
        """Every 1/share-th video, e.g. the 5th, 10th, ... for a share of 0.2."""
        return int((index + 1) * self.share + 1e-9) > int(index * self.share + 1e-9)


def _folders(parent: Path) -> list[Path]:
    return [_named(entry) for entry in parent.iterdir() if entry.is_dir() and not entry.name.startswith(".")]


def _videos(folder: Path) -> list[Path]:
    if not folder.is_dir():  # a class that this split does not have
        return []
    return sorted(_named(file) for file in folder.iterdir() if file.suffix.lower() in SUFFIXES)


def _named(path: Path) -> Path:
    try:
        path.name.encode()
    except UnicodeEncodeError:
        raise DataError(f"{path}: its name is not valid UTF-8; rename it") from None
    return path
