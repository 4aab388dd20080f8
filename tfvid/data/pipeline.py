"""From a dataset to batches of clips: decoded in parallel, in a repeatable order, bad files skipped and listed."""

import dataclasses
import inspect
import os
import weakref

import numpy as np
import tensorflow as tf

from tfvid.config import AugmentConfig, DataConfig
from tfvid.data import DATASETS
from tfvid.data.augment import augment
from tfvid.data.base import Clip, Sample, VideoDataset
from tfvid.data.records import Records
from tfvid.data.share import Share
from tfvid.data.skipped import SkipLog
from tfvid.data.worker import DecodePool, one_a_core
from tfvid.errors import ConfigError, TfvidError, VideoError, unknown


def make_dataset(source, root=None, **options) -> VideoDataset:
    """Builds a dataset by name, or from a `DataConfig`.

    Args:
      source: a name in `DATASETS`, ``"my_file.py:MyDataset"``, or a `DataConfig` (its `records`, where given,
        stand for the dataset they were made from).
      root: the dataset's folder; None for a generated one.
      options: its further keyword arguments.

    Raises:
      ConfigError: an option the dataset does not have, or a missing root.
      TfvidError: no such dataset, or what it says about its files.
    """
    if isinstance(source, DataConfig):
        if source.records is not None:
            return Records(source.records)
        return make_dataset(source.dataset, source.root, **source.options)
    cls = DATASETS.find(source)
    parameters = inspect.signature(cls).parameters
    accepts_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for name in options:
        if name not in parameters and not accepts_any:
            raise ConfigError(f"dataset {source}: {unknown('option', name, [p for p in parameters if p != 'root'])}")
    if "root" in parameters and parameters["root"].default is inspect.Parameter.empty and root is None:
        raise ConfigError(f"dataset {source!r} needs root, the folder it lies in")
    if root is not None:
        options = {"root": os.fspath(root)} | options
    dataset = cls(**options)
    if source not in DATASETS:
        dataset.origin = source  # a file: where a decode process finds the class again
    return dataset


