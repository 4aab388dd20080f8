"""Clips as sharded TFRecords: decoded and resized once, read many times.

A folder of shards holds, for each split, ``<split>/shard-00000-of-00012.tfrecord``, ... and ``manifest.json``.
Which clips a shard holds is decided before the first is read: consecutive runs of `shard_size` samples. So a run
that was killed goes on with the shards that are missing, and ends with the same bytes. A shard appears under its
name only when it is whole, and a note beside it (``shard-....json``) says what is in it; the manifest gathers the
notes at the end.
"""

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from functools import cached_property, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from tfvid.core.engine.base import Engine, Shard
from tfvid.core.engine.local import Local
from tfvid.core.errors import ConfigError, DataError, VideoError, unknown
from tfvid.core.files import replacing
from tfvid.core.stopping import stop_if_asked
from tfvid.data.base import VideoDataset
from tfvid.data.clip import Clip, Sample
from tfvid.data.decode.worker import DecodePool
from tfvid.data.skipped import SkipLog
from tfvid.data.sources.root import existing_folder

FORMAT = 1
MANIFEST = "manifest.json"
_SHARD = re.compile(r"shard-\d+-of-\d+\.tfrecord")

# Shards open at once and clips shuffled at once while training: enough to mix what lies together on disk, for
# about 100 MB of JPEG at 16 x 224 x 224.
SHUFFLED_SHARDS = 16
SHUFFLED_CLIPS = 512


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
    """Writes one split; goes on where an earlier run with the same settings was stopped.

    Args:
      folder: the split gets a folder of its own in it.
      shard_size: clips a shard.
      quality: of JPEG, 1 to 100.
      workers: decode processes, for each shard that is being written.
      progress: called after each clip, or each shard where that is elsewhere, with the number of clips done, of all
        clips, and of those skipped.
      engine: who writes the shards; None for this process, one after the other.
      rebuild: for an engine of other processes: a function that can be pickled and makes the dataset there.

    Returns:
      The manifest.

    Raises:
      DataError: the folder was made with other settings, another process writes to it, a shard cannot be written
        (a full disk), more than `max_bad_share` of the clips cannot be read, or more than `max_damaged_share` come
        from damaged files. Whole shards stay.
    """
    samples = dataset.samples(split)
    folder = Path(folder) / split
    folder.mkdir(parents=True, exist_ok=True)
    settings = _settings(dataset, split, samples, num_frames, size, shard_size, quality)
    with _only_writer(folder):
        finished = _finished(folder, settings)
        log = SkipLog(len(samples), max_bad_share)
        log.max_damaged_share = max_damaged_share
        for note in finished.values():
            log.reasons.update(note["skipped"])
            for id, damage in _damage_of(note).items():
                log.damage(id, damage)
        done = sum(note["asked"] for note in finished.values())
        progress(done, len(samples), len(log.reasons))
        names = shard_names(len(samples), shard_size)
        chunks = [samples[number * shard_size : (number + 1) * shard_size] for number in range(len(names))]
        shards = [Shard(name, tuple(chunk)) for name, chunk in zip(names, chunks, strict=True) if name not in finished]

        def step(clips):
            nonlocal done
            done += clips
            if clips:  # none where a shard ends and all of its clips have been counted
                progress(done, len(samples), len(log.reasons))

        with WriteShard(folder.absolute(), num_frames, size, quality, workers, time_limit, dataset, rebuild) as work:
            work.bad, work.damaged = log.bad, log.damage  # here: a clip counts at once; elsewhere: after its shard
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
    """Writing one shard and the note beside it, as work for an engine. A context that ends its decode processes.

    Sent to another process it leaves the dataset behind, and builds it there.

    Args:
      folder: of the split.
      num_frames, size, quality, workers, time_limit: see `write_records`.
      dataset: whose samples they are.
      rebuild: makes it again, once a process.

    Attributes:
      bad: called with id and reason of each clip that cannot be read.
      damaged: called with id and damage of each clip of a damaged file.
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
        """Returns the note: what is in the shard, what was skipped, and why."""
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
            _writing(file) as temporary,
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
        _write_json(_note_file(self.folder, shard.name), note)
        return note


def _nothing(id: str, words: str):
    pass


def shard_names(count: int, shard_size: int) -> list[str]:
    shards = -(-count // shard_size)
    return [f"shard-{i:05d}-of-{shards:05d}.tfrecord" for i in range(shards)]


class Records(VideoDataset):
    """A folder of shards as a dataset, with the classes, splits and labels of the one it was made from.

    Args:
      folder: as written by `write_records`; any path TensorFlow reads (``gs://`` too; ``s3://``, ``az://`` and
        ``http://`` with tensorflow-io, see `tfvid.data.decode.tfio`).

    Raises:
      DataError: no manifest in it, or one that is not ours.
    """

    def __init__(self, folder):
        self.folder = os.fspath(folder).rstrip("/")
        remote = "://" in self.folder
        if remote and not self.folder.startswith("gs://"):
            from tfvid.data.decode import tfio

            tfio.require()
        if not remote:
            existing_folder(self.folder)
        known = ("train", "validation", "test")
        listed = known if remote else sorted(p.parent.name for p in Path(self.folder).glob(f"*/{MANIFEST}"))
        found = {split: _read_manifest(f"{self.folder}/{split}/{MANIFEST}", missing_ok=remote) for split in listed}
        self.manifests = {split: manifest for split, manifest in found.items() if manifest}
        if not self.manifests:
            raise DataError(f"{self.folder}: no <split>/{MANIFEST} in it; scripts/prepare.py writes one when it ends")
        about = next(iter(self.manifests.values()))["settings"]["dataset"]
        self.class_names = tuple(about["class_names"])
        self.splits = tuple(split for split in (*known, *listed) if split in self.manifests)
        self.splits = tuple(dict.fromkeys(self.splits))
        self.max_boxes = about["max_boxes"]
        self.flip_labels = _int_keys(about["flip_labels"])
        self.reverse_labels = _int_keys(about["reverse_labels"])

    def check_options(self, options: Mapping):
        """Refuses options of a dataset that the shards were not made with: they would have no effect.

        Args:
          options: `DataConfig.options`.

        Raises:
          ConfigError: one line that names the first such option, what the shards were made with, and what to do.
        """
        for split, manifest in self.manifests.items():
            made_with = manifest["settings"]["dataset"].get("arguments")
            made_with = made_with if isinstance(made_with, list) else []
            for name, value in options.items():
                same = {f"{name}={value}"} | ({f"{name}={tuple(value)}"} if isinstance(value, list) else set())
                if same.isdisjoint(map(str, made_with)):
                    before = next((text for text in map(str, made_with) if text.startswith(f"{name}=")), f"no {name}")
                    raise ConfigError(
                        f"data.options.{name}={value} has no effect: clips are read from {self.folder}/{split}, which "
                        f"was made with {before}; data.options={{}} takes these shards as they are, and "
                        "data.records=null reads the dataset"
                    )

    def samples(self, split: str) -> list[Sample]:
        if split not in self.splits:
            raise DataError(f"{self.folder}: {unknown('split', split, self.splits)}")
        return [Sample(id, label) for shard in self.manifests[split]["shards"] for id, label in shard["clips"]]

    def read(self, sample: Sample, num_frames: int, size: tuple[int, int]) -> Clip:
        """Reads one clip out of its shard; in order, `stream` is much faster."""
        split, file, place = self._places[sample.id]
        self.check_shape(split, num_frames, size)
        try:
            record = next(iter(tf.data.TFRecordDataset(file).skip(place).take(1)))
        except (tf.errors.OpError, StopIteration):
            raise VideoError(file, f"the shard is truncated or corrupt at or before record {place}") from None
        fault = self._fault(split, record.numpy())
        if fault:
            raise VideoError(file, f"record {place}: {fault}")
        try:
            clip = self._parse(split, record)
        except tf.errors.OpError as error:  # a JPEG with a good header and nothing good behind it
            raise VideoError(file, f"record {place}: {' '.join(error.message.split())[:200]}") from None
        damage = clip["damage"].numpy().decode()
        frames, event, boxes = (clip[name].numpy() for name in ("clip", "event", "boxes"))
        return Clip(frames, event, boxes, damage=damage)

    def damaged(self, split: str) -> dict[str, str]:
        """What is wrong with the files that clips of `split` came from, by the clip's id; whole ones are not in it."""
        shards = self.manifests[split]["shards"]
        return {id: damage for shard in shards for id, damage in _damage_of(shard).items()}

    def check_shape(self, split: str, num_frames: int, size: tuple[int, int]):
        """Checks that the stored clips have this number and size of frames.

        Raises:
          DataError: the clips were stored with another number or size of frames.
        """
        settings = self.manifests[split]["settings"]
        stored = (settings["num_frames"], tuple(settings["size"]))
        if stored != (num_frames, tuple(size)):
            raise DataError(
                f"{self.folder}/{split}: its clips have {stored[0]} frames of {stored[1]}, "
                f"asked for {num_frames} of {tuple(size)}; prepare it again, or ask for those"
            )

    def stream(
        self, split: str, epoch: tf.Tensor, seed: int | None, workers: int, log: SkipLog, pick=lambda records: records
    ) -> tf.data.Dataset:
        """(clip, epoch) of all clips: in order, or, with a seed, shuffled by a pure function of (seed, epoch), int64.

        `pick` chooses among them before they are looked at, a function of datasets.

        A shard that ends early or does not match its checksums is read as far as it goes; the clips that were
        behind are skipped and listed in `log`, with the file's name.
        """
        shards = self.manifests[split]["shards"]
        files = [f"{self.folder}/{split}/{shard['file']}" for shard in shards]
        ids = [id for shard in shards for id, _ in shard["clips"]]
        shard_of = np.repeat(np.arange(len(files)), [len(shard["clips"]) for shard in shards])

        damaged = self.damaged(split)

        def note(index, record):
            fault = self._fault(split, record) if record else "truncated or corrupt"
            if fault:
                log.bad(ids[index], f"the shard {files[shard_of[index]]} is {fault}")
            else:
                log.good()
                if ids[index] in damaged:
                    log.damage(ids[index], damaged[ids[index]])
            return not fault

        def is_whole(record, index, epoch):
            return tf.ensure_shape(tf.numpy_function(note, [index, record], tf.bool), ())

        records = pick(self._pass(split, epoch, seed)).filter(is_whole)
        return records.map(lambda record, index, epoch: (self._parse(split, record), epoch), workers)

    def served(self, split: str, first_epoch: int, seed: int) -> tf.data.Dataset:
        """(clip, epoch) of this epoch and all later ones, in TensorFlow's own operations, as tf.data service wants.

        In the order of `stream`. Clips behind a shard's damage are left out without a word.
        """
        epochs = tf.data.Dataset.range(first_epoch, tf.int64.max)
        records = epochs.flat_map(lambda epoch: self._pass(split, epoch, seed))
        records = records.filter(lambda record, index, epoch: tf.strings.length(record) > 0)
        return records.map(lambda record, index, epoch: (self._parse(split, record), epoch), tf.data.AUTOTUNE)

    def _pass(self, split: str, epoch, seed: int | None) -> tf.data.Dataset:
        """(record, index, epoch) of all clips once; the record is empty where its shard ends early."""
        shards = self.manifests[split]["shards"]
        files = [f"{self.folder}/{split}/{shard['file']}" for shard in shards]
        counts = np.array([len(shard["clips"]) for shard in shards], np.int64)
        columns = (tf.constant(files), tf.constant(np.cumsum(counts) - counts), tf.constant(counts))
        if seed is None:
            records = tf.data.Dataset.from_tensor_slices(columns).flat_map(_one_shard)
        else:
            seeds = tf.stack([tf.constant(seed, tf.int64), epoch])
            shards = tf.data.Dataset.from_tensor_slices(_shuffled(columns, seeds))
            records = shards.interleave(_one_shard, cycle_length=SHUFFLED_SHARDS).batch(SHUFFLED_CLIPS)
            # Not `Dataset.shuffle`: with a seed that is known only now, it depends on TensorFlow's global one.
            records = records.map(lambda *batch: _shuffled(batch, tf.random.fold_in(seeds, batch[1][0]))).unbatch()
        return records.map(lambda record, index: (record, index, epoch))

    @cached_property
    def _places(self) -> dict[str, tuple[str, str, int]]:
        """id -> its split, its shard's path, its place in the shard."""
        return {
            id: (split, f"{self.folder}/{split}/{shard['file']}", place)
            for split, manifest in self.manifests.items()
            for shard in manifest["shards"]
            for place, (id, _) in enumerate(shard["clips"])
        }

    def _fault(self, split: str, record: bytes) -> str:
        """Why a record whose checksum is right is no clip all the same, made by somebody else's hand; "" where it is.

        JPEGs say here how large they will be: one of a few bytes can say 65,535 x 65,535 pixels.
        """
        settings = self.manifests[split]["settings"]
        try:
            example = tf.train.Example.FromString(record)
        except DecodeError:
            return "no shard of clips: a record is no tf.train.Example"
        features = example.features.feature
        frames, boxes = features["frames"].bytes_list.value, features["boxes"].float_list.value
        label, event = features["label"].int64_list.value, features["event"].int64_list.value
        counts = (len(frames), len(boxes), len(label), len(event), len(features["id"].bytes_list.value))
        expected = (settings["num_frames"], settings["num_frames"] * self.max_boxes * 4, 1, 2, 1)
        if counts != expected:
            return (
                f"no shard of clips: a record has {counts} frames, numbers of boxes, labels, ..., expected {expected}"
            )
        if not -1 <= label[0] < len(self.class_names):
            return f"no shard of these clips: a record has label {label[0]} of {len(self.class_names)} classes"
        sizes = {_jpeg_size(frame) for frame in frames}
        if sizes != {tuple(settings["size"])}:
            return f"no shard of these clips: a record has frames of {sorted(sizes)}, expected {settings['size']}"
        return ""

    def _parse(self, split: str, record) -> dict:
        settings = self.manifests[split]["settings"]
        num_frames, size = settings["num_frames"], settings["size"]
        features = {
            "frames": tf.io.FixedLenFeature([num_frames], tf.string),
            "label": tf.io.FixedLenFeature([], tf.int64),
            "id": tf.io.FixedLenFeature([], tf.string),
            "event": tf.io.FixedLenFeature([2], tf.int64),
            "boxes": tf.io.FixedLenFeature([num_frames, self.max_boxes, 4], tf.float32),
        }
        fields = tf.io.parse_single_example(record, features)
        frames = tf.map_fn(
            lambda jpeg: tf.io.decode_jpeg(jpeg, channels=3, dct_method="INTEGER_ACCURATE"),
            fields["frames"],
            fn_output_signature=tf.TensorSpec((*size, 3), tf.uint8),
        )
        return {
            "clip": frames,
            "label": tf.cast(fields["label"], tf.int32),
            "id": fields["id"],
            "event": tf.cast(fields["event"], tf.int32),
            "boxes": fields["boxes"],
            "damage": _looked_up(fields["id"], self.damaged(split)),
        }


def _looked_up(id: tf.Tensor, words: dict[str, str]) -> tf.Tensor:
    """The words of `id`, a scalar string; "" where there are none."""
    # Not a lookup table: a tf.data service sends the graph to other processes, and tables are not in it.
    if not words:
        return tf.constant("")
    return tf.strings.reduce_join(tf.boolean_mask(tf.constant([*words.values()]), tf.constant([*words]) == id))


def _jpeg_size(jpeg: bytes) -> tuple[int, ...]:
    """(H, W) that a JPEG's header names; () where it is none. TensorFlow's own function takes thirty times as long."""
    place = 2 if jpeg[:2] == b"\xff\xd8" else len(jpeg)
    while place + 9 <= len(jpeg) and jpeg[place] == 0xFF:
        marker, length = jpeg[place + 1], int.from_bytes(jpeg[place + 2 : place + 4])
        if marker < 0xC0 or 0xD0 <= marker <= 0xD9 or length < 2:  # none that comes before the size and has a length
            return ()
        if marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # a frame header; these three are tables
            return int.from_bytes(jpeg[place + 5 : place + 7]), int.from_bytes(jpeg[place + 7 : place + 9])
        place += 2 + length
    return ()


def _one_shard(file, first, count) -> tf.data.Dataset:
    """(record, index) of a shard's `count` clips, the `first` and those after it; empty records where it ends early."""
    # Beside a range, because errors that do not end (no such file) would be ignored for ever.
    numbered = tf.data.Dataset.zip((tf.data.Dataset.range(count), tf.data.TFRecordDataset(file)))
    records = numbered.ignore_errors().map(lambda _, record: record)
    records = records.concatenate(tf.data.Dataset.from_tensors(b"").repeat(count)).take(count)
    return tf.data.Dataset.zip((records, tf.data.Dataset.range(first, first + count)))


def _shuffled(columns: tuple, seed) -> tuple:
    """Tensors of one length, their rows in one new order, a pure function of `seed` `(2,)`."""
    order = tf.random.experimental.stateless_shuffle(tf.range(tf.shape(columns[0])[0]), seed)
    return tuple(tf.gather(column, order) for column in columns)


def encode(sample: Sample, clip: Clip, quality: int) -> bytes:
    """One clip as a serialized `tf.train.Example`; the same bytes for the same clip."""
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
    """(sample, record or None, damage, why there is no record)."""
    try:
        clip = pool.read(sample, num_frames, size)
    except VideoError as error:
        return sample, None, "", error.reason
    return sample, encode(sample, clip, quality), clip.damage, ""


def _settings(dataset, split, samples, num_frames, size, shard_size, quality) -> dict:
    """All that decides the bytes of the shards."""
    args, kwargs = dataset.arguments
    listing = json.dumps([_listed(sample) for sample in samples])
    return {
        "format": FORMAT,
        "dataset": {
            "source": dataset.origin,
            "arguments": [*map(str, args), *(f"{name}={value}" for name, value in sorted(kwargs.items()))],
            "class_names": list(dataset.class_names),
            "max_boxes": dataset.max_boxes,
            "flip_labels": _str_keys(dataset.flip_labels),
            "reverse_labels": _str_keys(dataset.reverse_labels),
        },
        "split": split,
        "samples": len(samples),
        "samples_sha256": hashlib.sha256(listing.encode()).hexdigest(),
        "num_frames": num_frames,
        "size": list(size),
        "shard_size": shard_size,
        "jpeg_quality": quality,
        "decoder": f"PyAV {version('av')}, OpenCV {cv2.__version__}, INTER_AREA",
    }


def _listed(sample: Sample) -> dict:
    """A sample's fields, without `seconds` where it has none: shards from before that field was there stay valid."""
    fields = asdict(sample)
    if sample.seconds is None:
        del fields["seconds"]
    return fields


def _finished(folder: Path, settings: dict) -> dict[str, dict]:
    """The notes of the shards that are whole. What an interrupted run left half done is removed."""
    plan = folder / "settings.json"
    manifest = _read_manifest(folder / MANIFEST, missing_ok=True)
    made_with = manifest["settings"] if manifest else _read_json(plan) if plan.exists() else None
    if made_with is None:
        _write_json(plan, settings)
        made_with = settings
    _check_same(folder, made_with, settings)
    for left in folder.glob(".*-shard-*"):
        left.unlink()
    notes = {note["file"]: note for note in (manifest["shards"] if manifest else ())}
    for file in folder.glob("shard-*.json"):
        note = _read_json(file)
        _check_note(note, file)
        notes[note["file"]] = note
    sizes = {file.name: file.stat().st_size for file in folder.glob("shard-*.tfrecord")}
    return {name: note for name, note in notes.items() if sizes.get(name) == note["bytes"]}


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
        "damaged": {id: damage for note in notes for id, damage in _damage_of(note).items()},
        "shards": notes,
    }
    _write_json(folder / MANIFEST, manifest)
    for file in (*(_note_file(folder, note["file"]) for note in notes), folder / "settings.json"):
        file.unlink(missing_ok=True)  # the manifest has it all
    return manifest


