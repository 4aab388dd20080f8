"""The base of class activation maps: one run of the model with the features of a layer, and maps at the clip's size.

A class activation map is a weighted sum of a layer's feature maps A[t, i, j, k] over k. The methods differ only in the
weights, so each method's file is its equation: `CAM._native`.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Unpack

import numpy as np
import tensorflow as tf

from tfvid.core.errors import ModelError, TfvidError, check_choice, warn_caller
from tfvid.explain.base import Attribution, Explainer
from tfvid.explain.cam.explained import Explained, explained, says_nothing_of_time
from tfvid.explain.cam.features import NORMALIZATIONS, laid_out, normalized, on_clip
from tfvid.explain.cam.find_layer import Chosen, find_layer
from tfvid.explain.options import ExplainerOptions
from tfvid.network.classifier import chosen_class, class_score
from tfvid.network.compiled import Compiled
from tfvid.network.feature_map import FeatureTrace, check_tokens, trace_features
from tfvid.network.tracing import source, watched


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
      explained: the layer and its use in words, "backbone/conv, sum of 2 calls"; None after `join` of results of
        several layers.
      why: why this layer was chosen, in words; None likewise.
    """

    native: np.ndarray

    explained: ClassVar[str | None] = None
    why: ClassVar[str | None] = None

    @property
    def layer_in_words(self) -> str:
        """The layer and why it was chosen, "conv: the last layer that ..."; "" if they are not known."""
        return ": ".join(words for words in (self.explained, self.why) if words)

    @classmethod
    def join(cls, parts):
        joined = super().join(parts)
        return _of_layer(joined, parts[0]) if len({(part.explained, part.why) for part in parts}) == 1 else joined


def _of_layer(result, source: Any):
    """Returns `result` with `explained` and `why` of `source`, an explainer or another result."""
    for name in ("explained", "why"):  # results are frozen
        object.__setattr__(result, name, getattr(source, name))
    return result


class Run:
    """One run of the model on clips, which records the features of a layer.

    Args:
      classifier: the model as a `Classifier`, prepared.
      clips: float32 `(B, T, H, W, C)`.
      target: int32 `(B,)`, -1 for the predicted class.
      explained: the layer, from `explained`.
      score: "logit" or "probability".

    Attributes:
      clips: the clips.
      target: int32 `(B,)`, the class explained.
      predicted: int32 `(B,)`, the top class.
      score: float32 `(B,)`, the logit of `target`, or its probability.
    """

    def __init__(self, classifier, clips, target, explained: Explained, score: str):
        self.clips, self._explained, seen = clips, explained, []
        chosen = explained.chosen
        with tf.GradientTape(watch_accessed_variables=False) as self._tape:

            def see(output):
                self._tape.watch(output)
                seen.append(output)

            def see_input(given):
                seen.append(source(given))

            if chosen.at == "input":  # what leads around the layer belongs to its input, also where it starts before
                self._tape.watch(clips)
            of_layer = {"see": see} if chosen.at == "output" else {"see_input": see_input}
            with watched(chosen.layer, **of_layer):
                scores = classifier.logits(clips) if score == "logit" else classifier.probabilities(clips)
            self.predicted, self.target = chosen_class(scores, target)
            self.score = class_score(scores, self.target)
        graph = tf.compat.v1.get_default_graph()
        if not seen or any(getattr(tensor, "graph", None) is not graph for tensor in seen):
            raise ModelError(f"layer {chosen.path!r} did not run, or runs inside a loop")
        self._features = [[seen[number] for number in use] for use in explained.uses]

    @property
    def A(self) -> tf.Tensor:
        """The layer's features, float32 `(B, T', H', W', K)`; several uses are concatenated along K."""
        return self._side_by_side(self._features)

    @property
    def G(self) -> tf.Tensor:
        """The gradient of the score with respect to the features, d y_c / d A, shaped as `A`; can be read once."""
        flat = tf.nest.flatten(self._features)
        gradients = self._tape.gradient(self.score, flat)
        if all(gradient is None for gradient in gradients):
            raise ModelError(f"layer {self._explained.chosen.path!r} does not lead to the class scores")
        gradients = [tf.zeros_like(x) if g is None else g for g, x in zip(gradients, flat, strict=True)]
        return self._side_by_side(tf.nest.pack_sequence_as(self._features, gradients))

    def _side_by_side(self, of_uses: list[list[tf.Tensor]]) -> tf.Tensor:
        num_clips, maps = tf.shape(self.clips)[0], [self._explained.of_use(use) for use in self._explained.uses]
        features = [laid_out(tensors, found, num_clips) for tensors, found in zip(of_uses, maps, strict=True)]
        shapes = {tuple(one.shape[1:4]) for one in features}
        if len(shapes) > 1:
            raise ModelError(
                f"layer {self._explained.chosen.path!r} makes features of several sizes, "
                f"{', '.join(map(str, sorted(shapes)))}: choose one of its {len(features)} calls, e.g. call=0"
            )
        return features[0] if len(features) == 1 else tf.concat(features, axis=-1)


