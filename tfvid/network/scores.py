"""Scores of a model's outputs, for `tfvid.VideoModel(model, score=...)`: one number per clip.

A score is a function of the model's outputs, as the model returns them, to floats `(B,)`. It is explained in place of a
class score: masks lower it, and gradients and maps are those of it. Any function of TensorFlow operations is a score;
these are the common ones.
"""

from collections.abc import Callable

import tensorflow as tf

from tfvid.core.errors import TfvidError

Score = Callable[[tf.Tensor], tf.Tensor]


def margin(first: int, second: int) -> Score:
    """Returns the score ``y[first] - y[second]``: what distinguishes one class from another.

    Args:
      first: the class whose evidence counts for the score.
      second: the class whose evidence counts against it.

    Returns:
      A function of class scores `(B, K)`.
    """

    def score(outputs):
        return outputs[:, first] - outputs[:, second]

    return score


def unit(index: int = 0) -> Score:
    """Returns the score ``y[index]``: one output of a regression, without an activation.

    Returns:
      A function of outputs `(B, K)`.
    """
    return lambda outputs: outputs[:, index]


def similarity(answer) -> Score:
    """Returns the negative mean squared distance of the outputs to a recorded answer.

    For dense outputs: next frames, segmentations, heat maps, embeddings. The score is 0 where the outputs are the
    answer, and lower elsewhere.

    Args:
      answer: the recorded outputs, without the batch.

    Returns:
      A function of outputs `(B, ...)`.
    """
    answer = tf.constant(answer, tf.float32)

    def score(outputs):
        difference = tf.cast(outputs, tf.float32) - answer
        return -tf.reduce_mean(tf.square(difference), axis=tuple(range(1, len(outputs.shape))))

    return score


def band_power(fps: float, low: float, high: float) -> Score:
    """Returns the share of a signal's power between two frequencies, in [0, 1]: e.g. of a pulse, 0.7 to 4 Hz.

    The mean of the signal is removed first. The share is that of the squared absolute values of the discrete Fourier
    transform of the real signal, without a window.

    Args:
      fps: samples per second of the signal.
      low: the lower end of the band, in Hz, >= 0.
      high: the upper end, in Hz.

    Returns:
      A function of signals `(B, T)` or `(B, T, 1)`.

    Raises:
      TfvidError: ``fps <= 0``, or not ``0 <= low < high``.
    """
    if fps <= 0 or not 0 <= low < high:
        raise TfvidError(f"band_power: expected fps > 0 and 0 <= low < high, got fps={fps}, low={low}, high={high}")

    def score(outputs):
        signal = tf.cast(outputs, tf.float32)
        if len(signal.shape) == 3:
            signal = tf.squeeze(signal, axis=-1)
        signal -= tf.reduce_mean(signal, axis=1, keepdims=True)
        power = tf.square(tf.abs(tf.signal.rfft(signal)))
        count = tf.shape(signal)[1]
        frequency = tf.range(tf.shape(power)[1], dtype=tf.float32) * (fps / tf.cast(count, tf.float32))
        within = tf.cast((frequency >= low) & (frequency <= high), tf.float32)
        return tf.math.divide_no_nan(tf.reduce_sum(power * within, axis=1), tf.reduce_sum(power, axis=1))

    return score
