"""Writes one shard: reads its clips in parallel, encodes them, and lists them in a note beside it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import tensorflow as tf

from tfvid.core.engine.base import Shard
from tfvid.core.errors import VideoError
from tfvid.data.decode.clip import Clip, Sample
from tfvid.data.decode.worker import DecodePool
from tfvid.data.records.schema import note_file, write_json, writing


class WriteShard:
    """Writes one shard and the note beside it, as work for an engine. A context that ends its decode processes.

    Pickling leaves the dataset out; the other process makes its own with `rebuild`.

    Args:
      folder: the folder of the split.
      num_frames: T, frames of a stored clip.
      size: (H, W) of its frames in pixels.
      quality: JPEG quality, 1 to 100.
      workers: decode processes.
      time_limit: seconds that decoding one clip may take.
      dataset: the dataset of the samples.
      rebuild: makes the dataset in another process, once per process; None if there is no other process.

    Attributes:
      bad: called with the id of each clip that cannot be read, and the reason.
      damaged: called with the id of each clip of a damaged file, and the damage.
    """

    def __init__(self, folder: Path, num_frames, size, quality, workers, time_limit, dataset, rebuild):
        self.folder, self.num_frames, self.size, self.quality = folder, num_frames, size, quality
        self.workers, self.time_limit, self.dataset, self.rebuild = workers, time_limit, dataset, rebuild
        self.bad: Callable[[str, str], None] = _nothing
        self.damaged: Callable[[str, str], None] = _nothing
        self._pool: DecodePool | None = None

    def __getstate__(self):
        return vars(self) | {"dataset": None, "bad": _nothing, "damaged": _nothing, "_pool": None}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._pool is not None:
            self._pool.close()

    def __call__(self, shard: Shard, progress) -> dict:
        """Writes `shard` and returns its note: the clips in it, and the skipped clips with the reasons."""
        if self._pool is None:
            self._pool = DecodePool(self.dataset or self.rebuild(), self.workers, self.time_limit)
        note: dict[str, Any] = {"file": shard.name, "asked": len(shard.items)}
        note |= {"clips": [], "skipped": {}, "damaged": {}}
        file = self.folder / shard.name
        encode_one = partial(_encode_one, self._pool, self.num_frames, self.size, self.quality)
        with (
            ThreadPoolExecutor(self.workers) as threads,
            writing(file) as temporary,
            tf.io.TFRecordWriter(str(temporary)) as writer,
        ):
            for sample, record, damage, reason in threads.map(encode_one, shard.items):
                if record is None:
                    note["skipped"][sample.id] = reason
                    self.bad(sample.id, reason)
                else:
                    writer.write(record)
                    note["clips"].append([sample.id, sample.label])
                    if damage:
                        note["damaged"][sample.id] = damage
                        self.damaged(sample.id, damage)
                progress(1)
        note["bytes"] = file.stat().st_size
        write_json(note_file(self.folder, shard.name), note)
        return note


def _nothing(id: str, words: str):
    pass


def encode(sample: Sample, clip: Clip, quality: int) -> bytes:
    """Returns a clip as a serialized `tf.train.Example`; equal clips give equal bytes."""
    jpegs = []
    for frame in clip.frames:
        _, jpeg = cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        jpegs.append(jpeg.tobytes())
    features = {
        "frames": tf.train.Feature(bytes_list=tf.train.BytesList(value=jpegs)),
        "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[sample.label])),
        "id": tf.train.Feature(bytes_list=tf.train.BytesList(value=[sample.id.encode()])),
        "event": tf.train.Feature(int64_list=tf.train.Int64List(value=clip.event)),
        "boxes": tf.train.Feature(float_list=tf.train.FloatList(value=clip.boxes.ravel())),
    }
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return example.SerializeToString(deterministic=True)


def _encode_one(pool: DecodePool, num_frames: int, size, quality: int, sample: Sample):
    """(sample, record or None, damage, the reason if there is no record)."""
    try:
        clip = pool.read(sample, num_frames, size)
    except VideoError as error:
        return sample, None, "", error.reason
    return sample, encode(sample, clip, quality), clip.damage, ""