class LayerOptions(ExplainerOptions, total=False):
    """The options of `LayerExplainer`."""

    at: str
    call: int | str
    tokens: tuple[int, int, int] | None
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
        is `(B, T', H', W', K)`, `(B, H', W', K)` of single frames, either channels-first, or tokens `(B, N, D)`. None:
        the last layer that makes a feature map larger than 1x1, except pooling, normalisation and reshaping; in a
        transformer the input of the last block's first normalisation.
      at: which tensor of the layer `layer` is explained, its "output" or its "input".
      call: which use of a layer that the model uses several times on whole clips, e.g. a backbone that two streams
        share: "sum", all of them, as one layer with all their feature maps; or the number of a use, from 0, in the
        order of a functional model's code, in other models in the order in which they run.
      tokens: (T', h', w'), how the layer's tokens lie on the clip, class tokens first, where the model does not say it.
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

    Attributes:
      layer: the path of the layer explained; from the first call on if `layer` was None.
      at: which of its tensors is explained, in the same way.
      explained: the layer and its use in words, "backbone/conv, sum of 2 calls", or "input of block/norm, tokens on
        (8, 14, 14)"; None before the first call.
      why: why this layer was chosen, in words; None before the first call.
      score: the score that is explained, "logit" or "probability".
    """

    score = "logit"
    result_type = CAMResult

    def __init__(
        self,
        model,
        layer: str | None = None,
        *,
        at: str = "output",
        call: int | str = "sum",
        tokens: tuple[int, int, int] | None = None,
        time: str = "nearest",
        normalize: str | None = "clip",
        **options: Unpack[ExplainerOptions],
    ):
        super().__init__(model, **options)
        check_choice("time", time, ("nearest", "linear"))
        check_choice("normalize", normalize, NORMALIZATIONS)
        check_choice("at", at, ("output", "input"))
        if at == "input" and layer is None:
            raise TfvidError("at='input': expected layer=..., the layer whose input is explained")
        self.layer = layer
        self.at = at
        self.call = call
        self.tokens = check_tokens(tokens)
        self.time = time
        self.normalize = normalize
        self.explained: str | None = None
        self.why: str | None = None
        self._of_shape: dict[tuple, Explained] = {}  # by the shape of a clip

    def prepare(self, clips):
        super().prepare(clips)
        shape = tuple(clips.shape[1:])
        if shape not in self._of_shape:
            trace = trace_features(self.classifier.model, shape, self.tokens)
            chosen = self._find_layer(clips, trace)
            found = explained(self.classifier.model, trace, shape, chosen, self.call)
            if warning := says_nothing_of_time(found, shape):
                warn_caller(warning)
            self._of_shape[shape] = found
            self.layer, self.at, self.explained = chosen.path, chosen.at, found.words
            self.why = self.why or chosen.why

    def _find_layer(self, clips, trace: FeatureTrace) -> Chosen:
        """Returns the layer to explain."""
        return find_layer(self.classifier.model, trace, self.layer, self.at)

    def _run(self, clips, target, **labels):
        return _of_layer(super()._run(clips, target, **labels), self)

    def _see(self, clips, target) -> Run:
        return Run(self.classifier, clips, target, self._of_shape[tuple(clips.shape[1:])], self.score)

    def _at_clip_size(self, native, clips):
        return normalized(on_clip(native, clips, self.classifier, self.time), self.normalize)


class CAM(LayerExplainer):
    """The base of class activation maps by one equation, `_native`, of one run of the model.

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
        is `(B, T', H', W', K)`, `(B, H', W', K)` of single frames, either channels-first, or tokens `(B, N, D)`. None:
        the last layer that makes a feature map larger than 1x1, except pooling, normalisation and reshaping; in a
        transformer the input of the last block's first normalisation.
      at: which tensor of the layer `layer` is explained, its "output" or its "input".
      call: which use of a layer that the model uses several times on whole clips, e.g. a backbone that two streams
        share: "sum", all of them, as one layer with all their feature maps; or the number of a use, from 0, in the
        order of a functional model's code, in other models in the order in which they run.
      tokens: (T', h', w'), how the layer's tokens lie on the clip, class tokens first, where the model does not say it.
      pool: "frame", a weight for each time step, or "clip", one weight for all time steps.
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
    """

    def __init__(self, model, layer: str | None = None, *, pool: str = "frame", **options: Unpack[LayerOptions]):
        super().__init__(model, layer, **options)
        check_choice("pool", pool, POOLS)
        self.pool = pool

    @property
    def _axes(self) -> tuple[int, ...]:
        """The axes of `(B, T', H', W', K)` that are pooled."""
        return POOLS[self.pool]
