"""DeepLIFT and DeepSHAP: what each pixel adds to the logit, compared with a baseline clip.

DeepLIFT runs the model on the clip x and on the baseline x0 and passes multipliers m down from the logit, by the rules
in `rules`. The map is a = m (x - x0). It is complete: its sum over all pixels is ``y_c(x) - y_c(x0)``, as for
integrated gradients, but two forward passes and one backward pass suffice.

DeepSHAP is the mean of DeepLIFT over several baselines. For a model whose features act independently, it approximates
Shapley values.

Shrikumar et al., "Learning Important Features Through Propagating Activation Differences", ICML 2017; Lundberg & Lee,
"A Unified Approach to Interpreting Model Predictions", NeurIPS 2017, section 4.2.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np
import tensorflow as tf

from tfvid.core.errors import TfvidError, check_choice
from tfvid.explain.base import Attribution, Explainer
from tfvid.explain.deeplift.rules import Differences
from tfvid.explain.options import ExplainerOptions
from tfvid.explain.pixels.gradients import REDUCTIONS, PixelOptions
from tfvid.explain.propagation.recording import Recording
from tfvid.network.classifier import chosen_class, class_score
from tfvid.network.compiled import Compiled
from tfvid.perturb.fill import fill_of


@dataclass(frozen=True)
class DeepLIFTResult(Attribution):
    """Attributions compared with a baseline, and their completeness gap.

    Attributes:
      target: int32 `(B,)`, the class explained.
      predicted: int32 `(B,)`, the model's top class.
      score: float32 `(B,)`, the logit of `target`.
      attribution: float32 `(B, T, H, W)`, in logits; signed if reduced by "sum".
      baseline_score: float32 `(B,)`, the logit of `target` for the baseline; for DeepSHAP the mean over the baselines.
      attributed: float32 `(B,)`, the sum of all attributions before colours are reduced.
      completeness_gap: float32 `(B,)`, ``attributed - (score - baseline_score)``: rounding, unless the model chooses
        between features by a condition, such as a mask that it computes from the clip.
    """

    baseline_score: np.ndarray
    attributed: np.ndarray
    completeness_gap: np.ndarray


class Compared(Explainer[DeepLIFTResult]):
    """The base of explainers by differences from baselines: `_baselines`.

    Args:
      model: a Keras model of clips `(B, T, H, W, C)` that returns class scores `(B, K)`. It stays unchanged.
      reduce: how the values of a pixel's colours become one, see `tfvid.explain.pixels.gradients.REDUCTIONS`.
      output: what the model returns, see `Explainer`.
      input_range: the values (low, high) that the model expects for black and white, see `Explainer`.
      batch_size: the number of clips explained at a time, 1 or more. It bounds memory and does not change results.
    """

    result_type = DeepLIFTResult

    def __init__(self, model, *, reduce: str = "sum", **options: Unpack[ExplainerOptions]):
        super().__init__(model, **options)
        check_choice("reduce", reduce, REDUCTIONS)
        self.reduce = reduce
        self._compiled = Compiled(self._compare, "gradient")

    @abstractmethod
    def _baselines(self, clips) -> list[tf.Tensor]:
        """Returns the baselines of clips, each in their shape."""

    def _compute(self, clips, target):
        runs = [self._compiled(clips, target, baseline) for baseline in self._baselines(clips)]
        pixels, baseline_score = (tf.add_n([run[name] for run in runs]) / len(runs) for name in ("pixels", "baseline"))
        attributed, score = tf.reduce_sum(pixels, axis=(1, 2, 3, 4)), runs[0]["score"]
        return {
            "target": runs[0]["target"],
            "predicted": runs[0]["predicted"],
            "score": score,
            "attribution": REDUCTIONS[self.reduce](pixels),
            "baseline_score": baseline_score,
            "attributed": attributed,
            "completeness_gap": attributed - (score - baseline_score),
        }

    def _compare(self, clips, target, baseline) -> dict[str, tf.Tensor]:
        """Returns what each colour of each pixel adds, and the scores; traced once."""
        run, reference = (Recording(self.classifier, x) for x in (clips, baseline))
        predicted, target = chosen_class(run.logits, target)
        start = tf.one_hot(target, run.logits.shape[1])
        return {
            "target": target,
            "predicted": predicted,
            "score": class_score(run.logits, target),
            "baseline": class_score(reference.logits, target),
            "pixels": Differences(run, reference).multipliers(start) * (clips - baseline),
        }


class DeepLIFT(Compared):
    """DeepLIFT of the logit, by the rescale rule.

    It works on the operations that the model runs, so subclassed models and custom layers need no adaption. There are
    rules for linear layers, pooling, normalisation, activations, products, softmax and attention, LSTM, GRU and
    ConvLSTM2D; see `tfvid.explain.deeplift.rules`.

    Args:
      model: a Keras model of clips `(B, T, H, W, C)` that returns class scores `(B, K)`. It stays unchanged.
      baseline: the clip to compare with: a name in `tfvid.perturb.fill.FILLS` ("fade" is black, "mean" the clip's mean
        colour, "blur" the blurred frames, "first_frame" removes the motion), or a function from clips to clips of the
        same shape.
      reduce: how the values of a pixel's colours become one: "sum", signed and complete; "abs_sum", the sum of absolute
        values; or "abs_max", the largest absolute value.
      output: what the model returns: "logits", "probabilities", or "auto", which finds out from the last layer or the
        scores.
      input_range: the values (low, high) that the model expects for black and white, e.g. (0, 255); clips in [0, 1] are
        scaled to them. None: the model gets clips unchanged. "auto": the range that was declared (`tfvid.declare`, a
        model card), or else the range that the model's first layers imply.
      batch_size: the number of clips explained at a time, 1 or more. It bounds memory and does not change results.

    Raises:
      TfvidError: an unknown baseline.
      ModelError: when called: an operation without a rule, with the name of its layer.

    Example:
      >>> result = DeepLIFT(model, baseline="blur")(clips)
      >>> result.attributed, result.score - result.baseline_score
      (array([3.21, 0.87], dtype=float32), array([3.21, 0.87], dtype=float32))
    """

    def __init__(self, model, baseline="fade", **options: Unpack[PixelOptions]):
        super().__init__(model, **options)
        self.baseline, self._fill = baseline, fill_of(baseline)

    def _baselines(self, clips):
        return [self._fill(clips)]


class DeepSHAP(Compared):
    """DeepSHAP of the logit: the mean of DeepLIFT over several baselines.

    Args:
      model: a Keras model of clips `(B, T, H, W, C)` that returns class scores `(B, K)`. It stays unchanged.
      baselines: what to compare with: names in `tfvid.perturb.fill.FILLS` or functions from clips to clips, each one
        baseline; or clips, float `(N, T, H, W, C)`, for instance of the training set, in the range of the clips
        explained.
      samples: how many of the clips in `baselines` are drawn, without replacement, 1 or more; all if there are fewer.
      seed: of the draw.
      reduce: how the values of a pixel's colours become one: "sum", signed and complete; "abs_sum", the sum of absolute
        values; or "abs_max", the largest absolute value.
      output: what the model returns: "logits", "probabilities", or "auto", which finds out from the last layer or the
        scores.
      input_range: the values (low, high) that the model expects for black and white, e.g. (0, 255); clips in [0, 1] are
        scaled to them. None: the model gets clips unchanged. "auto": the range that was declared (`tfvid.declare`, a
        model card), or else the range that the model's first layers imply.
      batch_size: the number of clips explained at a time, 1 or more. It bounds memory and does not change results.

    Raises:
      TfvidError: no baseline, an unknown one, or baseline clips of another shape than those explained.
      ModelError: when called: an operation without a rule, with the name of its layer.

    Example:
      >>> DeepSHAP(model, baselines=training_clips, samples=10)(clips).attribution.shape
      (2, 16, 224, 224)
    """

    def __init__(
        self,
        model,
        baselines=("fade", "mean", "blur"),
        *,
        samples: int = 8,
        seed: int = 0,
        **options: Unpack[PixelOptions],
    ):
        super().__init__(model, **options)
        if samples < 1 or not len(baselines):
            raise TfvidError(f"expected 1 baseline or more, got {len(baselines)} baselines and samples={samples}")
        self.baselines: Any = baselines
        if isinstance(baselines, str) or not hasattr(baselines, "shape"):
            names = [baselines] if isinstance(baselines, str) else baselines
            self.baselines = [fill_of(baseline) for baseline in names]
        else:
            drawn = np.random.default_rng(seed).permutation(len(baselines))[:samples]
            self.baselines = np.asarray(baselines)[np.sort(drawn)]
        self.samples, self.seed = samples, seed

    def _baselines(self, clips):
        if isinstance(self.baselines, list):
            return [fill(clips) for fill in self.baselines]
        if self.baselines.shape[1:] != tuple(clips.shape[1:]) or self.baselines.dtype.kind != "f":
            raise TfvidError(
                f"baselines: expected float clips (N, {', '.join(map(str, clips.shape[1:]))}), as those explained, got "
                f"{self.baselines.dtype} {self.baselines.shape}"
            )
        return [tf.zeros_like(clips) + tf.cast(baseline, clips.dtype) for baseline in self.baselines]
