"""Layer-wise relevance propagation (LRP): the logit of a class, passed down layer by layer to the pixels.

Each layer passes the relevance R_j of its outputs to its inputs, in proportion to what they contributed,

    R_i  =  sum_j  c_ij / sum_k c_kj  R_j,        c_ij = w_ij x_i,

and variants that favour positive contributions (see `rules`). The sum over all inputs stays the same, except for what
biases contributed. So the map sums to the logit minus what the biases absorb.
"""

from dataclasses import dataclass
from typing import Unpack

import numpy as np
import tensorflow as tf

from tfvid.core.errors import ModelError, TfvidError, check_choice
from tfvid.explain.base import Attribution
from tfvid.explain.lrp.propagation import BLOCKED, INSTEAD, Relevance, constant_gates
from tfvid.explain.lrp.rules import COMPOSITES
from tfvid.explain.options import ExplainerOptions
from tfvid.explain.pixels.gradients import PixelExplainer, PixelRun
from tfvid.explain.propagation.recording import Recording
from tfvid.network.classifier import chosen_class, class_score


@dataclass(frozen=True)
class LRPResult(Attribution):
    """Maps of LRP and what they sum to.

    Attributes:
      target: int32 `(B,)`, the class explained.
      predicted: int32 `(B,)`, the model's top class.
      score: float32 `(B,)`, the logit of `target`.
      attribution: float32 `(B, T, H, W)`, the relevance of each pixel in logits; signed if reduced by "sum".
      attributed: float32 `(B,)`, the sum of all relevance before colours are reduced.
      absorbed: float32 `(B,)`, ``score - attributed``: what biases, and softmax layers inside, contribute.
    """

    attributed: np.ndarray
    absorbed: np.ndarray


class LRP(PixelExplainer[LRPResult]):
    """Layer-wise relevance propagation of the logit down to the pixels of the clip.

    It works on the operations that the model runs, so subclassed models and custom layers need no adaption. There are
    rules for dense layers, all convolutions, pooling, normalisation, activations, sums, products, LSTM, GRU,
    ConvLSTM2D, and attention (AttnLRP); see `tfvid.explain.lrp.propagation`. A batch norm is merged into the
    convolution before it. Before the first layer, pixels that are scaled or shifted keep their relevance.

    Args:
      model: a Keras model of clips `(B, T, H, W, C)` that returns class scores `(B, K)`. It stays unchanged.
      composite: which rule each kind of layer has, by zennit's names. Dense layers have the epsilon rule.
        "epsilon_plus": convolutions have the z+ rule, which follows positive contributions only. "epsilon": all layers
        have the epsilon rule, whose maps are noisy in deep networks. "epsilon_alpha2_beta1": convolutions have alpha 2,
        beta 1. "epsilon_gamma_box": convolutions have the gamma rule, and the first layer the box rule z^B.
        "epsilon_plus_flat", "epsilon_alpha2_beta1_flat": the first layer has the flat rule.
      epsilon: what is added to the size of each denominator, > 0.
      gamma: of the gamma rule, >= 0: how much more the contributions with the sign of the output count.
      box: (low, high) of the box rule: the least and the largest value of a pixel in the clips that are given.
      reduce: how the values of a pixel's colours become one: "sum", signed and conserved; "abs_sum", the sum of
        absolute values; or "abs_max", the largest absolute value.
      output: what the model returns: "logits", "probabilities", or "auto", which finds out from the last layer or the
        scores.
      input_range: the values (low, high) that the model expects for black and white, e.g. (0, 255). Clips in [0, 1]
        are scaled to this range. None: clips are passed to the model unscaled. "auto": the range declared with
        `tfvid.declare` or in a model card, or the range that the model's first layers imply.
      batch_size: the number of clips explained at a time, 1 or more. It bounds memory and does not change results.

    Raises:
      TfvidError: an unknown composite, or an option outside its range.
      ModelError: when called: an operation without a rule, with the name of its layer, or a softmax that hides the
        logits.

    Example:
      >>> result = LRP(model, composite="epsilon_gamma_box")(clips)
      >>> result.attribution.sum(axis=(1, 2, 3)), result.score
      (array([3.1, 0.9], dtype=float32), array([3.4, 1.1], dtype=float32))
    """

    result_type = LRPResult

    def __init__(
        self,
        model,
        composite: str = "epsilon_plus",
        *,
        epsilon: float = 1e-6,
        gamma: float = 0.25,
        box: tuple[float, float] = (0.0, 1.0),
        reduce: str = "sum",
        **options: Unpack[ExplainerOptions],
    ):
        super().__init__(model, reduce=reduce, **options)
        check_choice("composite", composite, COMPOSITES)
        if not (epsilon > 0 and gamma >= 0):
            raise TfvidError(f"expected epsilon > 0 and gamma >= 0, got {epsilon} and {gamma}")
        if len(box) != 2 or not box[0] < box[1]:
            raise TfvidError(f"expected box=(low, high) with low < high, got {box}")
        self.composite = composite
        self.epsilon, self.gamma, self.box = epsilon, gamma, box

    def _see(self, clips, target):
        if not self.classifier.has_logits:
            raise ModelError(
                "LRP starts from the logits, which a softmax written in the model's call hides; end the model in a "
                f"Softmax layer, or {INSTEAD}"
            )
        return RelevanceRun(self, clips, target)

    def _pixels(self, run):
        return run.relevance

    def _fields(self, run, pixels):
        attributed = tf.reduce_sum(pixels, axis=(1, 2, 3, 4))
        return super()._fields(run, pixels) | {"attributed": attributed, "absorbed": run.score - attributed}


class RelevanceRun(PixelRun):
    """One run of the model on clips, and LRP back to them.

    Args:
      explain: the `LRP`.
      clips: float32 `(B, T, H, W, C)`.
      target: int32 `(B,)`, -1 for the predicted class.
    """

    def __init__(self, explain: LRP, clips, target):
        with constant_gates(explain.classifier.model):
            recording = Recording(explain.classifier, clips, BLOCKED)
        self.predicted, self.target = chosen_class(recording.logits, target)
        self.score = class_score(recording.logits, self.target)
        rules = COMPOSITES[explain.composite]
        relevance = Relevance(recording, rules, explain.epsilon, explain.gamma, explain.box)
        self.relevance = relevance.of_clips(tf.one_hot(self.target, recording.logits.shape[1]))