def load_dataset(
    source,
    split: str,
    *,
    training: bool = False,
    epoch: tf.Variable | None = None,
    skipped: SkipLog | None = None,
    deterministic: bool = True,
    decoder: str = "pyav",
    share: Share | None = None,
    **settings,
) -> tf.data.Dataset:
    """A dataset's clips in batches.

    Args:
      source: a dataset's name, a `VideoDataset`, or a `DataConfig`.
      split: one of the dataset's splits.
      training: shuffle and augment. Order and augmentation are a pure function of (seed, epoch).
      epoch: int64 variable that is read whenever a new iterator starts; None counts as epoch 0 for ever.
      skipped: is given the clips that could not be read; use one for each call.
      deterministic: False lets clips that are ready overtake slower ones.
      decoder: of video files: "pyav" (FFmpeg's libraries), or "tfio" for tensorflow-io's (see `tfvid.data.tfio`).
      share: of each batch, where several workers read one dataset; it makes the batches smaller. In training a last
        batch that is not full is then left out, and who has a bad clip reads one of his others again: all workers
        take the same number of steps.
        With `service` in the settings, training clips come from its workers and do not end: epoch follows epoch, from
        the value of `epoch` now on; of several workers each is given epochs of its own.
      settings: fields of `DataConfig`, stronger than those of `source`: num_frames, size, batch_size, workers,
        records (a folder of shards, read instead of videos), ...

    Returns:
      A `tf.data.Dataset`, one pass over the split, of dicts: clip float32 `(B, T, H, W, 3)` in [0, 1], label
      int32 `(B,)`, id string `(B,)`, event int32 `(B, 2)`, boxes float32 `(B, T, N, 4)`. The last batch may be
      smaller.

    Raises:
      TfvidError: here, where something asked for does not exist. While iterating, where more than
        `max_bad_share` of the clips are bad, the error is one of TensorFlow's; `SkipLog.plain_errors` makes it
        the one line that it was.
    """
    config = _configure(source, settings)
    dataset = source if isinstance(source, VideoDataset) and config.records is None else make_dataset(config)
    if split not in dataset.splits:
        raise ConfigError(unknown("split", split, dataset.splits))
    if config.augment.flip and dataset.flip_labels is None:
        raise ConfigError("augment.flip: this dataset does not declare flip_labels, so a mirror may change a label")
    samples = dataset.samples(split)
    if not samples:
        raise ConfigError(f"split {split!r} has no clips")
    in_step, share = training and share is not None, share or Share()
    if config.batch_size % share.count:
        raise ConfigError(f"data.batch_size must be a multiple of {share.count} workers, got {config.batch_size}")
    log = SkipLog() if skipped is None else skipped
    log.total, log.max_bad_share = share.clips(len(samples), config.batch_size, in_step), config.max_bad_share
    epoch = tf.Variable(0, dtype=tf.int64, trainable=False) if epoch is None else epoch
    workers = config.workers or one_a_core()

    def pick(indices):
        return share.of(indices, config.batch_size, in_step)

    served = training and config.service is not None
    if served and in_step:
        raise ConfigError("data.service goes with distribution none: its clips cannot be shared out evenly")
    if isinstance(dataset, Records):
        dataset.check_shape(split, config.num_frames, config.size)
    if served:
        clips = dataset.served(split, int(epoch), config.seed)
    elif isinstance(dataset, Records):
        clips = dataset.stream(split, epoch, config.seed if training else None, workers, log, pick)
    else:
        indices = pick(_indices(len(samples), epoch, config.seed if training else None))
        pool = DecodePool(dataset, workers, config.time_limit, decoder)
        clips = _read(indices, _Clips(samples, pool, config, dataset.max_boxes, log), workers)
    if in_step:
        clips = clips.repeat().take(log.total)
    if training:
        clips = clips.map(_augmenting(config, dataset), workers)
    clips = clips.map(lambda clip, epoch: clip, workers).batch(config.batch_size // share.count)
    if served:
        clips = clips.apply(_by_service(config.service))
    clips = clips.map(_to_unit_range, 1).prefetch(2)
    options = tf.data.Options()
    options.deterministic = deterministic
    # Threads of its own: those that wait for a child must not be taken from the model's.
    options.threading.private_threadpool_size = workers + 2
    return clips.with_options(options)


def _by_service(address: str):
    """What is above it is done by the workers of a tf.data service; each epoch by one of them."""
    policy = tf.data.experimental.service.ShardingPolicy.DYNAMIC
    return tf.data.experimental.service.distribute(policy, address)


def as_supervised(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """(clip, label) pairs, for `keras.Model.fit`."""
    return dataset.map(lambda batch: (batch["clip"], batch["label"]))


def _configure(source, settings: dict) -> DataConfig:
    fields = [field.name for field in dataclasses.fields(DataConfig)]
    for name in settings:
        if name not in fields:
            raise ConfigError(unknown("setting", name, fields))
    if isinstance(settings.get("augment"), dict):
        settings = settings | {"augment": AugmentConfig(**settings["augment"])}
    if isinstance(source, DataConfig):
        return dataclasses.replace(source, **settings)
    if isinstance(source, str):
        settings = {"dataset": source} | settings
    elif not isinstance(source, VideoDataset):
        raise ConfigError(f"expected a dataset's name, a VideoDataset or a DataConfig, got {type(source).__name__}")
    return DataConfig(**settings)


def _indices(count: int, epoch: tf.Variable, seed: int | None) -> tf.data.Dataset:
    """(sample index, epoch) int64 pairs; shuffled, where there is a seed, by a pure function of (seed, epoch)."""

    def one_pass(_):
        # Inside a flat_map, so that each new iterator reads the epoch anew. It travels with its samples: what
        # follows runs ahead of the consumer, who may have set the next epoch by then.
        now = epoch.read_value()
        order = tf.range(count, dtype=tf.int64)
        if seed is not None:
            order = tf.random.experimental.stateless_shuffle(order, tf.stack([tf.constant(seed, tf.int64), now]))
        return tf.data.Dataset.from_tensor_slices((order, tf.fill([count], now)))

    return tf.data.Dataset.range(1).flat_map(one_pass)


def _read(indices: tf.data.Dataset, clips: "_Clips", workers: int) -> tf.data.Dataset:
    """(index, epoch) -> (clip, epoch), without the clips that cannot be read."""
    labels = tf.constant([sample.label for sample in clips.samples], tf.int32)
    ids = tf.constant([sample.id for sample in clips.samples])
    # TensorFlow keeps every numpy_function until the process ends. So that the decode processes end with their
    # dataset, the function only knows where the clips are, and the dataset holds them.
    reference = weakref.ref(clips)

    def read(index, epoch):
        frames, event, boxes, ok = tf.numpy_function(
            lambda index: reference().read(index), [index], (tf.uint8, tf.int32, tf.float32, tf.bool)
        )
        clip = {
            "clip": tf.ensure_shape(frames, clips.frames_shape),
            "label": labels[index],
            "id": ids[index],
            "event": tf.ensure_shape(event, (2,)),
            "boxes": tf.ensure_shape(boxes, clips.boxes_shape),
        }
        return clip, epoch, tf.ensure_shape(ok, ())

    dataset = indices.map(read, workers)
    dataset.clips = clips
    dataset = dataset.filter(lambda clip, epoch, ok: ok)
    return dataset.map(lambda clip, epoch, ok: (clip, epoch), workers)


class _Clips:
    """The clips of one split, by index; what cannot be read goes into the log."""

    def __init__(self, samples: list[Sample], pool: DecodePool, config: DataConfig, max_boxes: int, log: SkipLog):
        self.samples, self.pool, self.config, self.log = samples, pool, config, log
        self.frames_shape = (config.num_frames, *config.size, 3)
        self.boxes_shape = (config.num_frames, max_boxes, 4)

    def read(self, index: int):
        """Frames, event, boxes, and whether there are any."""
        sample = self.samples[index]
        try:
            clip = self._clip(sample)
        except VideoError as error:
            self.log.bad(sample.id, error.reason)
            frames, boxes = np.zeros(self.frames_shape, np.uint8), np.zeros(self.boxes_shape, np.float32)
            return frames, np.zeros(2, np.int32), boxes, False
        except TfvidError as error:
            self.log.stop(error)
        self.log.good()
        return clip.frames, clip.event, clip.boxes, True

    def _clip(self, sample: Sample) -> Clip:
        if sample.id in self.log.reasons:  # bad in an earlier epoch; it need not take its time again
            raise VideoError(sample.path, self.log.reasons[sample.id])
        clip = self.pool.read(sample, self.config.num_frames, self.config.size)
        if clip.frames.shape != self.frames_shape or clip.boxes.shape != self.boxes_shape:
            came = f"frames {clip.frames.shape} and boxes {clip.boxes.shape}"  # from a dataset of a user's own
            expected = f"{self.frames_shape} and {self.boxes_shape}"
            raise VideoError(sample.path, f"the dataset returned {came}, expected {expected}")
        return clip


def _augmenting(config: DataConfig, dataset: VideoDataset):
    flip_labels = dataset.flip_labels if config.augment.flip else None

    def change(clip, epoch):
        # From the id, not the place in the order: a clip is changed alike, read from a video or from a shard.
        key = tf.strings.to_hash_bucket_fast(clip["id"], 1 << 62)
        seed = tf.random.fold_in(tf.stack([tf.constant(config.seed, tf.int64), epoch]), key)
        return augment(clip, seed, config.augment.min_scale, flip_labels, len(dataset.class_names)), epoch

    return change


def _to_unit_range(batch: dict) -> dict:
    # After batching: until here a clip is a quarter of the size.
    return {**batch, "clip": tf.cast(batch["clip"], tf.float32) / 255}
