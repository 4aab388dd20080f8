"""Writes the shards of one split, and continues where an earlier run stopped.

The clips of each shard are fixed before the first clip is read: consecutive runs of `shard_size` samples. A run that
was killed therefore continues with the missing shards, and its result has the same bytes. A shard appears under its
name only when it is complete.
"""

import fcntl
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import tensorflow as tf

from tfvid.core.engine.base import Engine, Shard
from tfvid.core.engine.local import Local
from tfvid.core.errors import DataError, VideoError
from tfvid.core.stopping import stop_if_asked
from tfvid.data.base import VideoDataset
from tfvid.data.decode.clip import Clip, Sample
from tfvid.data.decode.worker import DecodePool
from tfvid.data.records.schema import (
    MANIFEST,
    SETTINGS,
    check_note,
    check_splits_agree,
    damage_of,
    note_file,
    read_json,
    read_manifest,
    settings_of,
    shard_names,
    write_json,
    writing,
)
from tfvid.data.skipped import SkipLog


def write_records(
    dataset: VideoDataset,
    split: str,
    folder,
    *,
    num_frames: int,
    size: tuple[int, int],
    shard_size: int = 256,
    quality: int = 90,
    workers: int = 1,
    time_limit: float = 60.0,
    max_bad_share: float = 0.1,
    max_damaged_share: float = 1.0,
    progress=lambda done, total, skipped: None,
    engine: Engine | None = None,
    rebuild=None,
) -> dict:
    """Writes one split as shards; continues an earlier run with the same settings.

    Args:
      dataset: the dataset whose clips are stored.
      split: one of its splits.
      folder: the shards are written to the folder ``<folder>/<split>``, which is made.
      num_frames: T, frames of a stored clip.
      size: (H, W) of its frames in pixels.
      shard_size: clips per shard.
      quality: JPEG quality, 1 to 100.
      workers: decode processes for each shard that is being written.
      time_limit: seconds that decoding one clip may take.
      max_bad_share: the largest share of clips that may be unreadable, 0 to 1.
      max_damaged_share: the largest share of clips that may come from damaged files, 0 to 1; 1 is no limit.
      progress: called with the number of finished clips, of all clips and of skipped clips: after each clip, or after
        each shard if another process writes it.
      engine: runs the work; None writes the shards in this process, one after the other.
      rebuild: for an engine with other processes: a function that can be pickled and makes the dataset there.

    Returns:
      The manifest.

    Raises:
      DataError: the folder was made with other settings, its other splits have other classes, another process writes
        to it, a shard cannot be written (a full disk), more than `max_bad_share` of the clips cannot be read, or more
        than `max_damaged_share` come from damaged files. Complete shards are kept.
    """
    samples = dataset.samples(split)
    folder = Path(folder) / split
    settings = settings_of(dataset, split, samples, num_frames, size, shard_size, quality)
    _check_other_splits(folder, settings)
    folder.mkdir(parents=True, exist_ok=True)
    with _only_writer(folder):
        finished = _finished(folder, settings)
        log = SkipLog(len(samples), max_bad_share)
        log.max_damaged_share = max_damaged_share
        for note in finished.values():
            log.reasons.update(note["skipped"])
            for id, damage in damage_of(note).items():
                log.damage(id, damage)
        done = sum(note["asked"] for note in finished.values())
        progress(done, len(samples), len(log.reasons))
        names = shard_names(len(samples), shard_size)
        chunks = [samples[number * shard_size : (number + 1) * shard_size] for number in range(len(names))]
        shards = [Shard(name, tuple(chunk)) for name, chunk in zip(names, chunks, strict=True) if name not in finished]

        def step(clips):
            nonlocal done
            done += clips
            if clips:  # 0 at the end of a shard whose clips are all counted
                progress(done, len(samples), len(log.reasons))

        with WriteShard(folder.absolute(), num_frames, size, quality, workers, time_limit, dataset, rebuild) as work:
            work.bad, work.damaged = (
                log.bad,
                log.damage,
            )  # in this process, clips count at once; in others, after their shard
            for end in (engine or Local(retries=0)).run(work, shards, step):
                if end.error:
                    raise DataError(f"{folder / end.shard.name}: cannot be written ({end.error})")
                for id, reason in end.value["skipped"].items():
                    if id not in log.reasons:
                        log.bad(id, reason)
                for id, damage in end.value["damaged"].items():
                    log.damage(id, damage)
                finished[end.shard.name] = end.value
                stop_if_asked()
        return _finish(folder, settings, [finished[name] for name in names])


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
        self.bad = self.damaged = _nothing
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
        note: dict[str, Any] = {
            "file": shard.name,
            "asked": len(shard.items),
            "clips": [],
            "skipped": {},
            "damaged": {},
        }
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


def _finished(folder: Path, settings: dict) -> dict[str, dict]:
    """Returns the notes of complete shards, by shard. Removes the incomplete files of an interrupted run."""
    plan = folder / SETTINGS
    manifest = read_manifest(folder / MANIFEST, missing_ok=True)
    made_with = manifest["settings"] if manifest else read_json(plan) if plan.exists() else None
    if made_with is None:
        write_json(plan, settings)
        made_with = settings
    _check_same(folder, made_with, settings)
    for left in folder.glob(".*-shard-*"):
        left.unlink()
    notes = {note["file"]: note for note in (manifest["shards"] if manifest else ())}
    for file in folder.glob("shard-*.json"):
        note = read_json(file)
        check_note(note, file)
        notes[note["file"]] = note
    sizes = {file.name: file.stat().st_size for file in folder.glob("shard-*.tfrecord")}
    return {name: note for name, note in notes.items() if sizes.get(name) == note["bytes"]}


def _check_other_splits(folder: Path, settings: dict):
    """Raises DataError if the splits beside `folder` that are complete have other classes."""
    files = [file for file in sorted(folder.parent.glob(f"*/{MANIFEST}")) if file.parent != folder]
    manifests = {file.parent.name: read_manifest(file, missing_ok=True) for file in files}
    about = {split: manifest["settings"]["dataset"] for split, manifest in manifests.items() if manifest}
    check_splits_agree(folder.parent, about | {folder.name: settings["dataset"]})


def _check_same(folder: Path, before: dict, now: dict):
    for old, new, prefix in ((before, now, ""), (before.get("dataset", {}), now["dataset"], "dataset ")):
        for name in new:
            if name != "dataset" and old.get(name) != new[name]:
                raise DataError(
                    f"{folder} was made with other settings: {prefix}{name} was {old.get(name)}, now {new[name]}; "
                    f"use another folder, or remove this one"
                )


def _finish(folder: Path, settings: dict, notes: list[dict]) -> dict:
    manifest = {
        "settings": settings,
        "clips": sum(len(note["clips"]) for note in notes),
        "bytes": sum(note["bytes"] for note in notes),
        "skipped": {id: reason for note in notes for id, reason in note["skipped"].items()},
        "damaged": {id: damage for note in notes for id, damage in damage_of(note).items()},
        "shards": notes,
    }
    write_json(folder / MANIFEST, manifest)
    for file in (*(note_file(folder, note["file"]) for note in notes), folder / SETTINGS):
        file.unlink(missing_ok=True)  # the manifest holds the same
    return manifest


@contextmanager
def _only_writer(folder: Path):
    """Locks the folder, because two runs would overwrite each other.

    The lock ends with the process, also with a killed one.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise DataError(f"{folder}: another process is writing to it") from None
    try:
        yield
    finally:
        os.close(handle)
