"""SmoothGrad: the mean, mean square or variance of the gradients of noisy copies of the clip.

    g_n = d y_c / d x  at  x + sigma e_n,    e_n ~ N(0, 1),    sigma = noise * (max(x) - min(x))

    SmoothGrad    mean over n of g_n         Smilkov et al., "SmoothGrad: removing noise by adding noise", 2017
    SmoothGrad^2  mean over n of g_n^2       Hooker et al., "A Benchmark for Interpretability Methods", NeurIPS 2019
    VarGrad       variance over n of g_n     Adebayo et al., "Local Explanation Methods ... Lack Sensitivity", 2018

The variance is divided by the number of samples, n, so that ``SmoothGrad^2 = SmoothGrad squared + VarGrad``.
"""

from typing import Unpack

import tensorflow as tf

from tfvid.core.errors import TfvidError
from tfvid.explain.base import Attribution
from tfvid.explain.pixels.gradients import PixelExplainer, PixelOptions, gradient_function


class SmoothGrad(PixelExplainer[Attribution]):
    """The mean gradient of the logit over noisy copies of the clip.

    All clips get the same random numbers, scaled by the range of values of each clip.

    Args:
      model: a Keras model of clips `(B, T, H, W, C)` that returns class scores `(B, K)`. It stays unchanged.
      samples: the number of noisy copies, 1 or more. The model gets them one after another, `batch_size` clips at a
        time.
      noise: the standard deviation of the noise, as a share of the clip's range of values, 0 or more.
      seed: the seed of the noise.
      reduce: how the values of a pixel's colours become one: "abs_max", the largest absolute value; "abs_sum", the sum
        of absolute values; or "sum", signed.
      output: what the model returns: "logits", "probabilities", or "auto", which finds out from the last layer or the
        scores.
      input_range: the values (low, high) that the model expects for black and white, e.g. (0, 255). Clips in [0, 1]
        are scaled to this range. None: clips are passed to the model unscaled. "auto": the range declared with
        `tfvid.declare` or in a model card, or the range that the model's first layers imply.
      batch_size: the number of clips explained at a time, 1 or more. It bounds memory and does not change results.

    Raises:
      TfvidError: fewer than one sample, or negative noise.

    Example:
      >>> SmoothGrad(model, samples=50)(clips).attribution.shape
      (2, 16, 224, 224)
    """

    def __init__(
        self, model, *, samples: int = 25, noise: float = 0.15, seed: int = 0, **options: Unpack[PixelOptions]
    ):
        super().__init__(model, **options)
        if samples < 1 or noise < 0:
            raise TfvidError(f"expected samples >= 1 and noise >= 0, got {samples} and {noise}")
        self.samples = samples
        self.noise = noise
        self.seed = seed

    def _pixels(self, run):
        return self._statistic(*self._moments(run.clips, run.target))

    def _statistic(self, mean, variance):
        return mean

    def _moments(self, clips, target) -> tuple[tf.Tensor, tf.Tensor]:
        """Mean and variance of the gradients, `(B, T, H, W, C)`, by Welford's update."""
        gradient = gradient_function(self.classifier)
        axes = (1, 2, 3, 4)
        extent = tf.reduce_max(clips, axes, keepdims=True) - tf.reduce_min(clips, axes, keepdims=True)
        sigma = self.noise * extent

        def step(n, mean, squares):
            e = tf.random.stateless_normal(clips.shape[1:], tf.stack([self.seed, n]))
            g = gradient(clips + sigma * e, target)
            change = g - mean
            mean += change / tf.cast(n + 1, g.dtype)
            return n + 1, mean, squares + change * (g - mean)

        zeros = tf.zeros_like(clips)
        start = [tf.constant(0), zeros, zeros]
        _, mean, squares = tf.while_loop(lambda n, *_: n < self.samples, step, start, parallel_iterations=1)
        return mean, squares / self.samples


class SmoothGradSquared(SmoothGrad):
    """The mean squared gradient of the logit over noisy copies of the clip.

    Args:
      model: a Keras model of clips `(B, T, H, W, C)` that returns class scores `(B, K)`. It stays unchanged.
      samples: the number of noisy copies, 1 or more. The model gets them one after another, `batch_size` clips at a
        time.
      noise: the standard deviation of the noise, as a share of the clip's range of values, 0 or more.
      seed: the seed of the noise.
      reduce: how the values of a pixel's colours become one: "abs_max", the largest absolute value; "abs_sum", the sum
        of absolute values; or "sum", signed.
      output: what the model returns: "logits", "probabilities", or "auto", which finds out from the last layer or the
        scores.
      input_range: the values (low, high) that the model expects for black and white, e.g. (0, 255). Clips in [0, 1]
        are scaled to this range. None: clips are passed to the model unscaled. "auto": the range declared with
        `tfvid.declare` or in a model card, or the range that the model's first layers imply.
      batch_size: the number of clips explained at a time, 1 or more. It bounds memory and does not change results.

    Raises:
      TfvidError: fewer than one sample, or negative noise.
    """

    def _statistic(self, mean, variance):
        return mean**2 + variance


class VarGrad(SmoothGrad):
    """The variance of the gradient of the logit over noisy copies of the clip.

    It is zero for a linear model, whose gradient is constant, even for pixels that the scores depend on.

    Args:
      model: a Keras model of clips `(B, T, H, W, C)` that returns class scores `(B, K)`. It stays unchanged.
      samples: the number of noisy copies, 1 or more. The model gets them one after another, `batch_size` clips at a
        time.
      noise: the standard deviation of the noise, as a share of the clip's range of values, 0 or more.
      seed: the seed of the noise.
      reduce: how the values of a pixel's colours become one: "abs_max", the largest absolute value; "abs_sum", the sum
        of absolute values; or "sum", signed.
      output: what the model returns: "logits", "probabilities", or "auto", which finds out from the last layer or the
        scores.
      input_range: the values (low, high) that the model expects for black and white, e.g. (0, 255). Clips in [0, 1]
        are scaled to this range. None: clips are passed to the model unscaled. "auto": the range declared with
        `tfvid.declare` or in a model card, or the range that the model's first layers imply.
      batch_size: the number of clips explained at a time, 1 or more. It bounds memory and does not change results.

    Raises:
      TfvidError: fewer than one sample, or negative noise.
    """

    def _statistic(self, mean, variance):
        return variance
