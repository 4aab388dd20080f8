"""A function of batched tensors, traced once."""

from functools import partial

import tensorflow as tf

from tfvid.core.timing import timed
from tfvid.network.python_calls import plainly_raised


class Compiled:
    """A function of batched tensors, compiled once for each clip shape, for any batch size.

    Args:
      function: a function of tensors whose first axis is the batch.
      part: the part of `tfvid.core.timing` that its time counts for, "forward" or "gradient". The first call of each
        shape traces and optimises the graph and counts for "trace".
    """

    def __init__(self, function, part: str = "forward"):
        self._function = function
        self._part = part
        self._compiled: dict[tuple, tf.types.experimental.PolymorphicFunction] = {}

    def __call__(self, *tensors: tf.Tensor):
        signature = tuple(tf.TensorSpec((None, *tensor.shape[1:]), tensor.dtype) for tensor in tensors)
        part = self._part
        if signature not in self._compiled:
            part = "trace"
            # Without autograph, as Keras traces its training step. Each explainer has its own partial: TensorFlow
            # counts retraces by function, and would warn of the retraces of other explainers.
            self._compiled[signature] = tf.function(partial(self._function), signature, autograph=False)
        with timed(part), plainly_raised():
            return self._compiled[signature](*tensors)

    @property
    def traces(self) -> int:
        """The number of times that the function has been traced."""
        return sum(compiled.experimental_get_tracing_count() for compiled in self._compiled.values())
