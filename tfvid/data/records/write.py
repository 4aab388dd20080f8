"""Writes the shards of one split, and continues where an earlier run stopped.

The clips of each shard are fixed before the first clip is read: consecutive runs of `shard_size` samples. A run that
was killed therefore continues with the missing shards, and its result has the same bytes. A shard appears under its
name only when it is complete.
"""

import fcntl
import os
from contextlib import contextmanager
from pathlib import Path

from tfvid.core.engine.base import Engine, Shard
from tfvid.core.engine.local import Local
from tfvid.core.errors import DataError
from tfvid.core.stopping import stop_if_asked
from tfvid.data.base import VideoDataset
from tfvid.data.decode.clip import Sample
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
)
from tfvid.data.records.write_shard import WriteShard
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
      progress: called with the numbers of finished, of all and of skipped clips: after each clip, or after each shard
        if another process writes it.
      engine: runs the work; None writes the shards in this process, one after the other.
      rebuild: for an engine with other processes: a function that can be pickled and makes the dataset there.

    Returns:
      The manifest.

    Raises:
      DataError: the folder was made with other settings, its other splits have other classes, another process writes
        to it, a shard cannot be written (a full disk), more than `max_bad_share` of the clips cannot be read, or more
        than `max_damaged_share` come from damaged files. Complete shards are kept.
    """
    samples, folder = dataset.samples(split), Path(folder) / split
    settings = settings_of(dataset, split, samples, num_frames, size, shard_size, quality)
    _check_other_splits(folder, settings)
    folder.mkdir(parents=True, exist_ok=True)
    work = WriteShard(folder.absolute(), num_frames, size, quality, workers, time_limit, dataset, rebuild)
    with _only_writer(folder), work:
        notes = _finished(folder, settings)
        log = _log_of(notes, len(samples), max_bad_share, max_damaged_share)
        shards = _shards(samples, shard_size)
        missing = [shard for shard in shards if shard.name not in notes]
        notes |= _write(work, missing, engine or Local(retries=0), log, progress)
        return _finish(folder, settings, [notes[shard.name] for shard in shards])


def _shards(samples: list[Sample], shard_size: int) -> list[Shard]:
    """Returns all shards of a split, in order."""
    names = shard_names(len(samples), shard_size)
    return [Shard(name, tuple(samples[n * shard_size : (n + 1) * shard_size])) for n, name in enumerate(names)]


def _log_of(notes: dict[str, dict], total: int, max_bad_share: float, max_damaged_share: float) -> SkipLog:
    """Returns a log of the bad and damaged clips in the `notes` of complete shards."""
    log = SkipLog(total, max_bad_share)
    log.max_damaged_share = max_damaged_share
    for note in notes.values():
        log.reasons.update(note["skipped"])
        for id, damage in damage_of(note).items():
            log.damage(id, damage)
        log.seen += note["asked"]
    return log


def _write(work: WriteShard, shards: list[Shard], engine: Engine, log: SkipLog, progress) -> dict[str, dict]:
    """Writes `shards`, lists their bad and damaged clips in `log`, and returns their notes by name."""
    done, notes = log.seen, {}
    progress(done, log.total, len(log.reasons))

    def step(clips):
        nonlocal done
        done += clips
        if clips:  # 0 at the end of a shard whose clips are all counted
            progress(done, log.total, len(log.reasons))

    work.bad, work.damaged = log.bad, log.damage  # in this process, clips count at once; in others, after their shard
    for end in engine.run(work, shards, step):
        if end.error:
            raise DataError(f"{work.folder / end.shard.name}: cannot be written ({end.error})")
        for id, reason in end.value["skipped"].items():
            if id not in log.reasons:
                log.bad(id, reason)
        for id, damage in end.value["damaged"].items():
            log.damage(id, damage)
        notes[end.shard.name] = end.value
        stop_if_asked()
    return notes


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
