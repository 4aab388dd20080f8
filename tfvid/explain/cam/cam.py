"""The base of class activation maps: one run of the model with the features of a layer, and maps at the clip's size.

A class activation map is a weighted sum of a layer's feature maps A[t, i, j, k] over k. The methods differ only in the
weights, so each method's file is its equation: `CAM._native`.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Unpack

import keras
import numpy as np
import tensorflow as tf

from tfvid.core.errors import ModelError, check_choice
from tfvid.explain.base import Attribution, Explainer
from tfvid.explain.cam.features import NORMALIZATIONS, normalized, per_step, resized
from tfvid.explain.cam.find_layer import find_layer
from tfvid.explain.cam.uses import chosen_uses, find_uses
from tfvid.explain.options import ExplainerOptions
from tfvid.network.classifier import chosen_class, class_score
from tfvid.network.compiled import Compiled
from tfvid.network.tracing import watched


@dataclass(frozen=True)
class CAMResult(Attribution):
    """Class activation maps.

    Attributes:
      target: int32 `(B,)`, the class explained.
      predicted: int32 `(B,)`, the model's top class.
      score: float32 `(B,)`, the logit of `target`, or its probability (``score="probability"``).
      attribution: float32 `(B, T, H, W)`, the maps at the clip's resolution, normalised. All methods except Saliency
        Tubes cut values below zero.
      native: float32 `(B, T', H', W')`, the maps at the layer's resolution, not normalised.
    """

    native: np.ndarray


class Run:
    """One run of the model on clips, which records the features of a layer.

    Args:
      classifier: the model as a `Classifier`, prepared.
      clips: float32 `(B, T, H, W, C)`.
      target: int32 `(B,)`, -1 for the predicted class.
      layer: the layer.
      path: the path of the layer, for messages.
      score: "logit" or "probability".
      uses: the uses of the layer that are explained, from `find_uses`.

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
        """The layer's features, float32 `(B, T', H', W', K)`; several uses are concatenated along K."""
        return self._side_by_side(self._outputs)

    @property
    def G(self) -> tf.Tensor:
        """The gradient of the score with respect to the features, d y_c / d A, shaped as `A`; can be read once."""
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


class LayerOptions(ExplainerOptions, total=False):
    """The options of `LayerExplainer`."""

    call: int | str
    time: str
    normalize: str | None


