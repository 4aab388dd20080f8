"""What class activation maps share: one run of the model with a layer's features in sight, and maps at the clip's size.

A class activation map is a weighted sum of a layer's feature maps A[t, i, j, k] over k. The methods differ in the
weights alone, so that each one's file is its equation: `CAM._native`.
"""

from abc import abstractmethod
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from tfvid.core.errors import ModelError, check_choice
from tfvid.explain.base import Attribution, Explainer
from tfvid.explain.cam.features import NORMALIZATIONS, normalized, per_step, resized
from tfvid.explain.cam.find_layer import find_layer
from tfvid.explain.cam.uses import chosen_uses, find_uses
from tfvid.network.classifier import chosen_class, class_score
from tfvid.network.compiled import Compiled
from tfvid.network.tracing import watched


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

    Args:
      classifier: the model's, prepared.
      clips: the clips.
      target: int32 `(B,)`, -1 for the predicted class.
      layer: the layer.
      path: its path, for messages.
      score: "logit" or "probability".
      uses: those of the layer's uses that are explained, from `find_uses`.

    Attributes:
      clips: the clips.
      target: int32 `(B,)`, the class explained.
      predicted: int32 `(B,)`, the top class.
      score: float32 `(B,)`, the logit of `target`, or its probability.
    """

    def __init__(self, classifier, clips, target, layer: keras.Layer, path: str, score: str, uses: list[list[int]]):
        self.clips, self._path, self._uses, outputs = clips, path, uses, []
        with tf.GradientTape(watch_accessed_variables=False) as self._tape:

            def see(output):
                self._tape.watch(output)
                outputs.append(output)

            with watched(layer, see):
                scores = classifier.logits(clips) if score == "logit" else classifier.probabilities(clips)
            self.predicted, self.target = chosen_class(scores, target)
            self.score = class_score(scores, self.target)
        graph = tf.compat.v1.get_default_graph()
        if not outputs or any(getattr(output, "graph", None) is not graph for output in outputs):
            raise ModelError(f"layer {path!r} did not run, or runs inside a loop")
        self._outputs = [[outputs[number] for number in use] for use in uses]

    @property
    def A(self) -> tf.Tensor:
        """The layer's features, float32 `(B, T', H', W', K)`; those of several uses lie side by side, as one K."""
        return self._side_by_side(self._outputs)

    @property
    def G(self) -> tf.Tensor:
        """The score's gradient at them, d y_c / d A, like `A`; asked for once."""
        flat = tf.nest.flatten(self._outputs)
        gradients = self._tape.gradient(self.score, flat)
        if all(gradient is None for gradient in gradients):
            raise ModelError(f"layer {self._path!r} does not lead to the class scores")
        gradients = [tf.zeros_like(x) if g is None else g for g, x in zip(gradients, flat, strict=True)]
        return self._side_by_side(tf.nest.pack_sequence_as(self._outputs, gradients))

    def _side_by_side(self, of_uses: list[list[tf.Tensor]]) -> tf.Tensor:
        features = [per_step(tensors, tf.shape(self.clips)[0]) for tensors in of_uses]
        shapes = {tuple(one.shape[1:4]) for one in features}
        if len(shapes) > 1:
            raise ModelError(
                f"layer {self._path!r} makes features of several sizes, {', '.join(map(str, sorted(shapes)))}: "
                f"choose one of its {len(features)} calls, e.g. call=0"
            )
        return features[0] if len(features) == 1 else tf.concat(features, axis=-1)


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
        `TimeDistributed`.
      call: which run of a layer that the model uses several times on whole clips, e.g. a backbone that two streams
        share: "sum" takes all of them together, as one layer with the feature maps of all; 0 is the first call in a
        functional model's code, 1 the second; in other models, and where several `TimeDistributed` layers share the
        layer, they are counted as they run.
      time: how T' steps become T frames: "nearest" repeats them, as published; "linear" interpolates.
      normalize: divide by the largest absolute value of each "frame" or of the "clip", so that maps lie in [0, 1], or
        in [-1, 1] where they are signed; None leaves them as they are. A map of zeros stays zero. "clip" keeps frames
        comparable with one another. "frame_range" and "clip_range" subtract the minimum first, so that maps lie in
        [0, 1]; a map of equal values becomes zero.
      output: see `Explainer`.
      input_range: see `Explainer`.
      batch_size: see `Explainer`.

    Attributes:
      layer: path of the layer explained, from the first call on where it was left open.
      explained: the same in words, with the run: "backbone/conv, sum of 2 calls"; None before the first call.
      score: "logit" or "probability", what is explained.
    """

    score = "logit"
    result_type = CAMResult

    def __init__(
        self,
        model,
        layer: str | None = None,
        *,
        call: int | str = "sum",
        time: str = "nearest",
        normalize: str | None = "clip",
        output: str = "auto",
        input_range="auto",
        batch_size: int = 8,
    ):
        super().__init__(model, output=output, input_range=input_range, batch_size=batch_size)
        check_choice("time", time, ("nearest", "linear"))
        check_choice("normalize", normalize, NORMALIZATIONS)
        self.layer = layer
        self.call = call
        self.time = time
        self.normalize = normalize
        self.explained: str | None = None
        self._watched: keras.Layer | None = None
        self._uses: list[list[int]] = []
        self._num_uses = 0

    def prepare(self, clips):
        super().prepare(clips)
        if self._watched is None:
            self.layer, self._watched = self._find_layer(clips)
            uses = find_uses(self.classifier.model, self.classifier.calls, self._watched, tuple(clips.shape[1:]))
            self._uses, self.explained = chosen_uses(uses, self.call, self.layer), self.layer
            self._num_uses = len(uses)
            if len(uses) > 1:
                which = (
                    f"sum of {len(uses)} calls" if self.call == "sum" else f"call {self.call} of 0 to {len(uses) - 1}"
                )
                self.explained = f"{self.layer}, {which}"

    def _find_layer(self, clips) -> tuple[str, keras.Layer]:
        """The path of the layer to explain, and the layer."""
        return find_layer(self.classifier.model, self.classifier.calls, self.layer)

    def _see(self, clips, target) -> Run:
        return Run(self.classifier, clips, target, self._watched, self.layer, self.score, self._uses)

    def _at_clip_size(self, native, clips):
        return normalized(resized(native, clips.shape[1:4], self.time), self.normalize)


class CAM(LayerExplainer):
    """A class activation map by one equation, `_native`, of one run of the model.

    Args:
      model: a Keras model, see `Explainer`.
      layer: the layer whose features are explained; None finds it, see `LayerExplainer`.
      call: which run of a layer used several times, "sum" or a number, see `LayerExplainer`.
      time: how T' steps become T frames, "nearest" or "linear", see `LayerExplainer`.
      normalize: "clip", "frame", "clip_range", "frame_range" or None, see `LayerExplainer`.
      output: see `Explainer`.
      input_range: see `Explainer`.
      batch_size: see `Explainer`.
    """

    def __init__(
        self,
        model,
        layer: str | None = None,
        *,
        call: int | str = "sum",
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
        self._compiled = Compiled(self._maps, "gradient")

    def _compute(self, clips, target):
        return self._compiled(clips, target)

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
      call: which run of a layer used several times, "sum" or a number, see `LayerExplainer`.
      pool: "frame", a weight for each time step, or "clip", one for all of them.
      time: how T' steps become T frames, "nearest" or "linear", see `LayerExplainer`.
      normalize: "clip", "frame", "clip_range", "frame_range" or None, see `LayerExplainer`.
      output: see `Explainer`.
      input_range: see `Explainer`.
      batch_size: see `Explainer`.
    """

    def __init__(
        self,
        model,
        layer: str | None = None,
        *,
        call: int | str = "sum",
        pool: str = "frame",
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
        check_choice("pool", pool, POOLS)
        self.pool = pool

    @property
    def _axes(self) -> tuple[int, ...]:
        """Those of `(B, T', H', W', K)` that are pooled."""
        return POOLS[self.pool]
