"""What class activation maps share: one run of the model with a layer's features in sight, and maps at the clip's size.

A class activation map is a weighted sum of a layer's feature maps A[t, i, j, k] over k. The methods differ in the
weights alone, so that each one's file is its equation: `CAM._native`.
"""

from abc import abstractmethod
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from tfvid.classifier import chosen_class, class_score
from tfvid.compiled import Compiled
from tfvid.errors import ModelError, check_choice
from tfvid.explain.base import Attribution, Explainer
from tfvid.explain.features import NORMALIZATIONS, find_layer, normalized, per_step, resized
from tfvid.layers import watched


@dataclass(frozen=True)
class CAMResult(Attribution):
    """Class activation maps.

    Attributes:
      target: int32 `(B,)`, the class explained.
      predicted: int32 `(B,)`, the model's top class.
      score: float32 `(B,)`, of `target`: its logit, or its probability where that was asked for.
      attribution: float32 `(B, T, H, W)`, the maps at the clip's resolution, normalised as asked for; >= 0 where the
        method cuts at zero, as all but Saliency Tubes do.
      native: float32 `(B, T', H', W')`, the maps as the layer gives them, not normalised.
    """

    native: np.ndarray


class Run:
    """One run of the model on `clips` float32 `(B, T, H, W, C)`, with a layer's features seen.

    Attributes:
      clips: the clips.
      target: int32 `(B,)`, the class explained.
      predicted: int32 `(B,)`, the top class.
      score: float32 `(B,)`, the logit of `target`, or its probability.
    """

    def __init__(self, classifier, clips, target, layer: keras.Layer, path: str, score: str = "logit"):
        self.clips, self._path, self._outputs = clips, path, []
        with tf.GradientTape(watch_accessed_variables=False) as self._tape, watched(layer, self._see):
            scores = classifier.logits(clips) if score == "logit" else classifier.probabilities(clips)
            self.predicted, self.target = chosen_class(scores, target)
            self.score = class_score(scores, self.target)
        graph = tf.compat.v1.get_default_graph()
        if not self._outputs or any(getattr(output, "graph", None) is not graph for output in self._outputs):
            raise ModelError(f"layer {path!r} did not run, or runs inside a loop")
        if self._outputs[-1].shape.rank == 5:
            self._outputs = self._outputs[-1:]

    def _see(self, output):
        self._tape.watch(output)
        self._outputs.append(output)

    @property
    def A(self) -> tf.Tensor:
        """The layer's features, float32 `(B, T', H', W', K)`."""
        return per_step(self._outputs, tf.shape(self.clips)[0])

    @property
    def G(self) -> tf.Tensor:
        """The score's gradient at them, d y_c / d A, float32 `(B, T', H', W', K)`; asked for once."""
        gradients = self._tape.gradient(self.score, self._outputs)
        if None in gradients:
            raise ModelError(f"layer {self._path!r} does not lead to the class scores")
        return per_step(gradients, tf.shape(self.clips)[0])


