"""Grad-CAM through time: where, frame by frame, a layer's features speak for the class.

Each feature map is weighted by how much the class's logit grows with it, and the weighted sum is cut at zero:

    w[t, k] = mean over (i, j) of  d y_c / d A[t, i, j, k]          (their Eq. 2, one weight a time step)
    L[t]    = ReLU( sum over k of  w[t, k] A[t, :, :, k] )

Mänttäri et al., "Interpreting Video Features", ACCV 2020, section 3.2; after Selvaraju et al., "Grad-CAM", ICCV 2017.
The authors' PyTorch script can differ in three places, and each is an option here: it takes one weight for all steps
(``pool="clip"``), explains the probability (``score="probability"``), and subtracts each map's minimum
(``normalize="clip_range"`` or ``"frame_range"``). Their TensorFlow script is the equation.
"""

import tensorflow as tf

from tfvid.core.errors import check_choice
from tfvid.explain.cam.cam import PooledCAM, Run


class GradCAM(PooledCAM):
    """Grad-CAM on any layer of any Keras video model. Maps are >= 0.

    Args:
      model: a Keras model, see `Explainer`.
      layer: the layer whose features are explained; None finds it, see `LayerExplainer`.
      call: which run of a layer used several times, "sum" or a number, see `LayerExplainer`.
      pool: "frame", a weight for each time step (the equation above), or "clip", one for all of them, the mean
        over time (as the authors' PyTorch code does).
      score: what is explained, the class's "logit" or its "probability". The probability also counts what speaks
        against the other classes. Its gradient goes to zero with 1 - p: where p rounds to 1, the map is zero.
      time: how T' steps become T frames, "nearest" or "linear", see `LayerExplainer`.
      normalize: "clip", "frame", "clip_range", "frame_range" or None, see `LayerExplainer`.
      output: see `Explainer`.
      input_range: see `Explainer`.
      batch_size: see `Explainer`.

    Example:
      >>> result = GradCAM(model, layer="Mixed_5c")(clips)
      >>> result.attribution.shape
      (2, 16, 224, 224)
    """

    def __init__(
        self,
        model,
        layer: str | None = None,
        *,
        call: int | str = "sum",
        pool: str = "frame",
        score: str = "logit",
        time: str = "nearest",
        normalize: str | None = "clip",
        output: str = "auto",
        input_range="auto",
        batch_size: int = 8,
    ):
        super().__init__(
            model,
            layer,
            call=call,
            pool=pool,
            time=time,
            normalize=normalize,
            output=output,
            input_range=input_range,
            batch_size=batch_size,
        )
        check_choice("score", score, ("logit", "probability"))
        self.score = score

    def _native(self, run: Run):
        w = tf.reduce_mean(run.G, axis=self._axes, keepdims=True)
        return tf.nn.relu(tf.reduce_sum(w * run.A, axis=-1))
