"""SmoothGrad: gradients of noisy copies of the clip, and what they have in common.

    g_n = d y_c / d x  at  x + sigma e_n,    e_n ~ N(0, 1),    sigma = noise * (max(x) - min(x))

    SmoothGrad    mean over n of g_n         Smilkov et al., "SmoothGrad: removing noise by adding noise", 2017
    SmoothGrad^2  mean over n of g_n^2       Hooker et al., "A Benchmark for Interpretability Methods", NeurIPS 2019
    VarGrad       variance over n of g_n     Adebayo et al., "Local Explanation Methods ... Lack Sensitivity", 2018

The variance is that of the samples drawn, divided by n, so that ``SmoothGrad^2 = SmoothGrad squared + VarGrad``.
"""

import tensorflow as tf

from tfvid.core.errors import TfvidError
from tfvid.explain.pixels.gradients import PixelExplainer, gradient_function


class SmoothGrad(PixelExplainer):
    """The mean gradient of the logit over noisy copies of the clip.

    Every clip gets the same draws, scaled by its own range of values.

    Args:
      model: a Keras model, see `Explainer`.
      samples: noisy copies; the model sees them one after another, `batch_size` clips at a time.
      noise: standard deviation, as a share of the clip's range of values.
      seed: of the noise.
      reduce: "abs_max", "abs_sum" or "sum", see `PixelExplainer`.
      output: see `Explainer`.
      input_range: see `Explainer`.
      batch_size: see `Explainer`.

    Raises:
      TfvidError: less than one sample, or negative noise.

    Example:
      >>> SmoothGrad(model, samples=50)(clips).attribution.shape
      (2, 16, 224, 224)
    """

    def __init__(
        self,
        model,
        *,
        samples: int = 25,
        noise: float = 0.15,
        seed: int = 0,
        reduce: str = "abs_max",
        output: str = "auto",
        input_range="auto",
        batch_size: int = 8,
    ):
        super().__init__(model, reduce=reduce, output=output, input_range=input_range, batch_size=batch_size)
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
        """Mean and variance of the gradients, `(B, T, H, W, C)`, by Welford's update: no stack, no cancellation."""
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
    """The mean squared gradient of the logit over noisy copies of the clip; see `SmoothGrad`."""

    def _statistic(self, mean, variance):
        return mean**2 + variance


class VarGrad(SmoothGrad):
    """The variance of the gradient of the logit over noisy copies of the clip; see `SmoothGrad`.

    Zero for a model whose gradient is the same everywhere, however much a pixel matters to it: a linear one.
    """

    def _statistic(self, mean, variance):
        return variance
