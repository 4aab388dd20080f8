"""Computes the first convolution of a model once per clip, for any number of mixtures of its frames.

Freezing and reversing mix frames: the perturbed clip is M x. A convolution is linear, so its output for M x is a
mixture of the outputs of its temporal taps for the unperturbed frames, which do not depend on M:

    conv(M x)[t]  =  sum_k  W[k] * (M x)[t + k]  =  sum_{k, s}  M[t + k, s]  (W[k] * x[s])

Finding a mask takes hundreds of mixtures of one clip. Each of them is now a matrix product instead of a convolution,
and so is its gradient at M. The gradient at the frames, the most expensive step of I3D's backward pass (7x7x7, on 3
channels), is not needed.
"""

from abc import ABC, abstractmethod
from contextlib import contextmanager
from functools import partial

import numpy as np
import tensorflow as tf
from keras import layers

from tfvid.network.recurrence import input_gates, is_plain, recurrence
from tfvid.network.tracing import replaced
from tfvid.perturb.temporal import MATRICES, mix


class Stem(ABC):
    """A model's first convolution in two steps: `features`, once per clip, and `output`, for each mixture.

    Args:
      layer: the layer.
    """

    def __init__(self, layer):
        self.layer = layer

    @abstractmethod
    def fits(self) -> bool:
        """Returns whether this class computes all that the layer does."""

    @abstractmethod
    def features(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns the part that does not depend on the mixture.

        Args:
          inputs: of the layer for the unperturbed clips, `(B, T, H, W, C)`.
        """

    @abstractmethod
    def output(self, features: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
        """Returns the layer's output for the clips mixed by `matrix` `(B, T, T)`."""

    @contextmanager
    def standing_in(self, features, matrix):
        """Inside this context the layer returns its output for the mixed clips and ignores its inputs."""
        with replaced(self.layer, "call", lambda *args, **kwargs: self.output(features, matrix)):
            yield


class Conv3DStem(Stem):
    """A Conv3D: one 2-D convolution per temporal tap, then their mixture."""

    def fits(self):
        layer = self.layer
        return layer.data_format == "channels_last" and layer.groups == 1 and set(layer.dilation_rate) == {1}

    def features(self, inputs):
        """Returns the output of tap k for frame s in row ``k * T + s``: `(B, K T, H' * W' * F)`."""
        layer, (num_frames, *size) = self.layer, inputs.shape[1:]
        kernel = tf.cast(layer.kernel, inputs.dtype)
        frames = tf.reshape(inputs, (-1, *size))
        taps = [
            tf.nn.conv2d(frames, kernel[k], layer.strides[1:], layer.padding.upper())
            for k in range(layer.kernel_size[0])
        ]
        self._size = taps[0].shape[1:]
        rows = tf.stack([tf.reshape(tap, (-1, num_frames, self._size.num_elements())) for tap in taps], axis=1)
        return tf.reshape(rows, (-1, len(taps) * num_frames, self._size.num_elements()))

    def output(self, features, matrix):
        layer = self.layer
        weights = tap_matrix(matrix, layer.kernel_size[0], layer.strides[0], layer.padding)  # (B, T', K T)
        mixed = mixtures_of_rows(weights, features)
        mixed = tf.reshape(mixed, (-1, weights.shape[1], *self._size))
        if layer.use_bias:
            mixed += tf.cast(layer.bias, mixed.dtype)
        return layer.activation(mixed)


def mixtures_of_rows(weights, rows):
    """Returns the product of weights `(B, T, S)` and rows `(B, S, N)`: `(B, T, N)`, in the dtype of the rows.

    Rows of a single clip, `(1, S, N)`, are shared by all mixtures, in one product.
    """
    weights = tf.cast(weights, rows.dtype)
    if rows.shape[0] != 1:
        return tf.matmul(weights, rows)
    mixed = tf.matmul(tf.reshape(weights, (-1, weights.shape[2])), rows[0])
    return tf.reshape(mixed, (-1, weights.shape[1], mixed.shape[1]))


def tap_matrix(matrix, taps: int, stride: int, padding: str):
    """Returns the weights of ``W[k] * x[s]`` in each output step of a temporal convolution of mixed frames.

    Args:
      matrix: `(B, T, T)`, the mixing matrix: row t holds the shares of all frames in frame t.
      taps: the kernel's length in time, K.
      stride: in time.
      padding: "same" (TensorFlow's) or "valid".

    Returns:
      `(B, T', K T)`, column ``k * T + s``; zero for taps outside the clip.
    """
    num_frames = matrix.shape[1]
    steps = -(-num_frames // stride) if padding == "same" else (num_frames - taps) // stride + 1
    missing = max((steps - 1) * stride + taps - num_frames, 0)
    before = missing // 2
    padded = tf.pad(matrix, ((0, 0), (before, missing - before), (0, 0)))
    frame = stride * np.arange(steps)[:, np.newaxis] + np.arange(taps)  # (T', K), of the padded clip
    return tf.reshape(tf.gather(padded, frame, axis=1), (-1, steps, taps * num_frames))


class ConvLSTMStem(Stem):
    """A ConvLSTM2D: the inputs' contributions to its gates are mixed; the recurrence runs for each mixture."""

    def fits(self):
        return is_plain(self.layer)

    def features(self, inputs):
        """Returns the inputs' contributions to the gates, `(B, T, H', W', 4 F)`."""
        return input_gates(self.layer, inputs)

    def output(self, features, matrix):
        shape = features.shape[1:]
        rows = tf.reshape(features, (-1, shape[0], shape[1:].num_elements()))
        return recurrence(self.layer, tf.reshape(mixtures_of_rows(matrix, rows), (-1, *shape)))


class Mixtures:
    """A classifier's scores of a batch of clips under perturbations in time.

    Args:
      classifier: a `Classifier`, prepared.
      stem: that of its model, from `find_stem`; None: the clips themselves are perturbed.
      clips: float32 `(B, T, H, W, C)`.
      features: those of the clips, from `stem_features`, if known.
    """

    def __init__(self, classifier, stem: Stem | None, clips: tf.Tensor, features: tf.Tensor | None = None):
        self.classifier, self.stem, self.clips = classifier, stem, clips
        self.features = stem_features(classifier, stem, clips) if stem and features is None else features

    def __call__(self, perturb, mask: tf.Tensor, score: str = "probability") -> tf.Tensor:
        """Returns the class scores of the perturbed clips.

        Args:
          perturb: the perturbation, a function (clips, mask) -> clips.
          mask: `(B, T)`, one per clip; for a single clip, `(1, T, H, W, C)`, any number of masks.
          score: "probability" or "logit".

        Returns:
          float32 `(B, K)`.
        """
        scores = self.classifier.logits if score == "logit" else self.classifier.probabilities
        clips = self.clips if self.clips.shape[0] != 1 else tf.repeat(self.clips, tf.shape(mask)[0], axis=0)
        perturbed = perturb(clips, mask)  # pruned from the graph if the stem alone uses it
        if self.stem is None or perturb not in MATRICES:
            return scores(perturbed)
        with self.stem.standing_in(self.features, MATRICES[perturb](mask)):
            return scores(perturbed)


def stem_features(classifier, stem: Stem, clips: tf.Tensor) -> tf.Tensor:
    """Returns what a stem computes once for clips float32 `(B, T, H, W, C)`."""
    return stem.features(classifier.run(clips, stem.layer)[0])


def find_stem(classifier, clips: tf.Tensor) -> Stem | None:
    """Returns the stem of a classifier's model, or None if the first convolution cannot be shared.

    This is tested on a clip: the layers before the first convolution must commute with mixing (rescaling does, frame
    differences do not), and the stem must compute all that the layer does.

    Args:
      classifier: a `Classifier`, prepared.
      clips: float32 `(B, T, H, W, C)`, T >= 2.
    """
    layer = next((call.layer for call in classifier.calls if type(call.layer) in STEMS), None)
    if layer is None or sum(call.layer is layer for call in classifier.calls) > 1:
        return None
    stem = STEMS[type(layer)](layer)
    if not stem.fits():
        return None

    def both_ways(clip, matrix):
        whole = classifier.run(mix(clip, matrix), layer)[1]
        inputs, _ = classifier.run(clip, layer)
        return whole, stem.output(stem.features(inputs), matrix) if inputs.shape[1] == clip.shape[1] else None

    rng = np.random.default_rng(0)
    matrix = tf.nn.softmax(tf.constant(3 * rng.normal(size=(1, clips.shape[1], clips.shape[1])), tf.float32))
    # A new partial per model: TensorFlow counts retraces by function, and would warn of those of other models.
    whole, shared = tf.function(partial(both_ways), autograph=False)(clips[:1], matrix)
    if shared is None:  # the layer's inputs are not the frames
        return None
    tolerance = 1e-4 if whole.dtype == tf.float32 else 2e-2
    whole, shared = tf.cast(whole, tf.float32), tf.cast(shared, tf.float32)
    same = tf.reduce_max(tf.abs(whole - shared)) <= tolerance * tf.reduce_max(tf.abs(whole))
    return stem if same else None


STEMS = {layers.Conv3D: Conv3DStem, layers.ConvLSTM2D: ConvLSTMStem}
