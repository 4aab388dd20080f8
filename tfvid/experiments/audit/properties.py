"""Properties of clips that should not matter: of the file, of its light and of the corners of its frames. In Parquet.

They are the candidates for shortcuts: what a model may use instead of what the class means (Geirhos et al., "Shortcut
Learning in Deep Neural Networks", Nature Machine Intelligence 2020).
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from tfvid.core.errors import VideoError
from tfvid.data.decode.clip import Sample
from tfvid.data.decode.worker import DecodePool, one_a_core
from tfvid.data.sources.original_frames import OriginalFrames
from tfvid.experiments.audit.scene import Scene
from tfvid.results.row_store import VERSION, RowStore

NAME = "clips"
CORNERS = ("top left", "top right", "bottom left", "bottom right")
LARGEST = (8192, 8192)  # (H, W): frames keep their own size


@dataclass(frozen=True)
class Properties:
    """The properties of a clip. A number that is not known is NaN, a text "".

    Attributes:
      file_size: bytes of the file, or of all pictures of a folder.
      frame_size: "320x240", width and height of the file's frames.
      frame_rate: frames per second.
      seconds: time from the first to the last frame of the clip.
      frames: number of frames of the clip in its file.
      brightness: the mean of all pixels, in [0, 1].
      corners: the mean colour of each corner, an eighth of height and width: 4 times (red, green, blue), in [0, 1].
      foreground: the share of the pixels that are foreground.
    """

    file_size: float
    frame_size: str
    frame_rate: float
    seconds: float
    frames: float
    brightness: float
    corners: tuple[float, ...]
    foreground: float


KINDS = {float: pa.float64(), str: pa.string(), tuple[float, ...]: pa.list_(pa.float64())}
SCHEMA = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("model", "id", "path")),
        pa.field("label", pa.int32()),
        *(pa.field(name, KINDS[kind]) for name, kind in Properties.__annotations__.items()),
    ],
    metadata={VERSION: "1"},
)


def store(folder) -> RowStore:
    """Returns the store ``clips.parquet`` in the folder of an audit."""
    return RowStore(folder, NAME, SCHEMA)


def rows(model: str, samples: Sequence[Sample], labels: np.ndarray, found: Sequence[Properties]) -> pa.Table:
    """Converts the properties of clips to rows of the store."""
    return pa.Table.from_pylist(
        [
            {"model": model, "id": sample.id, "path": sample.path, "label": int(label)} | asdict(of_clip)
            for sample, label, of_clip in zip(samples, labels, found, strict=True)
        ],
        SCHEMA,
    )


def read(folder, ids: Sequence[str]) -> list[Properties]:
    """Reads the properties of the clips `ids`, in this order."""
    names = list(Properties.__annotations__)
    of = {row["id"]: row for row in store(folder).read().to_pylist()}
    return [Properties(**{name: of[id][name] for name in names}) for id in ids]


class Files:
    """Reads the frame size, the frame rate and the length of video files, in child processes.

    Args:
      workers: number of processes; None for one for each processor core.
      time_limit: seconds to decode a file.
    """

    def __init__(self, workers: int | None = None, time_limit: float = 60.0):
        count = workers or one_a_core()
        self._pool = DecodePool(OriginalFrames(), count, time_limit)
        self._threads = ThreadPoolExecutor(count)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._threads.shutdown()
        self._pool.close()

    def read(self, samples: Sequence[Sample]) -> list[dict]:
        """Returns the properties of the files of samples; those that are not known are left out."""
        return list(self._threads.map(self._read, samples))

    def _read(self, sample: Sample) -> dict:
        if not sample.path:  # a generated clip
            return {}
        known: dict[str, float | str] = {"file_size": float(_size(Path(sample.path)))}
        try:
            clip = self._pool.read(sample, 2, LARGEST)
        except VideoError:  # the clip itself could be read, from shards or by a data set of a user
            return known
        height, width = clip.frames.shape[1:3]
        known |= {"frame_size": f"{width}x{height}", "frames": float(clip.decoded)}
        if len(clip.seconds) == 2 and clip.seconds[1] > clip.seconds[0]:
            seconds = clip.seconds[1] - clip.seconds[0]
            known |= {"seconds": seconds, "frame_rate": (clip.decoded - 1) / seconds}
        return known


def of_batch(samples: Sequence[Sample], clips: np.ndarray, scenes: Sequence[Scene], files: Files) -> list[Properties]:
    """Returns the properties of a batch of clips.

    Args:
      samples: of the clips.
      clips: float32 `(B, T, H, W, C)` in [0, 1].
      scenes: of the clips.
      files: reads those of the files.
    """
    unknown = dict.fromkeys(("file_size", "frame_rate", "seconds", "frames"), float("nan")) | {"frame_size": ""}
    return [
        Properties(
            **(unknown | of_file),
            brightness=float(clip.mean()),
            corners=corner_colours(clip),
            foreground=float(scene.foreground.mean()),
        )
        for clip, scene, of_file in zip(clips, scenes, files.read(samples), strict=True)
    ]


def corner_colours(clip: np.ndarray) -> tuple[float, ...]:
    """Returns the mean colour of each corner, in the order of `CORNERS`, over all frames: 4 C numbers.

    Args:
      clip: float32 `(T, H, W, C)`. A corner is an eighth of height and width, and at least one pixel.
    """
    height, width = (max(1, side // 8) for side in clip.shape[1:3])
    above, below, left, right = slice(height), slice(-height, None), slice(width), slice(-width, None)
    parts = [clip[:, rows, columns] for rows in (above, below) for columns in (left, right)]
    return tuple(float(value) for part in parts for value in part.mean(axis=(0, 1, 2)))


def _size(path: Path) -> int:
    """The bytes of a file, or of the files in a folder of frames; 0 if neither exists."""
    files = path.iterdir() if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
