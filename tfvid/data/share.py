"""The part of each batch that one of several workers reads: together they read the batches that one would read."""

from dataclasses import dataclass

import tensorflow as tf


@dataclass(frozen=True)
class Share:
    """The share of worker `index` of `count`: each batch is cut into `count` equal parts, in order.

    Attributes:
      index: number of the worker, 0-based.
      count: number of workers; it divides the batch size.
    """

    index: int = 0
    count: int = 1

    def of(self, clips: tf.data.Dataset, batch_size: int, whole: bool) -> tf.data.Dataset:
        """Returns the share of `clips` (single tensors, or tuples of them), in their order.

        Args:
          clips: all clips.
          batch_size: the size of a batch of all workers.
          whole: whether a last batch that is not full is left out.
        """
        if self.count == 1 and not whole:
            return clips
        size = batch_size // self.count
        mine = slice(self.index * size, (self.index + 1) * size)

        def cut(*columns):
            columns = tuple(column[mine] for column in columns)
            return columns if len(columns) > 1 else columns[0]

        return clips.batch(batch_size, drop_remainder=whole).map(cut).unbatch()

    def clips(self, total: int, batch_size: int, whole: bool) -> int:
        """Returns the number of clips in the share of `total` clips; see `of`."""
        batches, rest = divmod(total, batch_size)
        size = batch_size // self.count
        return batches * size + (0 if whole else min(max(rest - self.index * size, 0), size))
