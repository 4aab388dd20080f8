"""Gradients of the class's score with respect to the pixels.

    gradient          a[t, i, j, c] = d y_c / d x[t, i, j, c]
    gradient x input  a[t, i, j, c] = x[t, i, j, c] * d y_c / d x[t, i, j, c]

The score is the logit. For a linear model, gradient x input is each pixel's share of ``score(x) - score(0)``.

Simonyan et al., "Deep Inside Convolutional Networks", ICLR workshop 2014, section 3; Shrikumar et al., "Not Just a
Black Box", 2016.
"""

from abc import abstractmethod
from typing import Unpack

import tensorflow as tf

from tfvid.core.errors import ModelError, check_choice
from tfvid.explain.base import Attribution, Explainer, ResultType
from tfvid.explain.options import ExplainerOptions
from tfvid.network.classifier import Classifier, chosen_class, class_score
from tfvid.network.compiled import Compiled
from tfvid.network.private_api import uninlined

# From `(B, T, H, W, C)` to `(B, T, H, W)`. "sum" keeps signs and sums over the clip.
REDUCTIONS = {
    "abs_max": lambda pixels: tf.reduce_max(tf.abs(pixels), axis=-1),
    "abs_sum": lambda pixels: tf.reduce_sum(tf.abs(pixels), axis=-1),
    "sum": lambda pixels: tf.reduce_sum(pixels, axis=-1),
}


class PixelRun:
    """One run of the model on clips.

    Args:
      classifier: the model as a `Classifier`, prepared.
      clips: float32 `(B, T, H, W, C)`.
      target: int32 `(B,)`, -1 for the predicted class.

    Attributes:
      clips: the clips.
      target: int32 `(B,)`, the class explained.
      predicted: int32 `(B,)`, the top class.
      score: float32 `(B,)`, the logit of `target`.
    """

    def __init__(self, classifier: Classifier, clips, target):
        self.clips = clips
        with tf.GradientTape(watch_accessed_variables=False) as self._tape:
            self._tape.watch(clips)
            logits = classifier.logits(clips)
            self.predicted, self.target = chosen_class(logits, target)
            self.score = class_score(logits, self.target)

    @property
    def gradient(self) -> tf.Tensor:
        """The gradient of the score with respect to the pixels, float32 `(B, T, H, W, C)`; can be read once."""
        gradient = self._differentiate()
        if gradient is None:
            raise ModelError(
                "the class scores have no gradient at the clips' pixels; use a method that needs scores only, e.g. "
                "'rise' or 'occlusion'"
            )
        return gradient

    def _differentiate(self):
        return self._tape.gradient(self.score, self.clips)


class PixelOptions(ExplainerOptions, total=False):
    """The options of `PixelExplainer`."""

    reduce: str


class PixelExplainer(Explainer[ResultType]):
    """The base of explainers that compute a value for each colour of each pixel: `_pixels`.

    Args:
      model: a Keras model of clips `(B, T, H, W, C)` that returns class scores `(B, K)`. It stays unchanged.
      reduce: how the values of a pixel's colours become one: "abs_max", the largest absolute value; "abs_sum", the sum
        of absolute values; or "sum", signed.
      output: what the model returns: "logits", "probabilities", or "auto", which finds out from the last layer or the
        scores.
      input_range: the values (low, high) that the model expects for black and white, e.g. (0, 255). Clips in [0, 1]
        are scaled to this range. None: clips are passed to the model unscaled. "auto": the range declared with
        `tfvid.declare` or in a model card, or the range that the model's first layers imply.
      batch_size: the number of clips explained at a time, 1 or more. It bounds memory and does not change results.
    """

    def __init__(self, model, *, reduce: str = "abs_max", **options: Unpack[ExplainerOptions]):
        super().__init__(model, **options)
        check_choice("reduce", reduce, REDUCTIONS)
        self.reduce = reduce
        self._compiled = Compiled(self._maps, "gradient")

    def _compute(self, clips, target):
        return self._compiled(clips, target)

    def _maps(self, clips, target) -> dict[str, tf.Tensor]:
        """Returns the fields of the result; traced once."""
        run = self._see(clips, target)
        return self._fields(run, self._pixels(run))

    def _see(self, clips, target) -> PixelRun:
        return PixelRun(self.classifier, clips, target)

    def _fields(self, run: PixelRun, pixels) -> dict[str, tf.Tensor]:
        return {
            "target": run.target,
            "predicted": run.predicted,
            "score": run.score,
            "attribution": REDUCTIONS[self.reduce](pixels),
        }

    @abstractmethod
    def _pixels(self, run: PixelRun) -> tf.Tensor:
        """Returns a value for each colour of each pixel, by the method's equation: float32 `(B, T, H, W, C)`."""