class LayerExplainer(Explainer):
    """Explains by the features of a layer, of any Keras video model.

    Without `layer`, the last layer that makes a feature map larger than 1x1 is explained: the last one to run whose
    output is `(B, T', H', W', K)`, or `(B, H', W', K)` for a layer that sees single frames, passing over
    pooling, normalisation and reshaping. That is ``Mixed_5c`` for I3D and the last ``conv_lstm_<n>`` for
    C-LSTM, as in the paper.

    Args:
      model: a Keras model, see `Explainer`.
      layer: a layer's name, or its path where it is nested, e.g. ``"backbone/conv"``; the inner name alone will do
        where it is the only one. Its output is channels-last, `(B, T', H', W', K)` or `(B, H', W', K)`. The latter
        may also be all frames of all clips in one batch, `(B T', H', W', K)`, or one call a frame, as inside
        `TimeDistributed`. Of a layer that runs several times on whole clips, the last run is explained.
      time: how T' steps become T frames: "nearest" repeats them, as published; "linear" interpolates.
      normalize: divide by the largest absolute value of each "frame" or of the "clip", so that maps lie in [0, 1], or
        in [-1, 1] where they are signed; None leaves them as they are. A map of zeros stays zero. "clip" keeps frames
        comparable with one another. "frame_range" and "clip_range" subtract the minimum first, so that maps lie in
        [0, 1]; a map of equal values becomes zero.
      output: see `Explainer`.
      batch_size: see `Explainer`.

    Attributes:
      layer: path of the layer explained, from the first call on where it was left open.
      score: "logit" or "probability", what is explained.
    """

    score = "logit"

    def __init__(
        self,
        model,
        layer: str | None = None,
        *,
        time: str = "nearest",
        normalize: str | None = "clip",
        output: str = "auto",
        batch_size: int = 8,
    ):
        super().__init__(model, output=output, batch_size=batch_size)
        check_choice("time", time, ("nearest", "linear"))
        check_choice("normalize", normalize, NORMALIZATIONS)
        self.layer = layer
        self.time = time
        self.normalize = normalize
        self._watched: keras.Layer | None = None

    def _see(self, clips, target) -> Run:
        if self._watched is None:
            self.layer, self._watched = find_layer(self.classifier.model, self.classifier.calls, self.layer)
        return Run(self.classifier, clips, target, self._watched, self.layer, self.score)

    def _at_clip_size(self, native, clips):
        return normalized(resized(native, clips.shape[1:4], self.time), self.normalize)


class CAM(LayerExplainer):
    """A class activation map by one equation, `_native`, of one run of the model.

    Args:
      model: a Keras model, see `Explainer`.
      layer: the layer whose features are explained; None finds it, see `LayerExplainer`.
      time: how T' steps become T frames, "nearest" or "linear", see `LayerExplainer`.
      normalize: "clip", "frame", "clip_range", "frame_range" or None, see `LayerExplainer`.
      output: see `Explainer`.
      batch_size: see `Explainer`.
    """

    def __init__(
        self,
        model,
        layer: str | None = None,
        *,
        time: str = "nearest",
        normalize: str | None = "clip",
        output: str = "auto",
        batch_size: int = 8,
    ):
        super().__init__(model, layer, time=time, normalize=normalize, output=output, batch_size=batch_size)
        self._compiled = Compiled(self._maps, "gradient")

    def _explain(self, clips, target):
        return CAMResult(**{name: x.numpy() for name, x in self._compiled(clips, target).items()})

    def _maps(self, clips, target) -> dict[str, tf.Tensor]:
        """The fields of the result; traced once."""
        run = self._see(clips, target)
        native = self._native(run)
        return {
            "target": run.target,
            "predicted": run.predicted,
            "score": run.score,
            "attribution": self._at_clip_size(native, clips),
            "native": native,
        }

    @abstractmethod
    def _native(self, run: Run) -> tf.Tensor:
        """The map at the layer's resolution, float32 `(B, T', H', W')`."""


POOLS = {"frame": (2, 3), "clip": (1, 2, 3)}  # of `(B, T', H', W', K)`, the axes that one weight is made from


class PooledCAM(CAM):
    """A class activation map with one weight for a feature map.

    Args:
      model: a Keras model, see `Explainer`.
      layer: the layer whose features are explained; None finds it, see `LayerExplainer`.
      pool: "frame", a weight for each time step, or "clip", one for all of them.
      time: how T' steps become T frames, "nearest" or "linear", see `LayerExplainer`.
      normalize: "clip", "frame", "clip_range", "frame_range" or None, see `LayerExplainer`.
      output: see `Explainer`.
      batch_size: see `Explainer`.
    """

    def __init__(
        self,
        model,
        layer: str | None = None,
        *,
        pool: str = "frame",
        time: str = "nearest",
        normalize: str | None = "clip",
        output: str = "auto",
        batch_size: int = 8,
    ):
        super().__init__(model, layer, time=time, normalize=normalize, output=output, batch_size=batch_size)
        check_choice("pool", pool, POOLS)
        self.pool = pool

    @property
    def _axes(self) -> tuple[int, ...]:
        """Those of `(B, T', H', W', K)` that are pooled."""
        return POOLS[self.pool]