class LayerExplainer(Explainer[CAMResult]):
    """The base of explainers by the features of a layer, for any Keras video model.

    Features of single frames, `(B, H', W', K)`, may come from one call for all frames of all clips in a batch, or from
    one call for each frame, as inside `TimeDistributed`. The default layer is ``Mixed_5c`` for I3D and the last
    ``conv_lstm_<n>`` for C-LSTM, as in the paper.

    Args:
      model: a Keras model of clips `(B, T, H, W, C)` that returns class scores `(B, K)`. It stays unchanged.
      layer: the layer to explain: its path, e.g. ``"backbone/conv"``, or its name if no other layer has it. Its output
        is `(B, T', H', W', K)`, or `(B, H', W', K)` of single frames. None: the last layer to run that makes a feature
        map larger than 1x1, except pooling, normalisation and reshaping.
      call: which use of a layer that the model uses several times on whole clips, e.g. a backbone that two streams
        share: "sum", all of them, as one layer with all their feature maps; or the number of a use, from 0, in the
        order of a functional model's code, in other models in the order in which they run.
      time: how T' steps become T frames: "nearest" repeats steps, as published; "linear" interpolates.
      normalize: "frame" or "clip" divides maps by the largest absolute value of each frame or clip, so that they lie in
        [0, 1], or in [-1, 1] if signed. "frame_range" and "clip_range" subtract the minimum first, so that maps lie in
        [0, 1]. None leaves maps unchanged. A map of zeros stays zero.
      output: what the model returns: "logits", "probabilities", or "auto", which reads it from the last layer or the
        scores.
      input_range: the values (low, high) that the model takes for black and white, e.g. (0, 255); clips in [0, 1] are
        scaled to them. None: the model gets clips unchanged. "auto": the range that was declared (`tfvid.declare`, a
        model card), or else the range that the model's first layers say.
      batch_size: the number of clips explained at a time, 1 or more. It bounds memory and does not change results.

    Attributes:
      layer: the path of the layer explained; from the first call on if `layer` was None.
      explained: the layer and its use in words, "backbone/conv, sum of 2 calls"; None before the first call.
      score: the score that is explained, "logit" or "probability".
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
        **options: Unpack[ExplainerOptions],
    ):
        super().__init__(model, **options)
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
        """Returns the path of the layer to explain, and the layer."""
        return find_layer(self.classifier.model, self.classifier.calls, self.layer)

    def _see(self, clips, target) -> Run:
        assert self.layer is not None  # `prepare` has found it
        return Run(self.classifier, clips, target, self._watched, self.layer, self.score, self._uses)

    def _at_clip_size(self, native, clips):
        return normalized(resized(native, clips.shape[1:4], self.time), self.normalize)


class CAM(LayerExplainer):
    """The base of class activation maps by one equation, `_native`, of one run of the model.

    Args:
      model: a Keras model of clips `(B, T, H, W, C)` that returns class scores `(B, K)`. It stays unchanged.
      layer: the layer to explain: its path, e.g. ``"backbone/conv"``, or its name if no other layer has it. Its output
        is `(B, T', H', W', K)`, or `(B, H', W', K)` of single frames. None: the last layer to run that makes a feature
        map larger than 1x1, except pooling, normalisation and reshaping.
      call: which use of a layer that the model uses several times on whole clips, e.g. a backbone that two streams
        share: "sum", all of them, as one layer with all their feature maps; or the number of a use, from 0, in the
        order of a functional model's code, in other models in the order in which they run.
      time: how T' steps become T frames: "nearest" repeats steps, as published; "linear" interpolates.
      normalize: "frame" or "clip" divides maps by the largest absolute value of each frame or clip, so that they lie in
        [0, 1], or in [-1, 1] if signed. "frame_range" and "clip_range" subtract the minimum first, so that maps lie in
        [0, 1]. None leaves maps unchanged. A map of zeros stays zero.
      output: what the model returns: "logits", "probabilities", or "auto", which reads it from the last layer or the
        scores.
      input_range: the values (low, high) that the model takes for black and white, e.g. (0, 255); clips in [0, 1] are
        scaled to them. None: the model gets clips unchanged. "auto": the range that was declared (`tfvid.declare`, a
        model card), or else the range that the model's first layers say.
      batch_size: the number of clips explained at a time, 1 or more. It bounds memory and does not change results.
    """

    def __init__(self, model, layer: str | None = None, **options: Unpack[LayerOptions]):
        super().__init__(model, layer, **options)
        self._compiled = Compiled(self.maps, "gradient")

    def _compute(self, clips, target):
        return self._compiled(clips, target)

    def maps(self, clips, target) -> dict[str, tf.Tensor]:
        """Computes the fields of the result, as a function of tensors that a `tf.function` can trace.

        Unlike a call of the explainer, it neither checks nor splits the clips. Call `prepare` first.

        Args:
          clips: float32 `(B, T, H, W, C)`.
          target: int32 `(B,)`, the classes to explain, -1 for the predicted class.

        Returns:
          Tensors by the names of the fields of the result, the batch first.
        """
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
        """Returns the map at the layer's resolution, float32 `(B, T', H', W')`."""


POOLS = {"frame": (2, 3), "clip": (1, 2, 3)}  # the axes of `(B, T', H', W', K)` over which a weight is computed


class PooledOptions(LayerOptions, total=False):
    """The options of `PooledCAM`."""

    pool: str


class PooledCAM(CAM):
    """The base of class activation maps with one weight for each feature map.

    Args:
      model: a Keras model of clips `(B, T, H, W, C)` that returns class scores `(B, K)`. It stays unchanged.
      layer: the layer to explain: its path, e.g. ``"backbone/conv"``, or its name if no other layer has it. Its output
        is `(B, T', H', W', K)`, or `(B, H', W', K)` of single frames. None: the last layer to run that makes a feature
        map larger than 1x1, except pooling, normalisation and reshaping.
      call: which use of a layer that the model uses several times on whole clips, e.g. a backbone that two streams
        share: "sum", all of them, as one layer with all their feature maps; or the number of a use, from 0, in the
        order of a functional model's code, in other models in the order in which they run.
      pool: "frame", a weight for each time step, or "clip", one weight for all time steps.
      time: how T' steps become T frames: "nearest" repeats steps, as published; "linear" interpolates.
      normalize: "frame" or "clip" divides maps by the largest absolute value of each frame or clip, so that they lie in
        [0, 1], or in [-1, 1] if signed. "frame_range" and "clip_range" subtract the minimum first, so that maps lie in
        [0, 1]. None leaves maps unchanged. A map of zeros stays zero.
      output: what the model returns: "logits", "probabilities", or "auto", which reads it from the last layer or the
        scores.
      input_range: the values (low, high) that the model takes for black and white, e.g. (0, 255); clips in [0, 1] are
        scaled to them. None: the model gets clips unchanged. "auto": the range that was declared (`tfvid.declare`, a
        model card), or else the range that the model's first layers say.
      batch_size: the number of clips explained at a time, 1 or more. It bounds memory and does not change results.
    """

    def __init__(self, model, layer: str | None = None, *, pool: str = "frame", **options: Unpack[LayerOptions]):
        super().__init__(model, layer, **options)
        check_choice("pool", pool, POOLS)
        self.pool = pool

    @property
    def _axes(self) -> tuple[int, ...]:
        """The axes of `(B, T', H', W', K)` that are pooled."""
        return POOLS[self.pool]
