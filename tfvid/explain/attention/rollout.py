"""Attention rollout: how attention passes information from the tokens of the clip to the classifier, layer by layer.

    A_l  =  0.5 mean_h softmax(...)  +  0.5 I,        R  =  A_L ... A_2 A_1

The map is the row of R of the token that the classifier reads. It does not depend on the class.

Abnar & Zuidema, "Quantifying Attention Flow in Transformers", ACL 2020, section 3.
"""

from typing import Unpack

import tensorflow as tf

from tfvid.core.errors import TfvidError, check_choice
from tfvid.explain.attention.base import AttentionExplainer, AttentionOptions

FUSIONS = {"mean": tf.reduce_mean, "min": tf.reduce_min, "max": tf.reduce_max}


class AttentionRollout(AttentionExplainer):
    """The product of the attention of all layers, each with its residual connection; the same for every class.

    Attention over time and over space, one after the other, counts as two layers over all tokens of the clip. In a
    factorised model, which attends within frames and then over frames, the map is the product of both rollouts.

    Args:
      model: a Keras model of clips `(B, T, H, W, C)` that returns class scores `(B, K)`, with attention over tokens of
        the clip: Keras' own layers, KerasHub's, or hand-written ones whose weights come from a softmax. It stays
        unchanged.
      heads: how the heads of a layer become one: "mean", as published, "min" or "max".
      discard: the share of the smallest weights of each matrix that are set to 0, in [0, 1). 0 as published.
      attention: the layers that hold the attention, by path, in the order in which they run: layers that contain a
        softmax, or, for weights that are written in another way, layers that return the weights `(..., queries, keys)`.
        None: every softmax over tokens.
      head_reads: the token that the classifier reads: "class_token", "mean" of all tokens, or "auto", the class token
        if there is one. Of several class tokens, the outermost.
      time: how T' steps become T frames: "nearest" repeats steps; "linear" interpolates.
      normalize: "frame", "clip", "frame_range", "clip_range" or None, as for `GradCAM`.
      output: what the model returns, see `Classifier`.
      input_range: the values (low, high) that the model expects for black and white, see `Explainer`.
      batch_size: the number of clips explained at a time, 1 or more. It bounds memory and does not change results.

    Raises:
      ModelError: when called, if the model has no attention, or one that does not lie on the clip in a known way, such
        as shifted windows.

    Example:
      >>> AttentionRollout(video_transformer)(clips).native.shape
      (2, 8, 14, 14)
    """

    def __init__(self, model, *, heads: str = "mean", discard: float = 0.0, **options: Unpack[AttentionOptions]):
        super().__init__(model, **options)
        check_choice("heads", heads, FUSIONS)
        if not 0 <= discard < 1:
            raise TfvidError(f"discard: expected a share in [0, 1), got {discard}")
        self.heads = heads
        self.discard = discard

    def _rows(self, read):
        R = None
        for A, _ in read:
            A = 0.5 * self._kept(FUSIONS[self.heads](A, axis=2)) + 0.5 * tf.eye(A.shape[-1])
            A /= tf.reduce_sum(A, axis=-1, keepdims=True)
            R = A if R is None else A @ R
        return R

    def _kept(self, A: tf.Tensor) -> tf.Tensor:
        """`A` `(B, steps, N, N)` without its smallest values."""
        values = A.shape[-1] * A.shape[-2]
        dropped = int(self.discard * values)
        if dropped == 0:
            return A
        flat = tf.sort(tf.reshape(A, (*tf.unstack(tf.shape(A)[:2]), values)), axis=-1)
        return tf.where(flat[..., dropped, tf.newaxis, tf.newaxis] > A, 0.0, A)
