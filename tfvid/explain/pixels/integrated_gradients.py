"""Integrated gradients: what each pixel contributes to the score on the straight way from a baseline to the clip.

    a = (x - x') * mean over s of  d y_c / d x  at  x' + (s + 1/2) / S (x - x'),    s = 0 ... S - 1

the midpoint rule for the paper's Eq. 1. Summed over all pixels, a is ``y_c(x) - y_c(x')`` (completeness) up to the
error of S steps, which the result reports.

Sundararajan et al., "Axiomatic Attribution for Deep Networks", ICML 2017, sections 3 and 5.
"""

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from tfvid.core.errors import TfvidError, check_choice
from tfvid.explain.base import Attribution
from tfvid.explain.pixels.gradients import PixelExplainer, PixelRun, gradient_function, sum_over_steps
from tfvid.network.classifier import class_score
from tfvid.perturb.fill import FILLS


@dataclass(frozen=True)
class PathResult(Attribution):
    """Attributions along a path to the clip, and how far from complete they are.

    Attributes:
      target: int32 `(B,)`, the class explained.
      predicted: int32 `(B,)`, the model's top class.
      score: float32 `(B,)`, the logit of `target`.
      attribution: float32 `(B, T, H, W)`, in logits; signed if reduced by "sum".
      baseline_score: float32 `(B,)`, the logit of `target` where the path begins.
      attributed: float32 `(B,)`, the sum of all attributions before colours are reduced.
      completeness_gap: float32 `(B,)`, ``attributed - (score - baseline_score)``; nears zero as steps grow.
    """

    baseline_score: np.ndarray
    attributed: np.ndarray
    completeness_gap: np.ndarray


class PathExplainer(PixelExplainer):
    """A pixel's share of the rise of the score along a path that ends at the clip.

    Args:
      model: a Keras model, see `Explainer`.
      steps: S, gradients taken on the way, one after another.
      reduce: "sum", signed and complete, "abs_sum" or "abs_max", see `PixelExplainer`.
      output: see `Explainer`.
      input_range: see `Explainer`.
      batch_size: see `Explainer`.
    """

    result_type = PathResult

    def __init__(self, model, *, steps: int, reduce: str, output: str, input_range, batch_size: int):
        super().__init__(model, reduce=reduce, output=output, input_range=input_range, batch_size=batch_size)
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
        """Where the path to `clips` begins, in their shape."""


class IntegratedGradients(PathExplainer):
    """Integrated gradients of the logit.

    Args:
      model: a Keras model, see `Explainer`.
      baseline: where the way begins: a name in `tfvid.perturb.fill.FILLS` ("fade" is black, "first_frame" keeps what
        is seen and takes away what happens), or a function of clips of the same shape.
      steps: S, gradients taken on the way, one after another.
      reduce: "sum", signed and complete, "abs_sum" or "abs_max", see `PixelExplainer`.
      output: see `Explainer`.
      input_range: see `Explainer`.
      batch_size: see `Explainer`.

    Raises:
      TfvidError: less than one step, or an unknown baseline.

    Example:
      >>> result = IntegratedGradients(model, baseline="first_frame", steps=50)(clips)
      >>> result.attributed, result.score - result.baseline_score
      (array([3.21, 0.87], dtype=float32), array([3.2 , 0.88], dtype=float32))
    """

    def __init__(
        self,
        model,
        *,
        baseline="fade",
        steps: int = 32,
        reduce: str = "sum",
        output: str = "auto",
        input_range="auto",
        batch_size: int = 8,
    ):
        super().__init__(
            model, steps=steps, reduce=reduce, output=output, input_range=input_range, batch_size=batch_size
        )
        if not callable(baseline):
            check_choice("baseline", baseline, FILLS)
        self.baseline = baseline

    def _start(self, clips):
        return self.baseline(clips) if callable(self.baseline) else FILLS[self.baseline](clips)

    def _pixels(self, run: PixelRun):
        gradient, baseline = gradient_function(self.classifier), self._start(run.clips)
        way = run.clips - baseline

        def at(s):
            return gradient(baseline + (tf.cast(s, tf.float32) + 0.5) / self.steps * way, run.target)

        return way * sum_over_steps(at, self.steps, like=way) / self.steps
