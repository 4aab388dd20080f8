"""Grad-CAM over time: a map for each frame of the features that support the class.

Each feature map is weighted by the gradient of the class's logit, and the weighted sum is cut at zero:

    w[t, k] = mean over (i, j) of  d y_c / d A[t, i, j, k]          (their Eq. 2, one weight for each time step)
    L[t]    = ReLU( sum over k of  w[t, k] A[t, :, :, k] )

Mänttäri et al., "Interpreting Video Features", ACCV 2020, section 3.2; after Selvaraju et al., "Grad-CAM", ICCV 2017.
The authors' PyTorch script differs in three places, and each is an option here: it takes one weight for all steps
(``pool="clip"``), explains the probability (``score="probability"``), and subtracts each map's minimum
(``normalize="clip_range"`` or ``"frame_range"``). Their TensorFlow script is the equation.
"""

from typing import Unpack

import tensorflow as tf

from tfvid.core.errors import check_choice
from tfvid.explain.cam.cam import PooledCAM, PooledOptions, Run


class GradCAM(PooledCAM):
    """Grad-CAM on any layer of any Keras video model. Maps are >= 0.

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
      pool: "frame", a weight for each time step (the equation above), or "clip", one weight for all time steps, the
        mean over time (the authors' PyTorch code).
      score: the score to explain, the class's "logit" or its "probability". The probability also depends on the scores
        of the other classes. Its gradient vanishes with 1 - p: if p rounds to 1, the map is zero.
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
      >>> result = GradCAM(model, layer="Mixed_5c")(clips)
      >>> result.attribution.shape
      (2, 16, 224, 224)
    """

    def __init__(self, model, layer: str | None = None, *, score: str = "logit", **options: Unpack[PooledOptions]):
        super().__init__(model, layer, **options)
        check_choice("score", score, ("logit", "probability"))
        self.score = score

    def _native(self, run: Run):
        w = tf.reduce_mean(run.G, axis=self._axes, keepdims=True)
        return tf.nn.relu(tf.reduce_sum(w * run.A, axis=-1))
