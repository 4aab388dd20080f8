"""LayerCAM: each place of each feature map has a weight of its own, so that early, finer layers can be read too.

    L[t, i, j] = ReLU( sum over k of  ReLU( d y_c / d A[t, i, j, k] ) A[t, i, j, k] )

Jiang et al., "LayerCAM: Exploring Hierarchical Class Activation Maps for Localization", IEEE TIP 2021, Eqs. 6 and 7.
Nothing is pooled, so it reads as well in time as in space.
"""

import tensorflow as tf

from tfvid.explain.cam.cam import CAM, Run


class LayerCAM(CAM):
    """LayerCAM on any layer of any Keras video model. The score is the logit; maps are >= 0.

    Args:
      model: a Keras model, see `Explainer`.
      layer: the layer whose features are explained; None finds it, see `LayerExplainer`.
      call: which run of a layer used several times, "sum" or a number, see `LayerExplainer`.
      time: how T' steps become T frames, "nearest" or "linear", see `LayerExplainer`.
      normalize: "clip", "frame", "clip_range", "frame_range" or None, see `LayerExplainer`.
      output: see `Explainer`.
      input_range: see `Explainer`.
      batch_size: see `Explainer`.

    Example:
      >>> LayerCAM(model, layer="Mixed_3c")(clips).attribution.shape
      (2, 16, 224, 224)
    """

    def _native(self, run: Run):
        return tf.nn.relu(tf.reduce_sum(tf.nn.relu(run.G) * run.A, axis=-1))
