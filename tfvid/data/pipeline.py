"""From a dataset to batches of clips: decoded in parallel, in a repeatable order, bad files skipped and listed."""

import dataclasses
import inspect
import os
import weakref

import numpy as np
import tensorflow as tf

from tfvid.core.arguments import frame_size, whole_number
from tfvid.core.errors import ConfigError, TfvidError, VideoError, one_line, unknown
from tfvid.core.typed import typed
from tfvid.data import DATASETS
from tfvid.data.augment import augment
from tfvid.data.base import VideoDataset
from tfvid.data.choose import in_turn
from tfvid.data.clip import Clip, Sample
from tfvid.data.decode.worker import DecodePool, one_a_core
from tfvid.data.records import Records
from tfvid.data.settings import DataConfig
from tfvid.data.share import Share
from tfvid.data.skipped import SkipLog


def make_dataset(source, root=None, **options) -> VideoDataset:
    """Builds a dataset by name, or from a `DataConfig`.

    Args:
      source: a name in `DATASETS`, ``"my_file.py:MyDataset"``, or a `DataConfig` (its `records`, where given,
        stand for the dataset they were made from).
      root: the dataset's folder; None for a generated one.
      options: its further keyword arguments.

    Raises:
      ConfigError: an option the dataset does not have, or of the wrong type, or a missing root.
      TfvidError: no such dataset, or what it says about its files.
    """
    if isinstance(source, DataConfig):
        if source.records is not None:
            records = Records(source.records)
            records.check_options(source.options)
            return records
        return make_dataset(source.dataset, source.root, **source.options)
    cls = DATASETS.find(source)
    parameters = inspect.signature(cls).parameters
    accepts_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for name in options:
        if name not in parameters and not accepts_any:
            raise ConfigError(f"dataset {source}: {unknown('option', name, [p for p in parameters if p != 'root'])}")
    if "root" in parameters and parameters["root"].default is inspect.Parameter.empty and root is None:
        given = "root=..., --root FOLDER or data.root=FOLDER"
        raise ConfigError(f"dataset {source!r} needs the folder that it lies in: {given}")
    if root is not None:
        options = {"root": os.fspath(root)} | options
    try:
        dataset = cls(**options)
    except TypeError as error:
        given = ", ".join(f"{name}={value!r}" for name, value in options.items() if name != "root")
        if source not in DATASETS or not given:  # a fault in a class, which its author wants to see in full
            raise
        raise ConfigError(f"dataset {source}: one of its options has the wrong type: {given} ({error})") from error
    if source not in DATASETS:
        dataset.origin = source  # a file: where a decode process finds the class again
    return dataset


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
    begin, workers = _epochs(epoch), config.workers or one_a_core()

    def pick(indices):
        if not is_chosen.all():  # elements are (index, epoch), or of shards (record, index, epoch)
            indices = indices.filter(lambda *element: tf.gather(is_chosen, element[-2]))
        return share.of(indices, config.batch_size, in_step)

    read, holder = _reader(dataset, split, samples, config, config.seed if training else None, decoder, log, pick)
    if served:
        assert isinstance(dataset, Records)  # a service reads shards only
        clips = dataset.served(split, int(epoch), config.seed)
    elif training:
        clips = _passes(begin, read, count, log)
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
    clips = _Clips(samples, pool, config, dataset.max_boxes, log)
    return lambda epoch: _read(pick(_indices(len(samples), epoch, seed)), clips, workers), clips


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


def _epochs(epoch: int | tf.Variable):
    """A function of a graph that runs when an iterator starts: the iterator's epoch, int64."""
    if isinstance(epoch, tf.Variable) and epoch.dtype.is_integer and epoch.shape.rank == 0:
        return lambda: tf.cast(epoch.read_value(), tf.int64)
    if isinstance(epoch, bool) or not isinstance(epoch, int | np.integer) or epoch < 0:
        raise ConfigError(f"epoch: expected a number, 0 or more, or a tf.Variable of one, got {epoch!r}")
    with tf.device("CPU"):  # where pipelines run
        following = tf.Variable(epoch, dtype=tf.int64, trainable=False)
    # In one operation, so that two iterators that start together get two numbers. It returns the value before.
    return lambda: tf.raw_ops.ResourceCountUpTo(resource=following.handle, limit=tf.int64.max, T=tf.int64)


