"""A function of batched tensors, traced once."""

from functools import partial

import tensorflow as tf

from tfvid.core.timing import timed


class Compiled:
    """A function of batched tensors, compiled once for each clip shape whatever the batch size.

    Args:
      function: of tensors whose first axis is the batch.
      part: what its time counts to, "forward" or "gradient", see `tfvid.core.timing`. The first call of each shape,
        which traces and optimises the graph, counts to "trace".
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
            # Without autograph, as Keras traces its own training step. A partial of its own for each explainer:
            # TensorFlow counts retraces by a function's code, and would warn of those of other explainers.
            self._compiled[signature] = tf.function(partial(self._function), signature, autograph=False)
        with timed(part):
            return self._compiled[signature](*tensors)

    @property
    def traces(self) -> int:
        """How often the function has been traced."""
        return sum(compiled.experimental_get_tracing_count() for compiled in self._compiled.values())
