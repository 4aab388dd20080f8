"""The attention weights of one layer, as the token that the classifier reads gives them to the tokens of the clip."""

from typing import Unpack

import numpy as np
import tensorflow as tf

from tfvid.core.errors import TfvidError
from tfvid.explain.attention.base import AttentionExplainer, AttentionOptions


class AttentionMaps(AttentionExplainer):
    """The attention weights of one layer, of one head or averaged over heads; the same for every class.

    They show where the layer moves information from, not what the class depends on: see Jain & Wallace, "Attention is
    not Explanation", NAACL 2019.

    Args:
      model: a Keras model of clips `(B, T, H, W, C)` that returns class scores `(B, K)`, with attention over tokens of
        the clip: Keras' own layers, KerasHub's, or hand-written ones whose weights come from a softmax. It stays
        unchanged.
      block: the number of the attention, in the order in which they run; -1 for the last one.
      head: the number of the head; None for the mean over all heads.
      attention: the layers that hold the attention, by path, in the order in which they run: layers that contain a
        softmax, or, for weights that are written in another way, layers that return the weights `(..., queries, keys)`.
        None: every softmax over tokens.
      head_reads: the token whose weights are shown: "class_token", "mean" of all tokens, or "auto", the class token if
        there is one. Of several class tokens, the outermost.
      time: how T' steps become T frames: "nearest" repeats steps; "linear" interpolates.
      normalize: "frame", "clip", "frame_range", "clip_range" or None, as for `GradCAM`.
      output: what the model returns, see `Classifier`.
      input_range: the values (low, high) that the model expects for black and white, see `Explainer`.
      batch_size: the number of clips explained at a time, 1 or more. It bounds memory and does not change results.

    Raises:
      TfvidError: when called, if the model has no such attention or head.
      ModelError: when called, if the model has no attention over tokens of the clip.

    Example:
      >>> [AttentionMaps(model, block=3, head=head)(clips).native for head in range(8)]
    """

    def __init__(self, model, *, block: int = -1, head: int | None = None, **options: Unpack[AttentionOptions]):
        super().__init__(model, **options)
        for name, value in (("block", block), ("head", 0 if head is None else head)):
            if isinstance(value, bool) or not isinstance(value, int | np.integer):
                raise TfvidError(f"{name}: expected a whole number, got {value!r}")
        self.block = block
        self.head = head

    def _chosen(self, found):
        if not -len(found) <= self.block < len(found):
            raise TfvidError(f"block: the model has attentions 0 to {len(found) - 1}, got {self.block}")
        return [found[self.block]]

    def _rows(self, read):
        [(A, _)] = read
        if self.head is None:
            return tf.reduce_mean(A, axis=2)
        heads = A.shape[2]
        if not 0 <= self.head < heads:
            raise TfvidError(f"head: the attention has heads 0 to {heads - 1}, got {self.head}")
        return A[:, :, self.head]
