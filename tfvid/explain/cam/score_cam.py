"""Score-CAM: the weight of a feature map is the score of the clip multiplied by the map.

    H[k] = A[..., k] enlarged to the clip's size and scaled to [0, 1]
    w[k] = softmax over k of  y_c(x * H[k])
    L    = ReLU( sum over k of  w[k] A[..., k] )

Wang et al., "Score-CAM: Score-Weighted Visual Explanations", CVPR workshop 2020, Definitions 2 and 3 and Algorithm 1.
The paper subtracts the score of a black clip from each y_c; it is the same for all k, so it cancels in the softmax.
(The authors' code uses the class's probability as the weight.) Score-CAM needs no gradient, but a forward pass for each
feature map.
"""

from typing import Unpack

import tensorflow as tf
from tqdm import tqdm

from tfvid.core.errors import TfvidError
from tfvid.explain.cam.cam import LayerExplainer, LayerOptions
from tfvid.explain.cam.features import on_clip
from tfvid.network.classifier import class_score
from tfvid.network.compiled import Compiled

SILENT_SECONDS = 10  # shorter work shows no bar


class ScoreCAM(LayerExplainer):
    """Score-CAM on any layer of any Keras video model. The score is the logit; maps are >= 0.

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
      channels: the number of feature maps of a clip to weigh, 1 or more: those with the largest standard deviation.
        None for all. Each needs a forward pass.
      time: how T' steps become T frames: "nearest" repeats steps, as published; "linear" interpolates.
      normalize: "frame" or "clip" divides maps by the largest absolute value of each frame or clip, so that they lie in
        [0, 1], or in [-1, 1] if signed. "frame_range" and "clip_range" subtract the minimum first, so that maps lie in
        [0, 1]. None leaves maps unchanged. A map of zeros stays zero.
      output: what the model returns: "logits", "probabilities", or "auto", which finds out from the last layer or the
        scores.
      input_range: the values (low, high) that the model expects for black and white, e.g. (0, 255); clips in [0, 1] are
        scaled to them. None: the model gets clips unchanged. "auto": the range that was declared (`tfvid.declare`, a
        model card), or else the range that the model's first layers imply.
      batch_size: the number of clips, and of masked clips, that the model gets at a time, 1 or more. It bounds memory
        and does not change results.

    Raises:
      TfvidError: fewer than one channel.

    Example:
      >>> ScoreCAM(model, layer="Mixed_5c", channels=64)(clips).attribution.shape
      (2, 16, 224, 224)
    """

    def __init__(
        self, model, layer: str | None = None, *, channels: int | None = None, **options: Unpack[LayerOptions]
    ):
        super().__init__(model, layer, **options)
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
        """Returns classes, score and the feature maps, `(B, T', H', W', K)`; traced once."""
        run = self._see(clips, target)
        A = run.A
        if self.channels is not None:
            spread = tf.math.reduce_std(A, axis=(1, 2, 3))
            most = tf.math.top_k(spread, min(self.channels, A.shape[-1])).indices
            A = tf.gather(A, most, axis=-1, batch_dims=1)
        return {"target": run.target, "predicted": run.predicted, "score": run.score, "A": A}

    def _scores(self, clips, target, A) -> tf.Tensor:
        """Returns the logit of each clip multiplied by each of its maps, `(B, K)`."""
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
        """Returns the logit of each clip multiplied by its map; traced once."""
        maps = on_clip(maps, clips, self.classifier, self.time)
        lowest, highest = (reduce(maps, (1, 2, 3), keepdims=True) for reduce in (tf.reduce_min, tf.reduce_max))
        H = tf.math.divide_no_nan(maps - lowest, highest - lowest)[..., tf.newaxis]
        return class_score(self.classifier.logits(clips * H), target)
