"""Grad-CAM++: maps that show all places of a class, also small ones.

Grad-CAM's weight is a mean, so a small patch of evidence has a small weight. Grad-CAM++ multiplies the gradient at each
place by a factor alpha, which is large where the rest of the feature map is small. Only positive gradients count:

    w[t, k]           = sum over (i, j) of  alpha[t, i, j, k] ReLU(g[t, i, j, k])            (Eq. 5)
    alpha[t, i, j, k] = g^2 / (2 g^2 + S[t, k] g^3) = 1 / (2 + S[t, k] g[t, i, j, k])        (Eq. 19, for exp(y_c))
    L[t]              = ReLU( sum over k of  w[t, k] A[t, :, :, k] )

with g = d y_c / d A and S[t, k] the sum of A[t, :, :, k]. The form on the right does not underflow.

Chattopadhay et al., "Grad-CAM++", WACV 2018. The paper assumes features >= 0. For features of both signs (a C-LSTM's),
S sums the positive ones only, since the factor could be infinite otherwise. exp(y_c) is a factor of the whole map and
is left out.
"""

import tensorflow as tf

from tfvid.explain.cam.cam import PooledCAM, Run


class GradCAMPlusPlus(PooledCAM):
    """Grad-CAM++ on any layer of any Keras video model. The score is the logit; maps are >= 0.

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
      pool: "frame", S and w for each time step, or "clip", one of each for all time steps.
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
      >>> GradCAMPlusPlus(model, layer="Mixed_5c")(clips).attribution.shape
      (2, 16, 224, 224)
    """

    def _native(self, run: Run):
        A, evidence = run.A, tf.nn.relu(run.G)
        S = tf.reduce_sum(tf.nn.relu(A), axis=self._axes, keepdims=True)
        w = tf.reduce_sum(evidence / (2 + S * evidence), axis=self._axes, keepdims=True)
        return tf.nn.relu(tf.reduce_sum(w * A, axis=-1))
