"""Small videos for tests, each frame of one grey that says which frame it is."""

import struct
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

FOURCC = {".avi": "MJPG", ".mp4": "mp4v", ".webm": "VP80", ".mkv": "XVID"}
STEP = 10


def write_video(path, num_frames: int, size=(32, 48), first: int = 0) -> Path:
    """Writes `num_frames` frames of (H, W) pixels; frame i has the grey level `STEP * (first + i)`."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    fourcc = cv2.VideoWriter_fourcc(*FOURCC[path.suffix])
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, fourcc, 25.0, (size[1], size[0]))
    assert writer.isOpened(), f"OpenCV cannot write {path}"
    for i in range(num_frames):
        writer.write(np.full((*size, 3), STEP * (first + i), np.uint8))
    writer.release()
    return path


def write_frames(folder, numbers, name: str = "{:06d}.png", size=(32, 48)) -> Path:
    """Writes a folder of pictures of (H, W) pixels; the picture of number i has the grey level `STEP * i`, i <= 25."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for i in numbers:
        Image.fromarray(np.full((*size, 3), STEP * i, np.uint8)).save(folder / name.format(i))
    return folder


def frame_numbers(frames: np.ndarray) -> list[int]:
    """Which frames these are, uint8 (T, H, W, 3)."""
    return [round(level / STEP) for level in frames.mean((1, 2, 3))]


def patch(path: Path, after: bytes, offset: int, form: str, *values) -> None:
    """Overwrites what stands `offset` bytes behind each `after`."""
    data = bytearray(path.read_bytes())
    place = data.find(after)
    assert place >= 0
    while place >= 0:
        struct.pack_into(form, data, place + len(after) + offset, *values)
        place = data.find(after, place + 1)
    path.write_bytes(data)


def set_avi_length(path: Path, frames: int) -> None:
    """Makes an AVI's headers claim `frames` frames."""
    patch(path, b"avih", 4 + 16, "<I", frames)  # dwTotalFrames
    patch(path, b"strh", 4 + 32, "<I", frames)  # dwLength


DAMAGED = """
import numpy as np
from tfvid.data.base import Clip, Sample, VideoDataset

class Mine(VideoDataset):
    class_names = {class_names!r}

    def samples(self, split):
        return [Sample(f"{{split}}-{{number}}", number % {classes}) for number in range({clips})]

    def read(self, sample, num_frames, size):
        frames = np.zeros((num_frames, *size, 3), np.uint8) + 20 * np.arange(num_frames)[:, None, None, None]
        damage = {damage!r} if sample.id in {damaged!r} else ""
        return Clip(frames.astype(np.uint8), damage=damage)
"""


def damaged_dataset(folder: Path, damaged, clips: int, class_names=("a", "b"), damage: str = "ends\nearly") -> str:
    """A dataset of `clips` clips a split, called "<split>-0", ...; those in `damaged` come from damaged files."""
    text = DAMAGED.format(
        damaged=tuple(damaged), clips=clips, class_names=tuple(class_names), classes=len(class_names), damage=damage
    )
    (folder / "mine.py").write_text(text)
    return f"{folder / 'mine.py'}:Mine"
