"""Grad-CAM++: a class seen in several places keeps them all, small ones too.

Grad-CAM's weight is a mean, so a small patch of evidence weighs little. Here a place's gradient counts with a factor
alpha instead, large where the feature map has little else; only gradients that speak for the class count:

    w[t, k]           = sum over (i, j) of  alpha[t, i, j, k] ReLU(g[t, i, j, k])            (Eq. 5)
    alpha[t, i, j, k] = g^2 / (2 g^2 + S[t, k] g^3) = 1 / (2 + S[t, k] g[t, i, j, k])        (Eq. 19, for exp(y_c))
    L[t]              = ReLU( sum over k of  w[t, k] A[t, :, :, k] )

with g = d y_c / d A and S[t, k] the sum of A[t, :, :, k]. Divided out as on the right, nothing underflows.

Chattopadhay et al., "Grad-CAM++", WACV 2018. Written for features >= 0, which S also assumes: of features of either
sign (a C-LSTM's), S sums the positive ones, or the factor would have poles. exp(y_c) is a factor of the whole map and
is left out.
"""

import tensorflow as tf

from tfvid.explain.cam.cam import PooledCAM, Run


class GradCAMPlusPlus(PooledCAM):
    """Grad-CAM++ on any layer of any Keras video model. The score is the logit; maps are >= 0.

    Args:
      model: a Keras model, see `Explainer`.
      layer: the layer whose features are explained; None finds it, see `LayerExplainer`.
      call: which run of a layer used several times, "sum" or a number, see `LayerExplainer`.
      pool: "frame", S and w for each time step, or "clip", one of each for all of them.
      time: how T' steps become T frames, "nearest" or "linear", see `LayerExplainer`.
      normalize: "clip", "frame", "clip_range", "frame_range" or None, see `LayerExplainer`.
      output: see `Explainer`.
      input_range: see `Explainer`.
      batch_size: see `Explainer`.

    Example:
      >>> GradCAMPlusPlus(model, layer="Mixed_5c")(clips).attribution.shape
      (2, 16, 224, 224)
    """

    def _native(self, run: Run):
        A, evidence = run.A, tf.nn.relu(run.G)
        S = tf.reduce_sum(tf.nn.relu(A), axis=self._axes, keepdims=True)
        w = tf.reduce_sum(evidence / (2 + S * evidence), axis=self._axes, keepdims=True)
        return tf.nn.relu(tf.reduce_sum(w * A, axis=-1))
