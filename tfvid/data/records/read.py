"""Reads shards: a folder of shards is a data set, whose clips are streamed in order or shuffled."""

import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from tfvid.core.errors import ConfigError, DataError, VideoError, unknown
from tfvid.data.base import VideoDataset
from tfvid.data.decode.clip import Clip, Sample
from tfvid.data.records.schema import MANIFEST, check_splits_agree, damage_of, int_keys, read_manifest
from tfvid.data.skipped import SkipLog
from tfvid.data.sources.root import existing_folder

# Shards that are open at once and clips that are shuffled at once in training: enough to mix clips that are neighbours
# on disk, for about 100 MB of JPEG at 16 x 224 x 224.
SHUFFLED_SHARDS = 16
SHUFFLED_CLIPS = 512
SERVED_AT_ONCE = 16  # clips that a worker of a tf.data service decodes at once


class Records(VideoDataset):
    """A folder of shards, as a data set with the classes, splits and labels of the original data set.

    Args:
      folder: as written by `write_records`; any path TensorFlow reads (``gs://`` too; ``s3://``, ``az://`` and
        ``http://`` with tensorflow-io, see `tfvid.data.decode.tfio`).

    Raises:
      DataError: the folder has no manifest, a manifest has another format, or the splits have different classes.
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
        found = {split: read_manifest(f"{self.folder}/{split}/{MANIFEST}", missing_ok=remote) for split in listed}
        self.manifests = {split: manifest for split, manifest in found.items() if manifest}
        if not self.manifests:
            raise DataError(f"{self.folder}: no <split>/{MANIFEST} in it; scripts/prepare.py writes one when it ends")
        settings = {split: manifest["settings"]["dataset"] for split, manifest in self.manifests.items()}
        check_splits_agree(self.folder, settings)
        about = next(iter(settings.values()))
        self.class_names = tuple(about["class_names"])
        self.splits = tuple(split for split in (*known, *listed) if split in self.manifests)
        self.splits = tuple(dict.fromkeys(self.splits))
        self.max_boxes = about["max_boxes"]
        self.flip_labels = int_keys(about["flip_labels"])
        self.reverse_labels = int_keys(about["reverse_labels"])

    def check_options(self, options: Mapping):
        """Refuses options of the data set that differ from those of the shards, because they would have no effect.

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
        """Reads one clip from its shard; to read all clips, `stream` is much faster."""
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
        except tf.errors.OpError as error:  # a JPEG with a valid header and invalid data
            raise VideoError(file, f"record {place}: {' '.join(error.message.split())[:200]}") from None
        damage = clip["damage"].numpy().decode()
        frames, event, boxes = (clip[name].numpy() for name in ("clip", "event", "boxes"))
        return Clip(frames, event, boxes, damage=damage)

    def damaged(self, split: str) -> dict[str, str]:
        """Returns the damage of the files of clips in `split`, by clip id; without clips of undamaged files."""
        shards = self.manifests[split]["shards"]
        return {id: damage for shard in shards for id, damage in damage_of(shard).items()}

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
        """Returns a dataset of (clip, epoch) for all clips of a split.

        A shard that ends early or does not match its checksums is read up to the damage; the clips after it are
        skipped and listed in `log`, with the file's name.

        Args:
          split: one of `splits`.
          epoch: int64 scalar.
          seed: shuffles the clips by a pure function of (seed, epoch); None keeps their order.
          workers: clips that are decoded at once.
          log: receives skipped and damaged clips.
          pick: a function of a dataset of (record, index, epoch) that chooses clips before they are checked.
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
        """Returns a dataset of (clip, epoch) for epoch `first_epoch` and all later ones, for a tf.data service.

        It uses TensorFlow's operations only, as the service requires. The order is that of `stream`. A clip has one key
        more, ``whole``, bool: False if its record is missing or is not a clip. Such a clip has its id, and zeros for
        the rest. `without_broken` lists and removes it.
        """
        epochs = tf.data.Dataset.range(first_epoch, tf.int64.max)
        records = epochs.flat_map(lambda epoch: self._pass(split, epoch, seed))
        ids = [id for shard in self.manifests[split]["shards"] for id, _ in shard["clips"]]

        def read(record, index, epoch):
            # The first of the two: the clip, or, if reading it is an error, the zeros.
            clip = tf.data.Dataset.from_tensors(record).map(lambda record: self._parse_checked(split, record))
            clip = clip.ignore_errors()
            zeros = tf.data.Dataset.from_tensors(index).map(lambda index: self._zeros(clip, tf.gather(ids, index)))
            return clip.concatenate(zeros).take(1).map(lambda clip: (clip, epoch))

        # One element of each of these datasets, in turn: the order is kept.
        return records.interleave(read, SERVED_AT_ONCE, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)

    def without_broken(self, split: str, batches: tf.data.Dataset, log: SkipLog) -> tf.data.Dataset:
        """Returns batches of the clips of `served` without the broken ones, which are listed in `log`.

        The batches are smaller where a clip is broken; a batch of broken clips only is left out.
        """
        files = {
            id.encode(): f"{self.folder}/{split}/{shard['file']}"
            for shard in self.manifests[split]["shards"]
            for id, _ in shard["clips"]
        }

        def note(ids, whole):
            for id, is_whole in zip(ids.tolist(), whole.tolist(), strict=True):
                if is_whole:
                    log.good()
                else:
                    log.bad(id.decode(), f"the shard {files[id]} is truncated, corrupt or not a shard of these clips")
            if len(log.reasons) >= log.total:
                log.none_left(log.total)  # the service would never give a batch
            return whole.any()

        def has_clips(batch):
            return tf.ensure_shape(tf.numpy_function(note, [batch["id"], batch["whole"]], tf.bool), ())

        def rest(batch):
            whole = batch["whole"]
            clips = {name: column for name, column in batch.items() if name != "whole"}
            masked = lambda: {name: tf.boolean_mask(column, whole) for name, column in clips.items()}  # noqa: E731
            return tf.cond(tf.reduce_all(whole), lambda: clips, masked)

        return batches.filter(has_clips).map(rest)

    def _pass(self, split: str, epoch, seed: int | None) -> tf.data.Dataset:
        """Returns a dataset of (record, index, epoch) for one epoch; a record after a shard's early end is empty."""
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
            # Not `Dataset.shuffle`: with a seed that is a tensor, it also depends on TensorFlow's global seed.
            records = records.map(lambda *batch: _shuffled(batch, tf.random.fold_in(seeds, batch[1][0]))).unbatch()
        return records.map(lambda record, index: (record, index, epoch))

    @cached_property
    def _places(self) -> dict[str, tuple[str, str, int]]:
        """By id: the split, the shard's path, and the position in the shard."""
        return {
            id: (split, f"{self.folder}/{split}/{shard['file']}", place)
            for split, manifest in self.manifests.items()
            for shard in manifest["shards"]
            for place, (id, _) in enumerate(shard["clips"])
        }

    def _fault(self, split: str, record: bytes) -> str:
        """Returns why a record is not a clip, although its checksum is right; "" if it is one.

        Shards are untrusted files. The sizes in the JPEG headers are checked before decoding: a file of a few bytes can
        name 65,535 x 65,535 pixels.
        """
        settings = self.manifests[split]["settings"]
        try:
            example = tf.train.Example.FromString(record)
        except DecodeError:
            return "not a shard of clips: a record is not a tf.train.Example"
        features = example.features.feature
        frames, boxes = features["frames"].bytes_list.value, features["boxes"].float_list.value
        label, event = features["label"].int64_list.value, features["event"].int64_list.value
        counts = (len(frames), len(boxes), len(label), len(event), len(features["id"].bytes_list.value))
        expected = (settings["num_frames"], settings["num_frames"] * self.max_boxes * 4, 1, 2, 1)
        if counts != expected:
            return f"not a shard of clips: a record has {counts} frames, box values, labels, ..., expected {expected}"
        if not -1 <= label[0] < len(self.class_names):
            return f"not a shard of these clips: a record has label {label[0]} of {len(self.class_names)} classes"
        sizes = {jpeg_size(frame) for frame in frames}
        if sizes != {tuple(settings["size"])}:
            return f"not a shard of these clips: a record has frames of {sorted(sizes)}, expected {settings['size']}"
        return ""

    def _parse_checked(self, split: str, record) -> dict:
        """`_parse` with ``whole``; a record that `_fault` refuses is an error. It uses TensorFlow's operations only."""
        fields = self._fields(split, record)
        size = self.manifests[split]["settings"]["size"]
        # Before a frame is decoded: a JPEG of a few bytes can name 65,535 x 65,535 pixels.
        shapes = tf.map_fn(tf.io.extract_jpeg_shape, fields["frames"], fn_output_signature=tf.TensorSpec(3, tf.int32))
        checks = [
            tf.debugging.assert_equal(shapes[:, :2], [size]),
            tf.debugging.assert_greater_equal(fields["label"], tf.constant(-1, tf.int64)),
            tf.debugging.assert_less(fields["label"], tf.constant(len(self.class_names), tf.int64)),
        ]
        with tf.control_dependencies(checks):
            fields = {name: tf.identity(field) for name, field in fields.items()}
        return self._clip(split, fields) | {"whole": tf.constant(True)}

    def _zeros(self, like: tf.data.Dataset, id) -> dict:
        """The element that stands for a clip that cannot be read."""
        zeros = {name: tf.zeros(spec.shape, spec.dtype) for name, spec in like.element_spec.items()}
        return zeros | {"id": id}

    def _parse(self, split: str, record) -> dict:
        return self._clip(split, self._fields(split, record))

    def _fields(self, split: str, record) -> dict:
        """The features of a record; frames are JPEGs."""
        num_frames = self.manifests[split]["settings"]["num_frames"]
        features = {
            "frames": tf.io.FixedLenFeature([num_frames], tf.string),
            "label": tf.io.FixedLenFeature([], tf.int64),
            "id": tf.io.FixedLenFeature([], tf.string),
            "event": tf.io.FixedLenFeature([2], tf.int64),
            "boxes": tf.io.FixedLenFeature([num_frames, self.max_boxes, 4], tf.float32),
        }
        return tf.io.parse_single_example(record, features)

    def _clip(self, split: str, fields: dict) -> dict:
        frames = tf.map_fn(
            lambda jpeg: tf.io.decode_jpeg(jpeg, channels=3, dct_method="INTEGER_ACCURATE"),
            fields["frames"],
            fn_output_signature=tf.TensorSpec((*self.manifests[split]["settings"]["size"], 3), tf.uint8),
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
    """Returns `words[id]` for a scalar string tensor; "" if `id` is not in `words`."""
    # Not a lookup table: a tf.data service sends the graph to other processes, and a graph does not contain tables.
    if not words:
        return tf.constant("")
    return tf.strings.reduce_join(tf.boolean_mask(tf.constant([*words.values()]), tf.constant([*words]) == id))


def jpeg_size(jpeg: bytes) -> tuple[int, ...]:
    """Returns the (H, W) that a JPEG's header names; () if it is not a JPEG.

    TensorFlow's function takes 30 times as long.
    """
    place = 2 if jpeg[:2] == b"\xff\xd8" else len(jpeg)
    while place + 9 <= len(jpeg) and jpeg[place] == 0xFF:
        marker, length = jpeg[place + 1], int.from_bytes(jpeg[place + 2 : place + 4])
        if (
            marker < 0xC0 or 0xD0 <= marker <= 0xD9 or length < 2
        ):  # not a segment with a length that can precede the size
            return ()
        if marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # a frame header; these three are tables
            return int.from_bytes(jpeg[place + 5 : place + 7]), int.from_bytes(jpeg[place + 7 : place + 9])
        place += 2 + length
    return ()


def _one_shard(file, first, count) -> tf.data.Dataset:
    """(record, index) of a shard's `count` clips, with indices from `first`; records after an early end are empty."""
    # The range ends the dataset: `ignore_errors` would repeat an error that persists (no such file) without end.
    numbered = tf.data.Dataset.zip((tf.data.Dataset.range(count), tf.data.TFRecordDataset(file)))
    records = numbered.ignore_errors().map(lambda _, record: record)
    records = records.concatenate(tf.data.Dataset.from_tensors(b"").repeat(count)).take(count)
    return tf.data.Dataset.zip((records, tf.data.Dataset.range(first, first + count)))


def _shuffled(columns: tuple, seed) -> tuple:
    """Shuffles tensors of equal length in the same order, a pure function of `seed` `(2,)`."""
    order = tf.random.experimental.stateless_shuffle(tf.range(tf.shape(columns[0])[0]), seed)
    return tuple(tf.gather(column, order) for column in columns)
