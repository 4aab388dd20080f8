"""Adam on a batch of masks, every clip with moments, a loss and an end of its own; traced into one graph."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfvid.network.private_api import uninlined


class State(NamedTuple):
    """Where the descent stands: the step (from 1), and for each clip its own r, Adam moments, best and patience."""

    step: tf.Tensor  # ()
    r: tf.Tensor  # (B, T)
    first: tf.Tensor  # (B, T)
    second: tf.Tensor  # (B, T)
    best_r: tf.Tensor  # (B, T)
    best_loss: tf.Tensor  # (B,)
    stale: tf.Tensor  # (B,), steps since the loss was last clearly better
    taken: tf.Tensor  # (B,)


def descend(
    loss: Callable[[tf.Tensor], tf.Tensor],
    r: tf.Tensor,
    iterations: tf.Tensor,
    *,
    learning_rate: float,
    tolerance: float | None,
    patience: int,
    keep: str,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Goes down `loss` from r.

    Args:
      loss: r `(B, T)` to `(B,)`.
      r: float32 `(B, T)`.
      iterations: int32 `(B,)`, the steps each clip may take.
      learning_rate: Adam's.
      tolerance: a clip is done after `patience` steps of which none lowered its best loss by more; None: it takes all.
      patience: see `tolerance`.
      keep: "last", r after the last step, or "best", the one of the lowest loss on the way.

    Returns:
      r, and the steps each clip took, `(B,)`.
    """

    def active(state):
        has_steps = state.step <= iterations
        return has_steps if tolerance is None else has_steps & (state.stale < patience)

    def goes_on(state):
        return tf.reduce_any(active(state))

    # A function of its own within the loop: inlined into it, the gradient of some of the 3-D max-pools would fall
    # back from oneDNN to a kernel a hundred times slower (TensorFlow 2.21: the rewrite wants a pool before its
    # gradient, and a loop's graph has no such order).
    @uninlined
    def loss_and_gradient(r):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(r)
            value = loss(r)
        return value, tape.gradient(value, r)

    def step(state):
        value, gradient = loss_and_gradient(state.r)
        first, second, move = adam(gradient, state.step, state.first, state.second)
        better = value < state.best_loss
        clearly_better = value < state.best_loss - (tolerance or 0.0)
        moved = active(state)
        return [
            State(
                step=state.step + 1,
                r=tf.where(moved[:, tf.newaxis], state.r - learning_rate * move, state.r),
                first=first,
                second=second,
                best_r=tf.where(better[:, tf.newaxis], state.r, state.best_r),
                best_loss=tf.minimum(value, state.best_loss),
                stale=tf.where(clearly_better, 0, state.stale + 1),
                taken=state.taken + tf.cast(moved, tf.int32),
            )
        ]

    zeros = tf.zeros_like(r)
    none = tf.zeros_like(r[:, 0], tf.int32)
    start = State(tf.constant(1), r, zeros, zeros, r, tf.fill(tf.shape(none), np.inf), none, none)
    state = tf.while_loop(goes_on, step, [start])[0]
    if keep == "last":
        return state.r, state.taken
    last_is_best = loss(state.r) < state.best_loss
    return tf.where(last_is_best[:, tf.newaxis], state.r, state.best_r), state.taken


def adam(g, t, m, v, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8):
    """One step of Adam, Kingma & Ba, ICLR 2015, Algorithm 1.

    Args:
      g: the gradient.
      t: the step, from 1.
      m: the first moment before the step, the shape of `g`.
      v: the second moment before the step, the shape of `g`.

    Returns:
      Both moments after the step, and the direction to go *against*, times the learning rate.
    """
    t = tf.cast(t, g.dtype)
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g**2
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    return m, v, m_hat / (tf.sqrt(v_hat) + epsilon)
