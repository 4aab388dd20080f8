"""One worker's part of each batch, so that several workers together see what one alone would."""

from dataclasses import dataclass

import tensorflow as tf


@dataclass(frozen=True)
class Share:
    """Worker `index` of `count`: it is given the `index`-th of `count` equal runs of each batch.

    Attributes:
      index: 0 is the first.
      count: of workers; divides the batch size.
    """

    index: int = 0
    count: int = 1

    def of(self, clips: tf.data.Dataset, batch_size: int, whole: bool) -> tf.data.Dataset:
        """The share of single `clips` (tensors, or tuples of them) in their order.

        `whole` leaves out a last batch that is not full.
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
        """How many of `total` clips the share is."""
        batches, rest = divmod(total, batch_size)
        size = batch_size // self.count
        return batches * size + (0 if whole else min(max(rest - self.index * size, 0), size))
