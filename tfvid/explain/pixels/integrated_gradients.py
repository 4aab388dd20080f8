"""Integrated gradients: each pixel's contribution to the score on the straight path from a baseline to the clip.

    a = (x - x') * mean over s of  d y_c / d x  at  x' + (s + 1/2) / S (x - x'),    s = 0 ... S - 1

the midpoint rule for the paper's Eq. 1. The sum of a over all pixels is ``y_c(x) - y_c(x')`` (completeness), up to the
error of S steps. The result reports this error.

Sundararajan et al., "Axiomatic Attribution for Deep Networks", ICML 2017, sections 3 and 5.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Unpack

import numpy as np
import tensorflow as tf

from tfvid.core.errors import TfvidError
from tfvid.explain.base import Attribution
from tfvid.explain.options import ExplainerOptions
from tfvid.explain.pixels.gradients import PixelExplainer, PixelOptions, PixelRun, gradient_function, sum_over_steps
from tfvid.network.classifier import class_score
from tfvid.perturb.fill import fill_of


@dataclass(frozen=True)
class PathResult(Attribution):
    """Attributions along a path to the clip, and their completeness gap.

    Attributes:
      target: int32 `(B,)`, the class explained.
      predicted: int32 `(B,)`, the model's top class.
      score: float32 `(B,)`, the logit of `target`.
      attribution: float32 `(B, T, H, W)`, in logits; signed if reduced by "sum".
      baseline_score: float32 `(B,)`, the logit of `target` at the start of the path.
      attributed: float32 `(B,)`, the sum of all attributions before colours are reduced.
      completeness_gap: float32 `(B,)`, ``attributed - (score - baseline_score)``; approaches zero with more steps.
    """

    baseline_score: np.ndarray
    attributed: np.ndarray
    completeness_gap: np.ndarray


class PathOptions(PixelOptions, total=False):
    """The options of `PathExplainer`."""

    steps: int


class PathExplainer(PixelExplainer[PathResult]):
    """The base of explainers that sum gradients along a path that ends at the clip.

    Args:
      model: a Keras model of clips `(B, T, H, W, C)` that returns class scores `(B, K)`. It stays unchanged.
      steps: S, the number of gradients along the path, 1 or more; they are computed one after another.
      reduce: how the values of a pixel's colours become one: "sum", signed and complete; "abs_sum", the sum of absolute
        values; or "abs_max", the largest absolute value.
      output: what the model returns: "logits", "probabilities", or "auto", which finds out from the last layer or the
        scores.
      input_range: the values (low, high) that the model expects for black and white, e.g. (0, 255). Clips in [0, 1]
        are scaled to this range. None: clips are passed to the model unscaled. "auto": the range declared with
        `tfvid.declare` or in a model card, or the range that the model's first layers imply.
      batch_size: the number of clips explained at a time, 1 or more. It bounds memory and does not change results.
    """

    result_type = PathResult

    def __init__(self, model, *, steps: int = 32, reduce: str = "sum", **options: Unpack[ExplainerOptions]):
        super().__init__(model, reduce=reduce, **options)
        if steps < 1:
            raise TfvidError(f"expected steps >= 1, got {steps}")
        self.steps = steps

    def _fields(self, run, pixels):
        attributed = tf.reduce_sum(pixels, axis=(1, 2, 3, 4))
        baseline_score = class_score(self.classifier.logits(self._start(run.clips)), run.target)
        return super()._fields(run, pixels) | {
            "baseline_score": baseline_score,
            "attributed": attributed,
            "completeness_gap": attributed - (run.score - baseline_score),
        }

    @abstractmethod
    def _start(self, clips) -> tf.Tensor:
        """Returns the start of the path to `clips`, in their shape."""


class IntegratedGradients(PathExplainer):
    """Integrated gradients of the logit.

    Args:
      model: a Keras model of clips `(B, T, H, W, C)` that returns class scores `(B, K)`. It stays unchanged.
      baseline: the clip where the path begins: a name in `tfvid.perturb.fill.FILLS` ("fade" is black; "first_frame"
        keeps the appearance and removes the motion), or a function from clips to clips of the same shape.
      steps: S, the number of gradients along the path, 1 or more; they are computed one after another.
      reduce: how the values of a pixel's colours become one: "sum", signed and complete; "abs_sum", the sum of absolute
        values; or "abs_max", the largest absolute value.
      output: what the model returns: "logits", "probabilities", or "auto", which finds out from the last layer or the
        scores.
      input_range: the values (low, high) that the model expects for black and white, e.g. (0, 255). Clips in [0, 1]
        are scaled to this range. None: clips are passed to the model unscaled. "auto": the range declared with
        `tfvid.declare` or in a model card, or the range that the model's first layers imply.
      batch_size: the number of clips explained at a time, 1 or more. It bounds memory and does not change results.

    Raises:
      TfvidError: fewer than one step, or an unknown baseline.

    Example:
      >>> result = IntegratedGradients(model, baseline="first_frame", steps=50)(clips)
      >>> result.attributed, result.score - result.baseline_score
      (array([3.21, 0.87], dtype=float32), array([3.2 , 0.88], dtype=float32))
    """

    def __init__(self, model, *, baseline="fade", **options: Unpack[PathOptions]):
        super().__init__(model, **options)
        self.baseline, self._fill = baseline, fill_of(baseline)

    def _start(self, clips):
        return self._fill(clips)

    def _pixels(self, run: PixelRun):
        gradient, baseline = gradient_function(self.classifier), self._start(run.clips)
        way = run.clips - baseline

        def at(s):
            return gradient(baseline + (tf.cast(s, tf.float32) + 0.5) / self.steps * way, run.target)

        return way * sum_over_steps(at, self.steps, like=way) / self.steps
