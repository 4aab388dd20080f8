"""Excitation backprop: probabilities of neurons, passed down from the class to the features of a layer.

The class has probability 1. Each neuron passes its probability on to the neurons below that excite it, in proportion to
their excitation:

    P(a_i)  =  sum_j  P(a_i | a_j) P(a_j),        P(a_i | a_j)  ~  x_i max(w_ij, 0)

The map is the P of a layer's features, summed over channels: >= 0, with a sum of 1.

Zhang, Bargal, Lin, Brandt, Shen, Sclaroff, "Top-down Neural Attention by Excitation Backprop", ECCV 2016 and IJCV 2018;
through time (EB-R): Bargal et al., "Excitation Backprop for RNNs", CVPR 2018. The rules are in `rules` and
`recurrent`.
"""

from dataclasses import dataclass
from typing import Unpack

import numpy as np
import tensorflow as tf

from tfvid.core.errors import ModelError, check_choice
from tfvid.explain.base import Attribution, Explainer
from tfvid.explain.cam.cam import Run
from tfvid.explain.cam.explained import Explained, explained
from tfvid.explain.cam.features import on_clip
from tfvid.explain.cam.find_layer import find_layer
from tfvid.explain.excitation.model import excited
from tfvid.explain.excitation.recurrent import GATES
from tfvid.explain.excitation.rules import INSTEAD
from tfvid.explain.options import ExplainerOptions
from tfvid.network.classifier import chosen_class, class_score
from tfvid.network.compiled import Compiled
from tfvid.network.feature_map import trace_features


@dataclass(frozen=True)
class ExcitationResult(Attribution):
    """Maps of excitation backprop.

    Attributes:
      target: int32 `(B,)`, the class explained.
      predicted: int32 `(B,)`, the model's top class.
      score: float32 `(B,)`, the logit of `target`.
      attribution: float32 `(B, T, H, W)`, the maps at the clip's resolution, >= 0. If T, H and W are multiples of T',
        H' and W', a map has the same sum as its native map.
      native: float32 `(B, T', H', W')`, the probability of each place of the layer explained; for the contrastive form,
        the difference of two probabilities, signed.
    """

    native: np.ndarray


MOST = 1.05  # the largest sum of a map: 1, and the rounding of bfloat16


