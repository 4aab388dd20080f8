"""Score-CAM: a feature map weighs what the clip scores when only what the map lights up is left of it.

    H[k] = A[..., k] enlarged to the clip, its lowest value as 0, its highest as 1
    w[k] = softmax over k of  y_c(x * H[k])
    L    = ReLU( sum over k of  w[k] A[..., k] )

Wang et al., "Score-CAM: Score-Weighted Visual Explanations", CVPR workshop 2020, Definitions 2 and 3 and Algorithm 1.
The score of the black clip that they take off every y_c is the same for all k, and cancels in the softmax. (Their code
weighs by the class's probability instead.) No gradient is taken; the price is a forward pass for each feature map.
"""

import tensorflow as tf
from tqdm import tqdm

from tfvid.core.errors import TfvidError
from tfvid.explain.cam.cam import LayerExplainer
from tfvid.explain.cam.features import resized
from tfvid.network.classifier import class_score
from tfvid.network.compiled import Compiled

SILENT_SECONDS = 10  # work that is done sooner shows no bar


class ScoreCAM(LayerExplainer):
    """Score-CAM on any layer of any Keras video model. The score is the logit; maps are >= 0.

    Args:
      model: a Keras model, see `Explainer`.
      layer: the layer whose features are explained; None finds it, see `LayerExplainer`.
      call: which run of a layer used several times, "sum" or a number, see `LayerExplainer`.
      channels: how many of a clip's feature maps are weighed, those of largest standard deviation; None takes all. A
        forward pass each.
      time: how T' steps become T frames, "nearest" or "linear", see `LayerExplainer`.
      normalize: "clip", "frame", "clip_range", "frame_range" or None, see `LayerExplainer`.
      output: see `Explainer`.
      input_range: see `Explainer`.
      batch_size: clips, and masked clips, that the model sees at a time; bounds memory, does not change results.

    Raises:
      TfvidError: fewer than one channel.

    Example:
      >>> ScoreCAM(model, layer="Mixed_5c", channels=64)(clips).attribution.shape
      (2, 16, 224, 224)
    """

    def __init__(
        self,
        model,
        layer: str | None = None,
        *,
        call: int | str = "sum",
        channels: int | None = None,
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
            time=time,
            normalize=normalize,
            output=output,
            input_range=input_range,
            batch_size=batch_size,
        )
        if channels is not None and channels < 1:
            raise TfvidError(f"expected channels >= 1, got {channels}")
        self.channels = channels
        self._compiled = Compiled(self._features)
        self._compiled_scores = Compiled(self._masked_scores)

    def _compute(self, clips, target):
        seen = self._compiled(clips, target)
        A = seen.pop("A")
        w = tf.nn.softmax(self._scores(clips, seen["target"], A))
        native = tf.nn.relu(tf.einsum("bthwk,bk->bthw", A, w))
        return seen | {"native": native, "attribution": self._at_clip_size(native, clips)}

    def _features(self, clips, target) -> dict[str, tf.Tensor]:
        """Class, score and the feature maps to be weighed, `(B, T', H', W', K)`; traced once."""
        run = self._see(clips, target)
        A = run.A
        if self.channels is not None:
            spread = tf.math.reduce_std(A, axis=(1, 2, 3))
            most = tf.math.top_k(spread, min(self.channels, A.shape[-1])).indices
            A = tf.gather(A, most, axis=-1, batch_dims=1)
        return {"target": run.target, "predicted": run.predicted, "score": run.score, "A": A}

    def _scores(self, clips, target, A) -> tf.Tensor:
        """The logit of each clip masked with each of its maps, `(B, K)`."""
        num_clips, *shape, num_maps = A.shape
        maps = tf.reshape(tf.transpose(A, (0, 4, 1, 2, 3)), (-1, *shape))  # (B K, T', H', W')
        clip = tf.repeat(tf.range(num_clips), num_maps)
        scores = []
        for start in tqdm(range(0, len(maps), self.batch_size), "Score-CAM", leave=False, delay=SILENT_SECONDS):
            chunk = slice(start, start + self.batch_size)
            whose = clip[chunk]
            scores.append(self._compiled_scores(tf.gather(clips, whose), maps[chunk], tf.gather(target, whose)))
        return tf.reshape(tf.concat(scores, axis=0), (num_clips, num_maps))

    def _masked_scores(self, clips, maps, target):
        """The logit of each clip where its map is high; traced once."""
        maps = resized(maps, clips.shape[1:4], self.time)
        lowest, highest = (reduce(maps, (1, 2, 3), keepdims=True) for reduce in (tf.reduce_min, tf.reduce_max))
        H = tf.math.divide_no_nan(maps - lowest, highest - lowest)[..., tf.newaxis]
        return class_score(self.classifier.logits(clips * H), target)
