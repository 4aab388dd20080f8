"""From a data set to batches of clips: decoded in parallel, in a repeatable order; bad files are skipped and listed."""

import dataclasses

import numpy as np
import tensorflow as tf

from tfvid.core.arguments import frame_size, whole_number
from tfvid.core.errors import ConfigError, unknown
from tfvid.core.typed import typed
from tfvid.data.augment import augment
from tfvid.data.base import VideoDataset
from tfvid.data.choose import in_turn
from tfvid.data.decode.clip import Sample
from tfvid.data.decode.worker import DecodePool, one_a_core
from tfvid.data.pipeline.epochs import epochs_of, indices_of, passes
from tfvid.data.pipeline.make import make_dataset
from tfvid.data.pipeline.videos import Clips, read_videos
from tfvid.data.records.read import Records
from tfvid.data.settings import DataConfig
from tfvid.data.share import Share
from tfvid.data.skipped import SkipLog


def load_dataset(
    source,
    split: str,
    *,
    training: bool = False,
    epoch: int | tf.Variable = 0,
    skipped: SkipLog | None = None,
    deterministic: bool = True,
    decoder: str = "pyav",
    share: Share | None = None,
    limit: int | None = None,
    **settings,
) -> tf.data.Dataset:
    """Reads the clips of a data set in batches.

    A clip of a damaged file is used, with the frames that could be decoded; ``skipped.damaged`` lists it.

    Args:
      source: the name of a data set, a `VideoDataset`, or a `DataConfig`.
      split: one of the splits of the data set.
      training: whether clips are shuffled and augmented, anew in each epoch, as a pure function of (seed, epoch). A
        clip that cannot be read is replaced by another of the same epoch, so all epochs have the same number of
        batches, `Dataset.cardinality`.
      epoch: the number of complete epochs of training: the first iterator over the dataset is this epoch, and each
        further one the next (`keras.Model.fit` and `Dataset.repeat` make one for each epoch). An iterator counts when
        its first batch is requested. Or a `tf.Variable` of an integer, which each iterator reads when it starts.
      skipped: lists the clips that cannot be read and those of damaged files; use one for each call.
      deterministic: False allows clips that are ready to come before slower ones.
      decoder: of video files: "pyav" (FFmpeg's libraries), or "tfio" (`tfvid.data.decode.tfio`).
      share: the part of each batch that this worker reads, if several train together. In training, a last batch that
        is not full is then left out, so all workers take the same number of steps.
      limit: the largest number of clips; the classes take turns (`tfvid.data.choose`). None for all.
      settings: fields of `DataConfig`, which replace those of `source`: num_frames, size, batch_size, ... With
        `service`, the workers of a tf.data service read the training clips, each of them epochs of its own. They do not
        end: the epochs follow one another, beginning with the present value of `epoch`.

    Returns:
      A `tf.data.Dataset`, one pass over the split, of dicts: clip float32 `(B, T, H, W, 3)` in [0, 1], label
      int32 `(B,)`, id string `(B,)`, event int32 `(B, 2)`, boxes float32 `(B, T, N, 4)`, damage string `(B,)`: what is
      wrong with the file, "" if nothing is known. The last batch may be smaller. Without `training`, clips have the
      order of the data set, and those that cannot be read are left out, so the number of batches is not known. Do not
      ``cache()`` a training data set: it repeats the order and the augmentation of one epoch.

    Raises:
      TfvidError: the data set, the split or a setting does not exist or is not valid. If more than `max_bad_share` of
        the clips are bad, or more than `max_damaged_share` damaged, iteration ends with an error of TensorFlow, which
        `SkipLog.plain_errors` replaces by one line.
    """
    config = _configure(source, settings)
    if isinstance(source, VideoDataset) and config.events != "own":
        raise ConfigError(
            f"events {config.events!r} needs the name of a data set, got a {type(source).__name__}; make a "
            "tfvid.data.Windowed of it by name"
        )
    dataset = source if isinstance(source, VideoDataset) and config.records is None else make_dataset(config)
    reading = _Reading(dataset, split, config, training, share, limit)
    log = SkipLog() if skipped is None else skipped
    clips = reading.batches(reading.clips(epoch, decoder, log), log)
    return clips.map(_to_unit_range, 1).prefetch(2).with_options(_options(deterministic, reading.workers))


