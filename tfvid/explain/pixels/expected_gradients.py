"""Expected gradients: integrated gradients, averaged over baselines that are clips of the data.

    a = E over x', alpha of  (x - x') * d y_c / d x  at  x' + alpha (x - x'),    alpha ~ U(0, 1)

a mean over S draws of a baseline x' and of a place alpha on the path. The sum of a over all pixels approaches
``y_c(x) - E y_c(x')`` (completeness). The result reports the error of S draws.

Erion et al., "Improving performance of deep learning models with axiomatic attribution priors and expected gradients",
Nature Machine Intelligence 2021 (arXiv 1906.10670), eq. 3.
"""

from typing import Any, Unpack

import numpy as np
import tensorflow as tf

from tfvid.core.errors import TfvidError, check_choice
from tfvid.explain.base import Explainer
from tfvid.explain.options import ExplainerOptions
from tfvid.explain.pixels.gradients import REDUCTIONS, gradient_function
from tfvid.explain.pixels.integrated_gradients import PathResult
from tfvid.network.classifier import chosen_class, class_score
from tfvid.network.compiled import Compiled
from tfvid.perturb.fill import fill_of


class ExpectedGradients(Explainer[PathResult]):
    """Expected gradients of the logit.

    Every clip gets the same baselines and places. Each baseline is drawn equally often, up to one draw, in a random
    order. In the result, `baseline_score` is the mean logit over the draws' baselines.

    Args:
      model: a Keras model of clips `(B, T, H, W, C)` that returns class scores `(B, K)`. It stays unchanged.
      baselines: what the paths begin at: clips, float `(N, T, H, W, C)`, for instance of the training set, in the range
        of the clips explained; or names in `tfvid.perturb.fill.FILLS` or functions from clips to clips.
      samples: S, the number of draws, 1 or more; each needs a gradient and a score of the baseline.
      seed: of the draws.
      reduce: how the values of a pixel's colours become one: "sum", signed and complete; "abs_sum", the sum of absolute
        values; or "abs_max", the largest absolute value.
      output: what the model returns: "logits", "probabilities", or "auto", which finds out from the last layer or the
        scores.
      input_range: the values (low, high) that the model expects for black and white, e.g. (0, 255). Clips in [0, 1]
        are scaled to this range. None: clips are passed to the model unscaled. "auto": the range declared with
        `tfvid.declare` or in a model card, or the range that the model's first layers imply.
      batch_size: the number of clips explained at a time, 1 or more. It bounds memory and does not change results.

    Raises:
      TfvidError: no sample, no baseline, an unknown one, or baseline clips of another shape than those explained.

    Example:
      >>> result = ExpectedGradients(model, baselines=training_clips, samples=200)(clips)
      >>> result.attributed, result.score - result.baseline_score
      (array([3.24, 0.85], dtype=float32), array([3.2 , 0.88], dtype=float32))
    """

    result_type = PathResult

    def __init__(
        self,
        model,
        baselines=("fade", "mean", "blur"),
        *,
        samples: int = 64,
        seed: int = 0,
        reduce: str = "sum",
        **options: Unpack[ExplainerOptions],
    ):
        super().__init__(model, **options)
        check_choice("reduce", reduce, REDUCTIONS)
        if samples < 1 or not len(baselines):
            raise TfvidError(f"expected 1 baseline or more, got {len(baselines)} baselines and samples={samples}")
        self.reduce, self.samples, self.seed = reduce, samples, seed
        self.baselines: Any = baselines
        if isinstance(baselines, str) or not hasattr(baselines, "shape"):
            names = [baselines] if isinstance(baselines, str) else baselines
            self.baselines = [fill_of(baseline) for baseline in names]
        else:
            self.baselines = np.asarray(baselines)
        self.order, self.alphas = draws(len(self.baselines), samples, seed)
        self._compiled = Compiled(self._one, "gradient")
        self._logit = Compiled(self._known)

    def _compute(self, clips, target):
        """Adds one draw after another, so that memory holds one baseline for each clip."""
        fields = self._logit(clips, target)
        pixels, baseline_score = tf.zeros_like(clips), tf.zeros_like(fields["score"])
        for place, alpha in zip(self.order, self.alphas, strict=True):
            places = tf.fill([clips.shape[0]], alpha)
            found = self._compiled(clips, fields["target"], self._baseline(clips, place), places)
            pixels, baseline_score = pixels + found[0] / self.samples, baseline_score + found[1] / self.samples
        attributed = tf.reduce_sum(pixels, axis=(1, 2, 3, 4))
        return fields | {
            "attribution": REDUCTIONS[self.reduce](pixels),
            "baseline_score": baseline_score,
            "attributed": attributed,
            "completeness_gap": attributed - (fields["score"] - baseline_score),
        }

    def _known(self, clips, target) -> dict[str, tf.Tensor]:
        """Returns the classes `target` and `predicted`, and the logit of `target`."""
        logits = self.classifier.logits(clips)
        predicted, target = chosen_class(logits, target)
        return {"target": target, "predicted": predicted, "score": class_score(logits, target)}

    def _one(self, clips, target, baseline, alpha):
        """Returns (x - x') times the gradient at one place of each clip's path, and the baseline's score."""
        way = clips - baseline
        place = baseline + tf.reshape(alpha, (-1, 1, 1, 1, 1)) * way
        baseline_score = class_score(self.classifier.logits(baseline), target)
        return way * gradient_function(self.classifier)(place, target), baseline_score

    def _baseline(self, clips, place: int) -> tf.Tensor:
        """Returns one of the baselines for each of the clips, in their shape."""
        if isinstance(self.baselines, list):
            return self.baselines[place](clips)
        if self.baselines.shape[1:] != tuple(clips.shape[1:]) or self.baselines.dtype.kind != "f":
            raise TfvidError(
                f"baselines: expected float clips (N, {', '.join(map(str, clips.shape[1:]))}), as those explained, got "
                f"{self.baselines.dtype} {self.baselines.shape}"
            )
        return tf.zeros_like(clips) + tf.cast(self.baselines[place], clips.dtype)


def draws(baselines: int, samples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the baseline and the place on its path of each draw.

    Args:
      baselines: N, their number.
      samples: S.
      seed: of the random numbers.

    Returns:
      Int64 `(S,)` in [0, N), and float32 `(S,)` in [0, 1).
    """
    rng = np.random.default_rng(seed)
    rounds = [rng.permutation(baselines) for _ in range(-(-samples // baselines))]
    return np.concatenate(rounds)[:samples], rng.random(samples, np.float32)