def _passes(begin, read, count: int, log: SkipLog) -> tf.data.Dataset:
    """(clip, epoch) of ``read(epoch)``, for another epoch in each new iterator; always `count` of them.

    If some clips cannot be read, the first ones of the epoch replace them. If none can be read, `log` stops the run.

    Args:
      begin: gives the epoch, see `_epochs`.
      read: makes the dataset of one pass over the clips from its epoch, an int64 tensor.
    """

    @tf.autograph.experimental.do_not_convert
    def one_pass(_):
        # Inside a flat_map, so that it runs in each new iterator. The epoch travels with its clips: what follows runs
        # ahead of the consumer, who may have set the next epoch by then.
        clips = read(begin())
        # `repeat` ends only if there is nothing to repeat.
        return clips.repeat().concatenate(_none_left(clips.element_spec, count, log)).take(count)

    passes = tf.data.Dataset.range(1).flat_map(one_pass)
    return passes.apply(tf.data.experimental.assert_cardinality(count))


def _none_left(spec, count: int, log: SkipLog) -> tf.data.Dataset:
    """A dataset of elements of `spec` whose first element is the error of `SkipLog.none_left`."""

    def fail(_):
        with tf.control_dependencies([tf.numpy_function(lambda: log.none_left(count), [], tf.bool)]):
            return tf.nest.map_structure(lambda part: tf.zeros(part.shape, part.dtype), spec)

    return tf.data.Dataset.range(1).map(fail)


def _indices(count: int, epoch: tf.Tensor, seed: int | None) -> tf.data.Dataset:
    """(sample index, epoch) int64 pairs; shuffled, where there is a seed, by a pure function of (seed, epoch)."""
    order = tf.range(count, dtype=tf.int64)
    if seed is not None:
        order = tf.random.experimental.stateless_shuffle(order, tf.stack([tf.constant(seed, tf.int64), epoch]))
    return tf.data.Dataset.from_tensor_slices((order, tf.fill([count], epoch)))


def _read(indices: tf.data.Dataset, clips: "_Clips", workers: int) -> tf.data.Dataset:
    """(index, epoch) -> (clip, epoch), without the clips that cannot be read."""
    labels, ids = clips.labels, clips.ids
    # TensorFlow keeps every numpy_function until the process ends. So that the decode processes end with their
    # dataset, the function only knows where the clips are, and the dataset holds them.
    reference = weakref.ref(clips)

    def read(index, epoch):
        frames, event, boxes, damage, ok = tf.numpy_function(
            lambda index: reference().read(index), [index], (tf.uint8, tf.int32, tf.float32, tf.string, tf.bool)
        )
        clip = {
            "clip": tf.ensure_shape(frames, clips.frames_shape),
            "label": labels[index],
            "id": ids[index],
            "event": tf.ensure_shape(event, (2,)),
            "boxes": tf.ensure_shape(boxes, clips.boxes_shape),
            "damage": tf.ensure_shape(damage, ()),
        }
        return clip, epoch, tf.ensure_shape(ok, ())

    dataset = indices.map(read, workers).filter(lambda clip, epoch, ok: ok)
    return dataset.map(lambda clip, epoch, ok: (clip, epoch), workers)


class _Clips:
    """The clips of one split, by index; what cannot be read goes into the log."""

    def __init__(self, samples: list[Sample], pool: DecodePool, config: DataConfig, max_boxes: int, log: SkipLog):
        self.samples, self.pool, self.config, self.log = samples, pool, config, log
        self.labels = tf.constant([sample.label for sample in samples], tf.int32)
        self.ids = tf.constant([sample.id for sample in samples])
        self.frames_shape = (config.num_frames, *config.size, 3)
        self.boxes_shape = (config.num_frames, max_boxes, 4)

    def read(self, index: int):
        """Frames, event, boxes, damage, and whether there are any frames."""
        sample = self.samples[index]
        try:
            clip = self._clip(sample)
        except VideoError as error:
            self.log.bad(sample.id, error.reason)
            frames, boxes = np.zeros(self.frames_shape, np.uint8), np.zeros(self.boxes_shape, np.float32)
            return frames, np.zeros(2, np.int32), boxes, b"", False
        except TfvidError as error:
            self.log.stop(error)
        self.log.good()
        damage = one_line(clip.damage)
        if damage:
            self.log.damage(sample.id, damage)
        return clip.frames, clip.event, clip.boxes, damage.encode(), True

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