class _Reading:
    """How one split is read: which clips, by which workers, in which steps.

    Args:
      dataset: the data set.
      split: one of its splits.
      config: its settings.
      training: whether clips are shuffled and augmented.
      share: the part of each batch that this worker reads; None for whole batches.
      limit: the largest number of clips; None for all.

    Raises:
      ConfigError: the split does not exist or is empty, or settings exclude one another.
    """

    def __init__(self, dataset: VideoDataset, split: str, config: DataConfig, training: bool, share, limit):
        self.dataset, self.split, self.config, self.training = dataset, split, config, training
        self.samples = _samples(dataset, split, config)
        self.is_chosen = _chosen(self.samples, limit)
        # Workers that train together take the same number of steps.
        self.in_step, self.share = training and share is not None, share or Share()
        self.service = config.service if training else None
        self.workers = config.workers or one_a_core()
        _check_shares(config, self.share, self.service is not None, self.in_step, limit)

    def clips(self, epoch: int | tf.Variable, decoder: str, log: SkipLog) -> tf.data.Dataset:
        """Returns a dataset of (clip, epoch), and sets the numbers of `log`."""
        chosen, begin = int(self.is_chosen.sum()), epochs_of(epoch)
        count = self.share.clips(chosen, self.config.batch_size, self.in_step)
        # A worker that trains with others reads other clips in each epoch, and after some epochs has read all of them.
        log.total = chosen if self.in_step else count
        log.max_bad_share, log.max_damaged_share = self.config.max_bad_share, self.config.max_damaged_share
        read, holder = self._reader(decoder, log)
        if self.service is not None:
            assert isinstance(self.dataset, Records)  # a service reads shards only
            clips = self.dataset.served(self.split, int(epoch), self.config.seed)
        elif self.training:
            clips = passes(begin, read, count, log)
        else:
            clips = read(tf.constant(0, tf.int64))
        clips.source = holder  # the functions of the pipeline hold weak references only
        return clips

    def _reader(self, decoder: str, log: SkipLog):
        """Returns a function from an epoch to the dataset of its clips, and an object that must exist as long."""
        dataset, config, workers = self.dataset, self.config, self.workers
        seed = config.seed if self.training else None
        if isinstance(dataset, Records):
            dataset.check_shape(self.split, config.num_frames, config.size)
            return lambda epoch: dataset.stream(self.split, epoch, seed, workers, log, self._pick), dataset
        pool = DecodePool(dataset, workers, config.time_limit, decoder)
        clips = Clips(self.samples, pool, config, dataset.max_boxes, log)
        count = len(self.samples)
        return lambda epoch: read_videos(self._pick(indices_of(count, epoch, seed)), clips, workers), clips

    def _pick(self, indices: tf.data.Dataset) -> tf.data.Dataset:
        """Leaves out the clips that are not read."""
        if not self.is_chosen.all():  # elements are (index, epoch), or (record, index, epoch) for shards
            indices = indices.filter(lambda *element: tf.gather(self.is_chosen, element[-2]))
        return self.share.of(indices, self.config.batch_size, self.in_step)

    def batches(self, clips: tf.data.Dataset, log: SkipLog) -> tf.data.Dataset:
        """Returns batches of `clips`, augmented in training, with uint8 frames."""
        if self.training:
            clips = clips.map(_augmenting(self.config, self.dataset), self.workers)
        clips = clips.map(lambda clip, epoch: clip, self.workers).batch(self.config.batch_size // self.share.count)
        if self.service is not None and isinstance(self.dataset, Records):
            clips = self.dataset.without_broken(self.split, clips.apply(_by_service(self.service)), log)
            for id, damage in self.dataset.damaged(self.split).items():  # other processes read the clips, without log
                log.damage(id, damage)
        return clips


def _samples(dataset: VideoDataset, split: str, config: DataConfig) -> list[Sample]:
    """Returns the samples of a split; ConfigError if it does not exist or is empty, or if a mirror is not safe."""
    if split not in dataset.splits:
        raise ConfigError(unknown("split", split, dataset.splits))
    if config.augment.flip and dataset.flip_labels is None:
        raise ConfigError(
            "augment.flip: this data set does not declare flip_labels, so a mirror may change a label; set it to false"
        )
    samples = dataset.samples(split)
    if not samples:
        raise ConfigError(f"split {split!r} has no clips")
    return samples


def _check_shares(config: DataConfig, share: Share, served: bool, in_step: bool, limit: int | None) -> None:
    """Raises ConfigError if settings exclude one another."""
    if config.batch_size % share.count:
        raise ConfigError(f"data.batch_size must be a multiple of {share.count} workers, got {config.batch_size}")
    if served and limit is not None:
        raise ConfigError("limit cannot be used with data.service, whose workers read all clips; leave one of them out")
    if served and in_step:
        raise ConfigError("data.service needs distribution none: its clips cannot be divided evenly between workers")


def _options(deterministic: bool, workers: int) -> tf.data.Options:
    options = tf.data.Options()
    options.deterministic = deterministic
    # Its own threads: those that wait for a decode process must not be threads of the model.
    options.threading.private_threadpool_size = workers + 2
    return options


def _chosen(samples: list[Sample], limit: int | None) -> np.ndarray:
    """Returns which samples are read, bool `(N,)`."""
    if limit is None:
        return np.ones(len(samples), bool)
    ids = {sample.id for sample in in_turn(samples)[: whole_number(limit, "limit")]}
    return np.array([sample.id in ids for sample in samples])


def _by_service(address: str):
    """Lets the workers of a tf.data service do all steps of the pipeline before this one, each epoch in one worker."""
    policy = tf.data.experimental.service.ShardingPolicy.DYNAMIC
    return tf.data.experimental.service.distribute(policy, address)


def as_supervised(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Returns a dataset of (clip, label) pairs, for `keras.Model.fit`."""
    return dataset.map(lambda batch: (batch["clip"], batch["label"]))


def _configure(source, settings: dict) -> DataConfig:
    fields = [field.name for field in dataclasses.fields(DataConfig)]
    for name in settings:
        if name not in fields:
            raise ConfigError(unknown("setting", name, fields))
    if "size" in settings:
        settings = settings | {"size": frame_size(settings["size"])}
    settings = typed(DataConfig, settings)
    if isinstance(source, DataConfig):
        return dataclasses.replace(source, **settings)
    if isinstance(source, str):
        settings = {"dataset": source} | settings
    elif not isinstance(source, VideoDataset):
        kind = type(source).__name__
        raise ConfigError(f"expected the name of a data set, a VideoDataset or a DataConfig, got {kind}")
    return DataConfig(**settings)


def _augmenting(config: DataConfig, dataset: VideoDataset):
    settings, num_classes = config.augment, len(dataset.class_names)
    flip_labels = dataset.flip_labels if settings.flip else None
    in_time_and_colour = {"min_length": settings.min_length, "colour": settings.colour}

    def change(clip, epoch):
        # The seed depends on the id, not on the place in the order, so a clip from a shard is changed like its video.
        key = tf.strings.to_hash_bucket_fast(clip["id"], 1 << 62)
        seed = tf.random.fold_in(tf.stack([tf.constant(config.seed, tf.int64), epoch]), key)
        return augment(clip, seed, settings.min_scale, flip_labels, num_classes, **in_time_and_colour), epoch

    return change


def _to_unit_range(batch: dict) -> dict:
    # After batching, because a uint8 clip has a quarter of the size.
    return {**batch, "clip": tf.cast(batch["clip"], tf.float32) / 255}
