"""The first convolution of a model, done once for a clip, however often its frames are mixed.

Freezing and reversing mix frames: the perturbed clip is M x. A convolution is linear, so what it makes of M x is a
mixture of what its taps in time make of the frames as they are, and those never change:

    conv(M x)[t]  =  sum_k  W[k] * (M x)[t + k]  =  sum_{k, s}  M[t + k, s]  (W[k] * x[s])

A learned mask asks for hundreds of mixtures of one clip. Each is now a matrix product instead of a convolution, and its
gradient at M another: the gradient at the frames, the most expensive single step of I3D's backward pass (7x7x7, on 3
channels), is never needed.
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
    """A model's first convolution as two steps: `features`, once a clip, and `output`, for each mixture.

    Args:
      layer: the layer.
    """

    def __init__(self, layer):
        self.layer = layer

    @abstractmethod
    def fits(self) -> bool:
        """Whether the layer does no more than is written here."""

    @abstractmethod
    def features(self, inputs: tf.Tensor) -> tf.Tensor:
        """What does not depend on the mixture, from the layer's inputs `(B, T, H, W, C)` for the clips as they are."""

    @abstractmethod
    def output(self, features: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
        """The layer's output for the clips mixed by `matrix` `(B, T, T)`."""

    @contextmanager
    def standing_in(self, features, matrix):
        """While a model is called in here, its layer returns its output for the mixed clips, whatever it is given."""
        with replaced(self.layer, "call", lambda *args, **kwargs: self.output(features, matrix)):
            yield


class Conv3DStem(Stem):
    """A Conv3D: one 2-D convolution for each of its taps in time, then their mixture."""

    def fits(self):
        layer = self.layer
        return layer.data_format == "channels_last" and layer.groups == 1 and set(layer.dilation_rate) == {1}

    def features(self, inputs):
        """`(B, K T, H' * W' * F)`: what tap k makes of frame s, in row ``k * T + s``."""
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
    """Weights `(B, T, S)` times rows `(B, S, N)`: `(B, T, N)`, in the dtype of the rows.

    Rows of one clip, `(1, S, N)`, are those of all mixtures: one product then, which reads them once.
    """
    weights = tf.cast(weights, rows.dtype)
    if rows.shape[0] != 1:
        return tf.matmul(weights, rows)
    mixed = tf.matmul(tf.reshape(weights, (-1, weights.shape[2])), rows[0])
    return tf.reshape(mixed, (-1, weights.shape[1], mixed.shape[1]))


def tap_matrix(matrix, taps: int, stride: int, padding: str):
    """The weights of ``W[k] * x[s]`` in each output step of a convolution over time of mixed frames.

    Args:
      matrix: `(B, T, T)`, the mixture: row t holds the shares of all frames in frame t.
      taps: the kernel's length in time, K.
      stride: its step in time.
      padding: "same" (TensorFlow's) or "valid".

    Returns:
      `(B, T', K T)`, column ``k * T + s``; zero where a tap falls off the clip.
    """
    num_frames = matrix.shape[1]
    steps = -(-num_frames // stride) if padding == "same" else (num_frames - taps) // stride + 1
    missing = max((steps - 1) * stride + taps - num_frames, 0)
    before = missing // 2
    padded = tf.pad(matrix, ((0, 0), (before, missing - before), (0, 0)))
    frame = stride * np.arange(steps)[:, np.newaxis] + np.arange(taps)  # (T', K), of the padded clip
    return tf.reshape(tf.gather(padded, frame, axis=1), (-1, steps, taps * num_frames))


class ConvLSTMStem(Stem):
    """A ConvLSTM2D: what the inputs add to its gates is mixed; the recurrence runs for every mixture."""

    def fits(self):
        return is_plain(self.layer)

    def features(self, inputs):
        """`(B, T, H', W', 4 F)`."""
        return input_gates(self.layer, inputs)

    def output(self, features, matrix):
        shape = features.shape[1:]
        rows = tf.reshape(features, (-1, shape[0], shape[1:].num_elements()))
        return recurrence(self.layer, tf.reshape(mixtures_of_rows(matrix, rows), (-1, *shape)))


class Mixtures:
    """What a classifier makes of a batch of clips under any perturbation in time, any number of times.

    Args:
      classifier: a `Classifier`, prepared.
      stem: its model's, from `find_stem`; None perturbs the clips themselves.
      clips: float32 `(B, T, H, W, C)`.
      features: those of the clips, from `stem_features`, where they are at hand.
    """

    def __init__(self, classifier, stem: Stem | None, clips: tf.Tensor, features: tf.Tensor | None = None):
        self.classifier, self.stem, self.clips = classifier, stem, clips
        self.features = stem_features(classifier, stem, clips) if stem and features is None else features

    def __call__(self, perturb, mask: tf.Tensor, score: str = "probability") -> tf.Tensor:
        """The class scores, "probability" or "logit", of the clips perturbed with a mask each.

        Args:
          perturb: (clips, mask) to clips.
          mask: `(B, T)`; for a single clip, `(1, T, H, W, C)`, any number of masks.
          score: "probability" or "logit".

        Returns:
          float32 `(B, K)`.
        """
        scores = self.classifier.logits if score == "logit" else self.classifier.probabilities
        clips = self.clips if self.clips.shape[0] != 1 else tf.repeat(self.clips, tf.shape(mask)[0], axis=0)
        perturbed = perturb(clips, mask)  # not computed where nothing but the stem wants it
        if self.stem is None or perturb not in MATRICES:
            return scores(perturbed)
        with self.stem.standing_in(self.features, MATRICES[perturb](mask)):
            return scores(perturbed)


def stem_features(classifier, stem: Stem, clips: tf.Tensor) -> tf.Tensor:
    """What a stem computes once for clips float32 `(B, T, H, W, C)`."""
    return stem.features(classifier.run(clips, stem.layer)[0])


def find_stem(classifier, clips: tf.Tensor) -> Stem | None:
    """The stem of a classifier's model, or None where there is none to be shared.

    Tried on a clip, not deduced: what comes before the first convolution must commute with mixing (rescaling does,
    frame differences do not), and the layer must do no more than is written here.

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
    # A partial of its own for each model: TensorFlow would warn of retracing where it counts those of other models.
    whole, shared = tf.function(partial(both_ways), autograph=False)(clips[:1], matrix)
    if shared is None:  # the layer sees something else than the frames
        return None
    tolerance = 1e-4 if whole.dtype == tf.float32 else 2e-2
    whole, shared = tf.cast(whole, tf.float32), tf.cast(shared, tf.float32)
    same = tf.reduce_max(tf.abs(whole - shared)) <= tolerance * tf.reduce_max(tf.abs(whole))
    return stem if same else None


STEMS = {layers.Conv3D: Conv3DStem, layers.ConvLSTM2D: ConvLSTMStem}
