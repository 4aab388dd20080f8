"""The epochs of training: their numbers, the order of their clips, and the replacement of bad clips."""

import numpy as np
import tensorflow as tf

from tfvid.core.errors import ConfigError
from tfvid.data.skipped import SkipLog


def epochs_of(epoch: int | tf.Variable):
    """Returns a function that gives the epoch of an iterator, int64; it runs in the graph when the iterator starts."""
    if isinstance(epoch, tf.Variable) and epoch.dtype.is_integer and epoch.shape.rank == 0:
        return lambda: tf.cast(epoch.read_value(), tf.int64)
    if isinstance(epoch, bool) or not isinstance(epoch, int | np.integer) or epoch < 0:
        raise ConfigError(f"epoch must be a whole number, 0 or more, or a tf.Variable of one, got {epoch!r}")
    with tf.device("CPU"):  # where pipelines run
        following = tf.Variable(epoch, dtype=tf.int64, trainable=False)
    # One operation reads and adds, so two iterators that start together get two numbers. It returns the value before.
    return lambda: tf.raw_ops.ResourceCountUpTo(resource=following.handle, limit=tf.int64.max, T=tf.int64)


def passes(begin, read, count: int, log: SkipLog) -> tf.data.Dataset:
    """Returns a dataset of `count` (clip, epoch) of ``read(epoch)``; each new iterator is another epoch.

    If some clips cannot be read, the first ones of the epoch replace them. If none can be read, `log` stops the run.

    Args:
      begin: gives the epoch of an iterator, see `epochs_of`.
      read: makes the dataset of one pass over the clips; its argument is the epoch, an int64 tensor.
      count: number of clips in an epoch.
      log: lists bad clips.
    """

    @tf.autograph.experimental.do_not_convert
    def one_pass(_):
        # Inside a flat_map, so it runs in each new iterator. Each clip carries its epoch: later steps of the pipeline
        # may still process it when the next epoch has begun.
        clips = read(begin())
        # `repeat` ends only if there is nothing to repeat.
        return clips.repeat().concatenate(_none_left(clips.element_spec, count, log)).take(count)

    passes = tf.data.Dataset.range(1).flat_map(one_pass)
    return passes.apply(tf.data.experimental.assert_cardinality(count))


def _none_left(spec, count: int, log: SkipLog) -> tf.data.Dataset:
    """Returns a dataset of `spec` that raises the error of `SkipLog.none_left` when it is read."""

    def fail(_):
        with tf.control_dependencies([tf.numpy_function(lambda: log.none_left(count), [], tf.bool)]):
            return tf.nest.map_structure(lambda part: tf.zeros(part.shape, part.dtype), spec)

    return tf.data.Dataset.range(1).map(fail)


def indices_of(count: int, epoch: tf.Tensor, seed: int | None) -> tf.data.Dataset:
    """Returns a dataset of (index, epoch), int64, in an order that is a pure function of (seed, epoch).

    Without a seed the indices are in order.
    """
    order = tf.range(count, dtype=tf.int64)
    if seed is not None:
        order = tf.random.experimental.stateless_shuffle(order, tf.stack([tf.constant(seed, tf.int64), epoch]))
    return tf.data.Dataset.from_tensor_slices((order, tf.fill([count], epoch)))
