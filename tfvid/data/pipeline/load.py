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
    """A dataset's clips in batches.

    Clips of damaged files are among them, with the frames that could be decoded. Batches say so: beside what is listed
    under Returns they have ``damage``, string `(B,)`, what is wrong with the clip's file, "" where nothing is known to
    be. So does ``skipped.damaged``.

    Args:
      source: a dataset's name, a `VideoDataset`, or a `DataConfig`.
      split: one of the dataset's splits.
      training: shuffle and augment, anew in each epoch. The order of the clips and their augmentation are a pure
        function of (seed, epoch). A clip that cannot be read is replaced by another one of the same epoch, so all
        epochs have the same number of batches, and the dataset knows it (`Dataset.cardinality`).
      epoch: of training. A number: the first iterator over the dataset is that epoch, and each further one the next
        (`keras.Model.fit` makes one iterator an epoch, `Dataset.repeat` one a repetition). Give the number of epochs
        done to go on after them. An iterator counts when its first batch is asked for. A `tf.Variable` of integers:
        read whenever an iterator starts, never changed; for loops that set it themselves.
      skipped: is given the clips that could not be read; use one for each call.
      deterministic: False lets clips that are ready overtake slower ones.
      decoder: of video files: "pyav" (FFmpeg's libraries), or "tfio" for tensorflow-io's (see
        `tfvid.data.decode.tfio`).
      share: of each batch, where several workers read one dataset; it makes the batches smaller. In training a last
        batch that is not full is then left out: all workers take the same number of steps.
        With `service` in the settings, training clips come from its workers and do not end: epoch follows epoch, from
        the value of `epoch` now on; of several workers each is given epochs of its own.
      limit: read at most this many clips; the classes take turns, as in `tfvid.data.choose`. None for all.
      settings: fields of `DataConfig`, stronger than those of `source`: num_frames, size, batch_size, workers,
        records (a folder of shards, read instead of videos), ...

    Returns:
      A `tf.data.Dataset`, one pass over the split, of dicts: clip float32 `(B, T, H, W, 3)` in [0, 1], label
      int32 `(B,)`, id string `(B,)`, event int32 `(B, 2)`, boxes float32 `(B, T, N, 4)`. The last batch may be
      smaller. Without `training` the clips come in the dataset's order, those that cannot be read are left out, and
      so the number of batches is not known before they are read. Do not call ``cache()`` on a training data set: it
      repeats the order and the augmentation of the first epoch in all later epochs.

    Raises:
      TfvidError: here, where something asked for does not exist. While iterating, where more than
        `max_bad_share` of the clips are bad, or more than `max_damaged_share` damaged, the error is one of
        TensorFlow's; `SkipLog.plain_errors` makes it the one line that it was.
    """
    config = _configure(source, settings)
    dataset = source if isinstance(source, VideoDataset) and config.records is None else make_dataset(config)
    samples = _samples(dataset, split, config)
    is_chosen = _chosen(samples, limit)
    in_step, share = training and share is not None, share or Share()
    served = training and config.service is not None
    _check_shares(config, share, served, in_step, limit)
    chosen = int(is_chosen.sum())
    count = share.clips(chosen, config.batch_size, in_step)
    # In step with others, a worker reads other clips in each epoch, and in time all of them.
    log = _expecting(SkipLog() if skipped is None else skipped, config, chosen if in_step else count)
    begin, workers = epochs_of(epoch), config.workers or one_a_core()

    def pick(indices):
        if not is_chosen.all():  # elements are (index, epoch), or of shards (record, index, epoch)
            indices = indices.filter(lambda *element: tf.gather(is_chosen, element[-2]))
        return share.of(indices, config.batch_size, in_step)

    read, holder = _reader(dataset, split, samples, config, config.seed if training else None, decoder, log, pick)
    if served:
        assert isinstance(dataset, Records)  # a service reads shards only
        clips = dataset.served(split, int(epoch), config.seed)
    elif training:
        clips = passes(begin, read, count, log)
    else:
        clips = read(tf.constant(0, tf.int64))
    clips.source = holder  # the functions of the pipeline hold it weakly
    if training:
        clips = clips.map(_augmenting(config, dataset), workers)
    clips = clips.map(lambda clip, epoch: clip, workers).batch(config.batch_size // share.count)
    if served and config.service is not None and isinstance(dataset, Records):
        clips = dataset.without_broken(split, clips.apply(_by_service(config.service)), log)
        for id, damage in dataset.damaged(split).items():  # the clips are read in other processes, the log is here
            log.damage(id, damage)
    clips = clips.map(_to_unit_range, 1).prefetch(2)
    return clips.with_options(_options(deterministic, workers))


def _samples(dataset: VideoDataset, split: str, config: DataConfig) -> list[Sample]:
    """The samples of the split, which exists and has some."""
    if split not in dataset.splits:
        raise ConfigError(unknown("split", split, dataset.splits))
    if config.augment.flip and dataset.flip_labels is None:
        raise ConfigError("augment.flip: this dataset does not declare flip_labels, so a mirror may change a label")
    samples = dataset.samples(split)
    if not samples:
        raise ConfigError(f"split {split!r} has no clips")
    return samples


def _check_shares(config: DataConfig, share: Share, served: bool, in_step: bool, limit: int | None) -> None:
    """Refuses settings that do not go together."""
    if config.batch_size % share.count:
        raise ConfigError(f"data.batch_size must be a multiple of {share.count} workers, got {config.batch_size}")
    if served and limit is not None:
        raise ConfigError("limit does not go with data.service: its clips come from other processes")
    if served and in_step:
        raise ConfigError("data.service goes with distribution none: its clips cannot be shared out evenly")


def _expecting(log: SkipLog, config: DataConfig, total: int) -> SkipLog:
    """The log, with the number of clips and the limits on bad and damaged ones."""
    log.total, log.max_bad_share, log.max_damaged_share = total, config.max_bad_share, config.max_damaged_share
    return log


def _reader(dataset: VideoDataset, split: str, samples, config: DataConfig, seed, decoder: str, log: SkipLog, pick):
    """A function from an epoch to the dataset of its clips, and the object that the dataset must keep alive.

    Args:
      seed: of the order of clips; None for the dataset's own order.
      pick: leaves out the clips that are not read here.
    """
    workers = config.workers or one_a_core()
    if isinstance(dataset, Records):
        dataset.check_shape(split, config.num_frames, config.size)
        return lambda epoch: dataset.stream(split, epoch, seed, workers, log, pick), dataset
    pool = DecodePool(dataset, workers, config.time_limit, decoder)
    clips = Clips(samples, pool, config, dataset.max_boxes, log)
    return lambda epoch: read_videos(pick(indices_of(len(samples), epoch, seed)), clips, workers), clips


def _options(deterministic: bool, workers: int) -> tf.data.Options:
    options = tf.data.Options()
    options.deterministic = deterministic
    # Threads of its own: those that wait for a child must not be taken from the model's.
    options.threading.private_threadpool_size = workers + 2
    return options


def _chosen(samples: list[Sample], limit: int | None) -> np.ndarray:
    """Which samples are read, bool `(N,)`."""
    if limit is None:
        return np.ones(len(samples), bool)
    ids = {sample.id for sample in in_turn(samples)[: whole_number(limit, "limit")]}
    return np.array([sample.id in ids for sample in samples])


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
    if "size" in settings:
        settings = settings | {"size": frame_size(settings["size"])}
    settings = typed(DataConfig, settings)
    if isinstance(source, DataConfig):
        return dataclasses.replace(source, **settings)
    if isinstance(source, str):
        settings = {"dataset": source} | settings
    elif not isinstance(source, VideoDataset):
        raise ConfigError(f"expected a dataset's name, a VideoDataset or a DataConfig, got {type(source).__name__}")
    return DataConfig(**settings)


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