def _damage_of(note: dict) -> dict[str, str]:
    """What is wrong with the files of a shard's damaged clips, by id. Older notes only list the ids."""
    damaged = note["damaged"]
    if isinstance(damaged, list):
        return dict.fromkeys(damaged, "the shard does not say what is wrong with its file")
    return damaged


@contextmanager
def _only_writer(folder: Path):
    """Two runs in one folder would overwrite each other; the lock ends with the process, however it ends."""
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


@contextmanager
def _writing(path: Path):
    """`replacing`, with one line for a disk that is full or fails."""
    try:
        with replacing(path) as temporary:
            yield temporary
    except tf.errors.OpError as error:
        raise DataError(f"{path}: cannot be written ({error.message})") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror})") from None


def _note_file(folder: Path, shard: str) -> Path:
    return (folder / shard).with_suffix(".json")


def _write_json(path: Path, value):
    with _writing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _read_json(path):
    try:
        with tf.io.gfile.GFile(os.fspath(path)) as file:
            return json.loads(file.read())
    except (tf.errors.OpError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read ({' '.join(str(error).split())})") from None


def _read_manifest(path, missing_ok: bool) -> dict | None:
    if missing_ok and not tf.io.gfile.exists(os.fspath(path)):
        return None
    manifest = _read_json(path)
    settings = manifest.get("settings") if isinstance(manifest, dict) else None
    if not isinstance(settings, dict) or settings.get("format") != FORMAT:
        raise DataError(f"{path}: not a manifest of format {FORMAT} by scripts/prepare.py")
    _check_settings(settings, path)
    if not isinstance(manifest.get("shards"), list):
        raise DataError(f"{path}: expected a list of shards")
    classes = len(settings["dataset"]["class_names"])
    for note in manifest["shards"]:
        _check_note(note, path)
        if not all(-1 <= label < classes for _, label in note["clips"]):
            raise DataError(f"{path}: {note['file']}: a label is not one of the {classes} classes")
    return manifest


def _check_settings(settings: dict, path):
    """Raises DataError unless a manifest's settings are such as `_settings` makes: shards may come from anyone."""
    about = settings.get("dataset")
    about = about if isinstance(about, dict) else {}
    names, size = about.get("class_names"), settings.get("size")
    labels = range(len(names) if isinstance(names, list) else 0)
    fits = {
        "dataset class_names": isinstance(names, list) and all(isinstance(name, str) for name in names),
        "dataset max_boxes": _is_whole(about.get("max_boxes"), 0),
        **{f"dataset {key}": _is_swap(about.get(key, ""), labels) for key in ("flip_labels", "reverse_labels")},
        "num_frames": _is_whole(settings.get("num_frames"), 1),
        "size": isinstance(size, list) and len(size) == 2 and all(_is_whole(side, 1) for side in size),
    }
    for name, is_right in fits.items():
        if not is_right:
            raise DataError(f"{path}: settings: {name} is not as scripts/prepare.py writes it")


def _check_note(note, path):
    """Raises DataError unless it says of a shard what `WriteShard` says; its name stays in the folder."""
    name = note.get("file") if isinstance(note, dict) else None
    if not isinstance(name, str) or not _SHARD.fullmatch(name):
        raise DataError(
            f"{path}: expected the note of a shard called shard-<N>-of-<N>.tfrecord, got {str(name)[:80]!r}"
        )
    clips, skipped, damaged = (note.get(key) for key in ("clips", "skipped", "damaged"))
    if not (
        isinstance(clips, list)
        and all(isinstance(clip, list) and len(clip) == 2 for clip in clips)
        and all(isinstance(id, str) and type(label) is int for id, label in clips)
        and isinstance(skipped, dict)
        and all(isinstance(reason, str) for reason in skipped.values())
        and isinstance(damaged, dict | list)
        and all(isinstance(text, str) for text in (damaged.values() if isinstance(damaged, dict) else damaged))
        and all(_is_whole(note.get(key), 0, 2**62) for key in ("asked", "bytes"))
    ):
        raise DataError(f"{path}: {name}: expected clips [id, label], skipped, damaged, asked and bytes, got others")


def _is_whole(value, least: int, most: int = 2**20) -> bool:
    return type(value) is int and least <= value <= most


def _is_swap(labels, valid: range) -> bool:
    """Whether it is null, or one label by another, as JSON has it."""
    return labels is None or (
        isinstance(labels, dict)
        and all(re.fullmatch("[0-9]{1,9}", label) and int(label) in valid for label in labels)
        and all(type(label) is int and label in valid for label in labels.values())
    )


def _str_keys(labels: dict[int, int] | None) -> dict[str, int] | None:
    return None if labels is None else {str(key): value for key, value in labels.items()}


def _int_keys(labels: dict[str, int] | None) -> dict[int, int] | None:
    return None if labels is None else {int(key): value for key, value in labels.items()}
