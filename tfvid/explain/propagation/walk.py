"""The backward pass: from the scores down to the clips, operation by operation, by a rule.

What is passed down is a multiplier m for each element x of each tensor, as a gradient is. The contribution of x to the
score is m x for LRP, and m times the change of x for DeepLIFT. Through an operation that is linear, the multipliers of
both methods are the ordinary gradient, so only products, activations and the like need a rule.
"""

from collections.abc import Callable

import tensorflow as tf

from tfvid.explain.propagation.recording import Recording
from tfvid.network.private_api import gradient_of_operation

Shares = list[tuple[tf.Tensor, tf.Tensor | None]]


class Multipliers:
    """Sums of multipliers by tensor."""

    def __init__(self):
        self._by_tensor: dict = {}

    def add(self, shares: Shares):
        """Adds to the multipliers of tensors; None adds nothing."""
        for x, m in shares:
            if m is not None:
                known = self._by_tensor.get(x.ref())
                self._by_tensor[x.ref()] = m if known is None else known + m

    def take(self, x: tf.Tensor):
        """Returns the multiplier of `x`, or None, and forgets it."""
        return self._by_tensor.pop(x.ref(), None)


def walk(recording: Recording, start: tf.Tensor, rule: Callable[[tf.Operation, list], Shares]) -> tf.Tensor:
    """Passes multipliers from the logits down to the clips.

    Args:
      recording: a run of the model.
      start: the multipliers of the logits, float32 `(B, K)`.
      rule: a function of an operation and the multipliers of its outputs (None for zero) that returns pairs of an input
        and its multiplier.

    Returns:
      The multipliers of the clips, `(B, T, H, W, C)`; zeros if nothing reaches them.
    """
    sums = Multipliers()
    sums.add([(recording.logits, start)])
    for operation in reversed(recording.operations):
        of_outputs = [sums.take(y) for y in operation.outputs]
        if any(m is not None for m in of_outputs):
            shares = rule(operation, of_outputs)
            sums.add([(x, m) for x, m in shares if recording.is_live(x)])
    found = sums.take(recording.clips)
    return tf.zeros_like(recording.clips) if found is None else found


def ordinary(operation: tf.Operation, of_outputs: list) -> Shares:
    """The ordinary gradient of an operation."""
    filled = [
        tf.zeros_like(y) if m is None and y.dtype.is_floating else m
        for y, m in zip(operation.outputs, of_outputs, strict=True)
    ]
    return list(zip(operation.inputs, gradient_of_operation(operation, filled), strict=True))


def one_to_one(operation: tf.Operation, of_outputs: list) -> Shares:
    """Multipliers stay at their element, for outputs that are the inputs."""
    return [(x, None if m is None else tf.cast(m, x.dtype)) for x, m in zip(operation.inputs, of_outputs, strict=True)]


def summed_to(share: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """Returns the share of an input that was broadcast, summed over the places that it was broadcast to."""
    if share.shape.is_fully_defined() and share.shape == x.shape:
        return share
    axes, _ = tf.raw_ops.BroadcastGradientArgs(s0=tf.shape(x), s1=tf.shape(share))
    return tf.reshape(tf.reduce_sum(share, axes), tf.shape(x))
