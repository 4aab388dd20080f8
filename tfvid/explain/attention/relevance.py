"""Gradient-weighted attention relevance: rollout of the attention that raises the score of the class.

    A_l  =  mean_h (dy_c / dA  *  A)+,        R  <-  R + A_l R,        R_0  =  I

The map is the row of R - I of the token that the classifier reads.

Chefer, Gur & Wolf, "Generic Attention-model Explainability for Interpreting Bi-Modal and Encoder-Decoder Transformers",
ICCV 2021, Eqs. 1, 5 and 6 (self-attention).
"""

import tensorflow as tf

from tfvid.explain.attention.base import AttentionExplainer


class AttentionRelevance(AttentionExplainer):
    """Attention weighted by its gradient, layer by layer; different for each class.

    Attention over time and over space, one after the other, counts as two layers over all tokens of the clip. In a
    factorised model, which attends within frames and then over frames, the map is the product of both relevances.

    Args:
      model: a Keras model of clips `(B, T, H, W, C)` that returns class scores `(B, K)`, with attention over tokens of
        the clip: Keras' own layers, KerasHub's, or hand-written ones whose weights come from a softmax. It stays
        unchanged.
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
      >>> AttentionRelevance(video_transformer)(clips, target=3).attribution.shape
      (2, 16, 224, 224)
    """

    needs_gradients = True

    def _rows(self, read):
        identity = tf.eye(read[0][0].shape[-1])
        R = identity
        for A, G in read:
            R += tf.reduce_mean(tf.nn.relu(G * A), axis=2) @ R
        return R - identity
