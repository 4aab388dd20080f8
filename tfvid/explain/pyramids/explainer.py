"""Class Feature Pyramids: where the kernels act that lead to the class, convolution by convolution.

From the class, the method steps back through the model. The last linear layer says which of the last features count for
the class; each convolution says which of its inputs count for its kernels that count (see `kernels`). The map of a
level is the sum of the features that count,

    L[t, i, j]  =  sum over the kernels k that count of  A[t, i, j, k]

Stergiou, Kapidis, Kalliatakis, Chrysoulas, Poppe & Veltkamp, "Class Feature Pyramids for Video Explanation", ICCV
Workshops 2019, arXiv 1909.08611. The rules are those of the published code
(github.com/alexandrosstergiou/Class_Feature_Visualization_Pyramid), which differs in this:

* it steps back through a list of layers that is written by hand for each network, without shortcuts. Here shortcuts and
  branches are those of the model.
* it draws one map for each kernel, of the inputs that count for this kernel. Here one map of a level has all its
  kernels.
* it takes the means of features before max-pools. Here they are those that the convolution is given, after the pool.
* it gives all groups of a convolution in groups the same weights. Here each group has its own.
* features that are 0 everywhere count if all others are negative. Here they never count.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Unpack

import keras
import numpy as np
import tensorflow as tf

from tfvid.core.errors import ModelError, TfvidError, check_choice, warn_caller
from tfvid.explain.base import Attribution, Explainer
from tfvid.explain.cam.features import NORMALIZATIONS, normalized, on_clip
from tfvid.explain.options import ExplainerOptions
from tfvid.explain.propagation.recording import Recording
from tfvid.explain.pyramids.back_step import INSTEAD, METHOD, Kernels, back_step
from tfvid.network.classifier import chosen_class, class_score
from tfvid.network.compiled import Compiled
from tfvid.network.tracing import named_layers


class PyramidLayer(NamedTuple):
    """One convolution of a pyramid.

    Attributes:
      path: the path of its layer.
      level: 1 for the convolutions nearest to the classifier.
      kernels: the number of its kernels.
    """

    path: str
    level: int
    kernels: int


@dataclass(frozen=True)
class PyramidResult(Attribution):
    """Maps of Class Feature Pyramids, and the kernels that count.

    Attributes:
      target: int32 `(B,)`, the class explained.
      predicted: int32 `(B,)`, the model's top class.
      score: float32 `(B,)`, the logit of `target`.
      attribution: float32 `(B, T, H, W)`, the map of the level that was asked for, normalised.
      pyramid: float32 `(B, levels, T, H, W)`, the maps of all levels, normalised, level 1 first.
      kernels: bool `(B, N)`, which kernels count, of all convolutions of the pyramid one after the other; `kernels_of`
        returns those of one layer.
      layers: the convolutions, in the order of `kernels`; None after `join`.
    """

    pyramid: np.ndarray
    kernels: np.ndarray

    layers: ClassVar[tuple[PyramidLayer, ...] | None] = None

    def kernels_of(self, path: str) -> np.ndarray:
        """Returns which kernels of a layer count, bool `(B, K)`.

        Raises:
          TfvidError: the layer is not in the pyramid.
        """
        layers = self.layers or ()
        ends = np.cumsum([layer.kernels for layer in layers])
        uses = [
            self.kernels[:, end - layer.kernels : end]
            for layer, end in zip(layers, ends, strict=True)
            if layer.path == path
        ]
        if not uses:
            valid = ", ".join(layer.path for layer in layers)
            raise TfvidError(f"layer {path!r} is not in the pyramid; expected one of {valid}")
        return np.any(uses, axis=0)


class ClassFeaturePyramids(Explainer[PyramidResult]):
    """Class Feature Pyramids on networks of 3-D convolutions. The score is the logit.

    That is I3D, R(2+1)D and other models of 3-D convolutions with batch norms, activations, pooling, branches and
    shortcuts, whose dense layers are given the features' mean or maximum over time and space. It needs one forward
    pass. Others are refused.

    Args:
      model: a Keras model of clips `(B, T, H, W, C)` that returns class scores `(B, K)`. It stays unchanged.
      theta: the threshold, in [0, 1]: which kernels count, as a share of the range of all. The authors take 0.55 for a
        3-D ResNet-50, 0.65 for I3D and 0.6 for other networks. If no weight of the class exceeds it, nothing counts,
        all maps are 0, and there is a warning.
      depth: the number of levels, 1 or more. Level 1 is the convolutions nearest to the classifier; a convolution has
        one level more than those that it feeds. A model with fewer convolutions has fewer levels. None for all.
      level: the level that `attribution` shows, from 1 to `depth`.
      time: how T' steps become T frames: "nearest" repeats steps; "linear" interpolates.
      normalize: "frame" or "clip" divides maps by the largest absolute value of each frame or clip, so that they lie in
        [0, 1], or in [-1, 1] if signed. "frame_range" and "clip_range" (as published) subtract the minimum first, so
        that maps lie in [0, 1]. None leaves maps unchanged. A map of zeros stays zero.
      output: what the model returns: "logits", "probabilities", or "auto", which finds out from the last layer or the
        scores.
      input_range: the values (low, high) that the model expects for black and white, e.g. (0, 255); clips in [0, 1] are
        scaled to them. None: the model gets clips unchanged. "auto": the range that was declared (`tfvid.declare`, a
        model card), or else the range that the model's first layers imply.
      batch_size: the number of clips explained at a time, 1 or more. It bounds memory and does not change results.

    Raises:
      TfvidError: an option outside its range; when called, a level that the model does not have.
      ModelError: when called: a recurrent layer, an operation without a rule, with the name of its layer, or no 3-D
        convolution.

    Example:
      >>> result = ClassFeaturePyramids(model, theta=0.65)(clips)
      >>> result.pyramid.shape
      (2, 3, 16, 224, 224)
      >>> result.kernels_of("Mixed_5c_branch_1_conv").sum(axis=1)  # the number of kernels that count in each clip
      array([31, 24])
    """

    result_type = PyramidResult

    def __init__(
        self,
        model,
        *,
        theta: float = 0.6,
        depth: int | None = 3,
        level: int = 1,
        time: str = "nearest",
        normalize: str | None = "clip_range",
        **options: Unpack[ExplainerOptions],
    ):
        super().__init__(model, **options)
        if not 0 <= theta <= 1:
            raise TfvidError(f"theta: expected a share of the range, in [0, 1], got {theta}")
        if depth is not None and depth < 1 or level < 1 or depth is not None and level > depth:
            raise TfvidError(f"expected depth >= 1 and level from 1 to depth, got depth={depth} and level={level}")
        check_choice("time", time, ("nearest", "linear"))
        check_choice("normalize", normalize, NORMALIZATIONS)
        self.theta, self.depth, self.level = theta, depth, level
        self.time, self.normalize = time, normalize
        self._layers: tuple[PyramidLayer, ...] = ()
        self._compiled = Compiled(self._maps)

    def prepare(self, clips):
        super().prepare(clips)
        if not self.classifier.has_logits:
            raise ModelError(
                f"{METHOD} starts from the logits, which a softmax written in the model's call hides; end the model in "
                f"a Softmax layer, or {INSTEAD}"
            )
        for path, layer in named_layers(self.classifier.model):
            if isinstance(layer, keras.layers.RNN):
                raise ModelError(
                    f"layer {path!r} ({type(layer).__name__}): {METHOD} has no rule for recurrent layers; {INSTEAD}"
                )

    def _compute(self, clips, target):
        return self._compiled(clips, target)

    def _maps(self, clips, target) -> dict[str, tf.Tensor]:
        """Returns the fields of the result; traced once."""
        recording = Recording(self.classifier, clips)
        predicted, target = chosen_class(recording.logits, target)
        found = back_step(recording, tf.one_hot(target, recording.logits.shape[1]), self.theta, self.depth)
        self._layers = tuple(PyramidLayer(one.path, one.level, one.counts.shape[1]) for one in found)
        levels = found[-1].level
        if self.level > levels:
            raise TfvidError(f"level: the model has convolutions on levels 1 to {levels}, got {self.level}")
        maps = [self._map([one for one in found if one.level == level], clips) for level in range(1, levels + 1)]
        return {
            "target": target,
            "predicted": predicted,
            "score": class_score(recording.logits, target),
            "attribution": maps[self.level - 1],
            "pyramid": tf.stack(maps, axis=1),
            "kernels": tf.concat([one.counts for one in found], axis=1) > 0,
        }

    def _map(self, found: list[Kernels], clips) -> tf.Tensor:
        """The map of one level; features that two convolutions make together, as a shortcut's, count once."""
        together: dict = {}
        for one in found:
            known = together.get(one.features.ref())
            together[one.features.ref()] = one.counts if known is None else tf.maximum(known, one.counts)
        maps = [tf.einsum("bthwk,bk->bthw", features.deref(), counts) for features, counts in together.items()]
        native = [on_clip(one, clips, self.classifier, self.time) for one in maps]
        return normalized(tf.add_n(native), self.normalize)

    def _run(self, clips, target, **labels):
        result = super()._run(clips, target, **labels)
        object.__setattr__(result, "layers", self._layers)  # results are frozen
        empty = np.flatnonzero(~result.kernels.any(axis=1))
        if empty.size:
            warn_caller(
                f"{METHOD}: no kernel counts for {empty.size} of {len(result)} clips, the first of them clip "
                f"{empty[0]}: no weight of its class reaches theta={self.theta}; lower theta"
            )
        return result
