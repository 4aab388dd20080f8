"""LayerCAM: one weight for each place of each feature map, which also works for early, finer layers.

    L[t, i, j] = ReLU( sum over k of  ReLU( d y_c / d A[t, i, j, k] ) A[t, i, j, k] )

Jiang et al., "LayerCAM: Exploring Hierarchical Class Activation Maps for Localization", IEEE TIP 2021, Eqs. 6 and 7.
Nothing is pooled, neither over space nor over time.
"""

import tensorflow as tf

from tfvid.explain.cam.cam import CAM, Run


class LayerCAM(CAM):
    """LayerCAM on any layer of any Keras video model. The score is the logit; maps are >= 0.

    Args:
      model: a Keras model of clips `(B, T, H, W, C)` that returns class scores `(B, K)`. It stays unchanged.
      layer: the layer to explain: its path, e.g. ``"backbone/conv"``, or its name if no other layer has it. Its output
        is `(B, T', H', W', K)`, `(B, H', W', K)` of single frames, either channels-first, or tokens `(B, N, D)`. None:
        the last layer that makes a feature map larger than 1x1, except pooling, normalisation and reshaping; in a
        transformer the input of the last block's first normalisation.
      at: which tensor of the layer `layer` is explained, its "output" or its "input".
      call: which use of a layer that the model uses several times on whole clips, e.g. a backbone that two streams
        share: "sum", all of them, as one layer with all their feature maps; or the number of a use, from 0, in the
        order of a functional model's code, in other models in the order in which they run.
      tokens: (T', h', w'), how the layer's tokens lie on the clip, class tokens first, where the model does not say it.
      time: how T' steps become T frames: "nearest" repeats steps, as published; "linear" interpolates.
      normalize: "frame" or "clip" divides maps by the largest absolute value of each frame or clip, so that they lie in
        [0, 1], or in [-1, 1] if signed. "frame_range" and "clip_range" subtract the minimum first, so that maps lie in
        [0, 1]. None leaves maps unchanged. A map of zeros stays zero.
      output: what the model returns: "logits", "probabilities", or "auto", which finds out from the last layer or the
        scores.
      input_range: the values (low, high) that the model expects for black and white, e.g. (0, 255); clips in [0, 1] are
        scaled to them. None: the model gets clips unchanged. "auto": the range that was declared (`tfvid.declare`, a
        model card), or else the range that the model's first layers imply.
      batch_size: the number of clips explained at a time, 1 or more. It bounds memory and does not change results.

    Example:
      >>> LayerCAM(model, layer="Mixed_3c")(clips).attribution.shape
      (2, 16, 224, 224)
    """

    def _native(self, run: Run):
        return tf.nn.relu(tf.reduce_sum(tf.nn.relu(run.G) * run.A, axis=-1))
