"""Adam on a batch of masks, traced into one graph. Each clip has its own moments, loss and end."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfvid.network.private_api import uninlined


class State(NamedTuple):
    """The state of the descent: the step (from 1), and per clip r, the moments, the best r and the step counts."""

    step: tf.Tensor  # ()
    r: tf.Tensor  # (B, T)
    first: tf.Tensor  # (B, T)
    second: tf.Tensor  # (B, T)
    best_r: tf.Tensor  # (B, T)
    best_loss: tf.Tensor  # (B,)
    stale: tf.Tensor  # (B,), steps since the loss last improved by more than the tolerance
    taken: tf.Tensor  # (B,)


class StopRule(NamedTuple):
    """When a clip stops.

    Attributes:
      iterations: int32 `(B,)`, the maximum number of steps of each clip.
      tolerance: a clip stops after `patience` steps in a row that do not lower its best loss by more than this. None:
        it takes all its iterations.
      patience: see `tolerance`.
    """

    iterations: tf.Tensor
    tolerance: float | None
    patience: int

    def active(self, state: State) -> tf.Tensor:
        """Returns which clips go on: bool `(B,)`."""
        has_steps = state.step <= self.iterations
        return has_steps if self.tolerance is None else has_steps & (state.stale < self.patience)


def descend(
    loss: Callable[[tf.Tensor], tf.Tensor], r: tf.Tensor, learning_rate: float, stop: StopRule, keep: str
) -> tuple[tf.Tensor, tf.Tensor]:
    """Minimises `loss` from `r` by Adam.

    Args:
      loss: r `(B, T)` to losses `(B,)`, each of its own row.
      r: float32 `(B, T)`.
      learning_rate: of Adam.
      stop: when each clip stops.
      keep: "last", r after the last step, or "best", the r with the lowest loss.

    Returns:
      r `(B, T)`, and the number of steps of each clip, int32 `(B,)`.
    """
    loss_and_gradient = _with_gradient(loss)

    def goes_on(state):
        return tf.reduce_any(stop.active(state))

    def step(state):
        return [_next(state, *loss_and_gradient(state.r), learning_rate, stop)]

    state = tf.while_loop(goes_on, step, [_start(r)])[0]
    if keep == "last":
        return state.r, state.taken
    last_is_best = loss(state.r) < state.best_loss
    return tf.where(last_is_best[:, tf.newaxis], state.r, state.best_r), state.taken


def _start(r) -> State:
    zeros = tf.zeros_like(r)
    none = tf.zeros_like(r[:, 0], tf.int32)
    return State(tf.constant(1), r, zeros, zeros, r, tf.fill(tf.shape(none), np.inf), none, none)


def _next(state: State, value, gradient, learning_rate: float, stop: StopRule) -> State:
    """Returns the state after one step, given the losses and their gradients at ``state.r``."""
    first, second, move = adam(gradient, state.step, state.first, state.second)
    better = value < state.best_loss
    clearly_better = value < state.best_loss - (stop.tolerance or 0.0)
    moved = stop.active(state)
    return State(
        step=state.step + 1,
        r=tf.where(moved[:, tf.newaxis], state.r - learning_rate * move, state.r),
        first=first,
        second=second,
        best_r=tf.where(better[:, tf.newaxis], state.r, state.best_r),
        best_loss=tf.minimum(value, state.best_loss),
        stale=tf.where(clearly_better, 0, state.stale + 1),
        taken=state.taken + tf.cast(moved, tf.int32),
    )


def _with_gradient(loss):
    """Returns a function of r that computes the losses and their gradients.

    It stays a function of its own within the loop. Inlined into the loop, the gradients of some 3-D max-pools run a
    kernel that is a hundred times slower than oneDNN's (TensorFlow 2.21: the rewrite needs the pool before its
    gradient, and the graph of a loop has no such order).
    """

    @uninlined
    def loss_and_gradient(r):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(r)
            value = loss(r)
        return value, tape.gradient(value, r)

    return loss_and_gradient


def adam(g, t, m, v, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8):
    """Computes one step of Adam, Kingma & Ba, ICLR 2015, Algorithm 1.

    Args:
      g: the gradient.
      t: the step, from 1.
      m: the first moment before the step, the shape of `g`.
      v: the second moment before the step, the shape of `g`.
      beta1: decay rate of the first moment, in [0, 1).
      beta2: decay rate of the second moment, in [0, 1).
      epsilon: added to the denominator, > 0.

    Returns:
      The first and the second moment after the step, and the update, to be multiplied by the learning rate and
      subtracted.
    """
    t = tf.cast(t, g.dtype)
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g**2
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    return m, v, m_hat / (tf.sqrt(v_hat) + epsilon)