class Gradient(PixelExplainer[Attribution]):
    """The gradient of the logit with respect to the clip's pixels, also called saliency.

    Args:
      model: a Keras model of clips `(B, T, H, W, C)` that returns class scores `(B, K)`. It stays unchanged.
      reduce: how the values of a pixel's colours become one: "abs_max", the largest absolute value; "abs_sum", the sum
        of absolute values; or "sum", signed.
      output: what the model returns: "logits", "probabilities", or "auto", which finds out from the last layer or the
        scores.
      input_range: the values (low, high) that the model expects for black and white, e.g. (0, 255). Clips in [0, 1]
        are scaled to this range. None: clips are passed to the model unscaled. "auto": the range declared with
        `tfvid.declare` or in a model card, or the range that the model's first layers imply.
      batch_size: the number of clips explained at a time, 1 or more. It bounds memory and does not change results.

    Example:
      >>> Gradient(model)(clips).attribution.shape
      (2, 16, 224, 224)
    """

    def _pixels(self, run):
        return run.gradient


class GradientXInput(PixelExplainer[Attribution]):
    """Each pixel times the gradient of the logit with respect to it; signed, summed over colours.

    Args:
      model: a Keras model of clips `(B, T, H, W, C)` that returns class scores `(B, K)`. It stays unchanged.
      reduce: how the values of a pixel's colours become one: "abs_max", the largest absolute value; "abs_sum", the sum
        of absolute values; or "sum", signed.
      output: what the model returns: "logits", "probabilities", or "auto", which finds out from the last layer or the
        scores.
      input_range: the values (low, high) that the model expects for black and white, e.g. (0, 255). Clips in [0, 1]
        are scaled to this range. None: clips are passed to the model unscaled. "auto": the range declared with
        `tfvid.declare` or in a model card, or the range that the model's first layers imply.
      batch_size: the number of clips explained at a time, 1 or more. It bounds memory and does not change results.
    """

    def __init__(self, model, *, reduce: str = "sum", **options: Unpack[ExplainerOptions]):
        super().__init__(model, reduce=reduce, **options)

    def _pixels(self, run):
        return run.clips * run.gradient


def gradient_function(classifier: Classifier):
    """Returns a function from clips, float32 `(B, T, H, W, C)`, and classes `(B,)` to the gradients of the logits.

    It stays a function of its own in the graph, so that it can run in a loop. If it were inlined into a loop, the
    gradients of some max-pools would run in a kernel that is a hundred times slower.
    """

    @uninlined
    def gradient(clips, target):
        return PixelRun(classifier, clips, target).gradient

    return gradient


def sum_over_steps(step, num_steps: int, like: tf.Tensor) -> tf.Tensor:
    """Returns ``step(0) + ... + step(num_steps - 1)``, computed one after another, each of the shape of `like`."""

    def add(i, total):
        return i + 1, total + step(i)

    start = [tf.constant(0), tf.zeros_like(like)]
    return tf.while_loop(lambda i, _: i < num_steps, add, start, parallel_iterations=1)[1]
