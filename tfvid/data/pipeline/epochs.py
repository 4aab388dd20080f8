"""The epochs of training: their numbers, the order of their clips, and their length."""

import numpy as np
import tensorflow as tf

from tfvid.core.errors import ConfigError
from tfvid.data.skipped import SkipLog


def epochs_of(epoch: int | tf.Variable):
    """A function of a graph that runs when an iterator starts: the iterator's epoch, int64."""
    if isinstance(epoch, tf.Variable) and epoch.dtype.is_integer and epoch.shape.rank == 0:
        return lambda: tf.cast(epoch.read_value(), tf.int64)
    if isinstance(epoch, bool) or not isinstance(epoch, int | np.integer) or epoch < 0:
        raise ConfigError(f"epoch: expected a number, 0 or more, or a tf.Variable of one, got {epoch!r}")
    with tf.device("CPU"):  # where pipelines run
        following = tf.Variable(epoch, dtype=tf.int64, trainable=False)
    # In one operation, so that two iterators that start together get two numbers. It returns the value before.
    return lambda: tf.raw_ops.ResourceCountUpTo(resource=following.handle, limit=tf.int64.max, T=tf.int64)


def passes(begin, read, count: int, log: SkipLog) -> tf.data.Dataset:
    """(clip, epoch) of ``read(epoch)``, for another epoch in each new iterator; always `count` of them.

    If some clips cannot be read, the first ones of the epoch replace them. If none can be read, `log` stops the run.

    Args:
      begin: gives the epoch, see `epochs_of`.
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


def indices_of(count: int, epoch: tf.Tensor, seed: int | None) -> tf.data.Dataset:
    """(sample index, epoch) int64 pairs; shuffled, where there is a seed, by a pure function of (seed, epoch)."""
    order = tf.range(count, dtype=tf.int64)
    if seed is not None:
        order = tf.random.experimental.stateless_shuffle(order, tf.stack([tf.constant(seed, tf.int64), epoch]))
    return tf.data.Dataset.from_tensor_slices((order, tf.fill([count], epoch)))