class ExcitationBackprop(Explainer[ExcitationResult]):
    """Excitation backprop on any layer of a video model whose layers all have a rule.

    There are rules for dense layers, convolutions, also depthwise and separable ones, average and max pooling, batch
    and other normalisation, activations, sums (layers or ``+`` in a functional model), `Concatenate` and layers that
    only move elements, and for LSTM and ConvLSTM2D; see `rules`. Containers, `TimeDistributed` and subclassed models
    work, too. Operations outside of layers in a model's own ``call`` have their ordinary gradient. This is the rule for
    reshaping and concatenation, but not for ``x + y``: use an `Add` layer there. (Such a map sums to more than 1, which
    raises an error.)

    A map sums to 1, minus the probability of outputs that only their bias excites.

    Args:
      model: a Keras model of clips `(B, T, H, W, C)` that returns class scores `(B, K)`. It stays unchanged.
      layer: the layer whose output is explained, by path, e.g. ``"backbone/conv"``, or by name; the probabilities of
        all uses of a layer are summed. None for the clip itself, before any layer. The papers stop at a pooling layer,
        because their rule does not support negative pixels; this rule does. A pixel whose value is 0 at the first
        convolution (mid-grey for tfvid's models) excites nothing.
      gates: the rule for the gates of recurrent layers: "signal" keeps all probability with the signal that the gates
        pass on. "gradient" is the rule of the published code; its maps do not sum to 1 and may be negative with tanh
        units, and `attribution` sets negative values to 0. See `tfvid.explain.excitation.recurrent`.
      time: how T' steps become T frames: "nearest" repeats steps; "linear" interpolates.
      output: what the model returns: "logits", "probabilities", or "auto", which finds out from the last layer or the
        scores.
      input_range: the values (low, high) that the model expects for black and white, e.g. (0, 255). Clips in [0, 1]
        are scaled to this range. None: clips are passed to the model unscaled. "auto": the range declared with
        `tfvid.declare` or in a model card, or the range that the model's first layers imply.
      batch_size: the number of clips explained at a time, 1 or more. It bounds memory and does not change results.

    Attributes:
      layer: the path of the layer explained, from the first call on; None for the clip.

    Example:
      >>> result = ExcitationBackprop(model)(clips)
      >>> result.native.sum(axis=(1, 2, 3))
      array([1., 1.], dtype=float32)
    """

    contrastive = False
    result_type = ExcitationResult

    def __init__(
        self,
        model,
        layer: str | None = None,
        *,
        gates: str = "signal",
        time: str = "nearest",
        **options: Unpack[ExplainerOptions],
    ):
        super().__init__(model, **options)
        check_choice("gates", gates, GATES)
        check_choice("time", time, ("nearest", "linear"))
        self.layer = layer
        self.gates = gates
        self.time = time
        self._of_shape: dict[tuple, Explained] = {}  # the layer, by the shape of a clip
        self._compiled = Compiled(self._maps, "gradient")
        self._plain = Compiled(self._native, "gradient")  # for the check of the contrastive form

    def prepare(self, clips):
        super().prepare(clips)
        shape = tuple(clips.shape[1:])
        if self.layer is not None and shape not in self._of_shape:
            trace = trace_features(self.classifier.model, shape)
            chosen = find_layer(self.classifier.model, trace, self.layer)
            self.layer = chosen.path
            self._of_shape[shape] = explained(self.classifier.model, trace, shape, chosen)

    def _compute(self, clips, target):
        found = self._compiled(clips, target)
        if self.contrastive:
            self._check_mass(self._plain(clips, target))
        else:
            self._check_mass(found["native"])
        return found

    def _check_mass(self, native):
        """Raises ModelError if a map, not of the contrastive form, sums to more than 1."""
        mass = native.numpy().sum(axis=(1, 2, 3)).max()
        if self.gates == "signal" and mass > MOST:
            raise ModelError(
                f"expected probabilities that sum to 1, got {mass:.3g}: the model's own call adds or scales features "
                f"outside of layers; use Add layers, or {INSTEAD}"
            )

    def _native(self, clips, target) -> tf.Tensor:
        """Returns the maps that are not contrastive; traced once."""
        return self._maps(clips, target, contrastive=False)["native"]

    def _maps(self, clips, target, contrastive: bool | None = None) -> dict[str, tf.Tensor]:
        """Returns the fields of the result; traced once."""
        contrastive = self.contrastive if contrastive is None else contrastive
        with excited(self.classifier, self.gates, contrastive):
            if self.layer is None:
                P, predicted, target, score = self._at_clips(clips, target)
            else:
                run = Run(self.classifier, clips, target, self._of_shape[tuple(clips.shape[1:])], "logit")
                P, predicted, target, score = run.G, run.predicted, run.target, run.score
        native = tf.reduce_sum(P, axis=-1)
        places = tf.reduce_prod(tf.shape(native)[1:]) / tf.reduce_prod(clips.shape[1:4])
        return {
            "target": target,
            "predicted": predicted,
            "score": score,
            "attribution": tf.nn.relu(on_clip(native, clips, self.classifier, self.time)) * tf.cast(places, tf.float32),
            "native": native,
        }

    def _at_clips(self, clips, target):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(clips)
            logits = self.classifier.logits(clips)
            predicted, target = chosen_class(logits, target)
            score = class_score(logits, target)
        # Scaling multiplies the gradient by (high - low), while P of the clips is P of the scaled values.
        low, high = self.classifier.input_range or (0.0, 1.0)
        return tape.gradient(score, clips) / (high - low), predicted, target, score


class ContrastiveExcitationBackprop(ExcitationBackprop):
    """Excitation backprop of the class minus that of its opposite: the evidence that distinguishes the class.

    The opposite is a class with the negated weights of the class in the top layer, the last dense layer or convolution.
    Below the top layer, the difference is passed on by the same rules, so one pass suffices: the rules are linear in P.

    Zhang et al., ECCV 2016, section 3.3. As published, negative values of the sum over channels are cut off; `native`
    keeps them. `native` sums to 0: 1 for the class, and -1 for its opposite.

    Args:
      model: a Keras model of clips `(B, T, H, W, C)` that returns class scores `(B, K)`. It stays unchanged.
      layer: the layer whose output is explained, by path, e.g. ``"backbone/conv"``, or by name; the probabilities of
        all uses of a layer are summed. None for the clip itself, before any layer. The papers stop at a pooling layer,
        because their rule does not support negative pixels; this rule does. A pixel whose value is 0 at the first
        convolution (mid-grey for tfvid's models) excites nothing.
      gates: the rule for the gates of recurrent layers: "signal" keeps all probability with the signal that the gates
        pass on. "gradient" is the rule of the published code; its maps do not sum to 1 and may be negative with tanh
        units, and `attribution` sets negative values to 0. See `tfvid.explain.excitation.recurrent`.
      time: how T' steps become T frames: "nearest" repeats steps; "linear" interpolates.
      output: what the model returns: "logits", "probabilities", or "auto", which finds out from the last layer or the
        scores.
      input_range: the values (low, high) that the model expects for black and white, e.g. (0, 255). Clips in [0, 1]
        are scaled to this range. None: clips are passed to the model unscaled. "auto": the range declared with
        `tfvid.declare` or in a model card, or the range that the model's first layers imply.
      batch_size: the number of clips explained at a time, 1 or more. It bounds memory and does not change results.

    Example:
      >>> ContrastiveExcitationBackprop(model)(clips, target=3).attribution.shape
      (2, 16, 224, 224)
    """

    contrastive = True
