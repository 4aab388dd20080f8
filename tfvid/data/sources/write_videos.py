"""Writes a data set as video files, in the layout of Something-something v2.

So decoding, data sets and shards can be tried with the moving shapes.
"""

import json
from pathlib import Path

import cv2

from tfvid.core.errors import DataError
from tfvid.core.files import replacing
from tfvid.data.base import VideoDataset
from tfvid.data.sources.something import VIDEOS


def write_videos(dataset: VideoDataset, root, num_frames: int = 48, size=(240, 320), fps: float = 12.0) -> int:
    """Writes all clips of a data set as ``<root>/20bn-something-something-v2/<id>.webm`` (VP9), and the JSON lists.

    Args:
      dataset: the data set.
      root: the folder, which `tfvid.data.sources.something.SomethingSomething` can then read. Videos that exist are
        kept, so a run that was stopped can be continued.
      num_frames: number of frames of each clip.
      size: (H, W) of its frames in pixels.
      fps: frames a second of the videos.

    Returns:
      The number of videos that were written.

    Raises:
      DataError: OpenCV cannot write VP9, or the disk is full.
    """
    root = Path(root)
    (root / VIDEOS).mkdir(parents=True, exist_ok=True)
    written = 0
    for split in dataset.splits:
        records = []
        for sample in dataset.samples(split):
            name = dataset.class_names[sample.label]
            records.append({"id": sample.id, "label": name, "template": name, "placeholders": []})
            file = root / VIDEOS / f"{sample.id}.webm"
            if not file.exists():
                _write_video(dataset.read(sample, num_frames, size).frames, file, fps)
                written += 1
        _write_json(records, root / f"something-something-v2-{split}.json")
    labels = {name: str(label) for label, name in enumerate(dataset.class_names)}
    _write_json(labels, root / "something-something-v2-labels.json")
    return written


def _write_video(frames, file: Path, fps: float) -> None:
    height, width = frames.shape[1:3]
    with replacing(file) as temporary:
        writer = cv2.VideoWriter(str(temporary), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"VP90"), fps, (width, height))
        if not writer.isOpened():
            raise DataError(f"{file}: this build of OpenCV cannot write VP9 video")
        for frame in frames:
            writer.write(frame[..., ::-1].copy())
        writer.release()
        if not temporary.is_file() or not temporary.stat().st_size:
            raise DataError(f"{file}: nothing was written; the disk may be full")


def _write_json(value, file: Path) -> None:
    with replacing(file) as temporary:
        temporary.write_text(json.dumps(value, indent=1), encoding="utf-8")
