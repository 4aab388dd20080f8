"""Blur integrated gradients: from a blurred clip to the sharp one, what each pixel contributes as details appear.

The way is not through darkened clips, which no camera made, but through scales: L(s) is the clip with each frame
blurred by a Gaussian of standard deviation s, from the largest, L(S), to the clip itself, L(0). Along it

    a = sum over n of  (L(s_n) - L(s_n+1)) * d y_c / d x  at  L((s_n + s_n+1) / 2),      s_n = n / N S,  n = 0 ... N - 1

which is the paper's integral with its second factor, d L / d s, as the difference over each step. The differences add
up to ``x - L(S)``: on a linear model a is complete whatever N.

Xu et al., "Attribution in Scale and Space", CVPR 2020, Eq. 4. Blurred in space only: time is not a scale here.
"""

import tensorflow as tf

from tfvid.core.errors import TfvidError
from tfvid.explain.pixels.gradients import PixelRun, gradient_function, sum_over_steps
from tfvid.explain.pixels.integrated_gradients import PathExplainer
from tfvid.perturb.fill import blur_matrix


class BlurIG(PathExplainer):
    """Integrated gradients of the logit from a blurred clip to the clip.

    Args:
      model: a Keras model, see `Explainer`.
      max_sigma: S, in pixels, where the way begins; None is a sixth of a frame's shorter side (the published 50 pixels
        at 299).
      steps: N, gradients taken on the way, one after another.
      reduce: "sum", signed and complete, "abs_sum" or "abs_max", see `PixelExplainer`.
      output: see `Explainer`.
      input_range: see `Explainer`.
      batch_size: see `Explainer`.

    Raises:
      TfvidError: less than one step, or max_sigma not above zero.

    Example:
      >>> result = BlurIG(model, max_sigma=20)(clips)
      >>> result.attribution.shape, result.completeness_gap
      ((2, 16, 224, 224), array([ 0.01, -0.02], dtype=float32))
    """

    def __init__(
        self,
        model,
        *,
        max_sigma: float | None = None,
        steps: int = 32,
        reduce: str = "sum",
        output: str = "auto",
        input_range="auto",
        batch_size: int = 8,
    ):
        super().__init__(
            model, steps=steps, reduce=reduce, output=output, input_range=input_range, batch_size=batch_size
        )
        if max_sigma is not None and max_sigma <= 0:
            raise TfvidError(f"expected max_sigma > 0 pixels, got {max_sigma}")
        self.max_sigma = max_sigma

    def _pixels(self, run: PixelRun):
        gradient, blurred = gradient_function(self.classifier), self._scales(run.clips)

        def part(n):
            return (blurred(2 * n) - blurred(2 * n + 2)) * gradient(blurred(2 * n + 1), run.target)

        return sum_over_steps(part, self.steps, like=run.clips)

    def _start(self, clips):
        return self._scales(clips)(2 * self.steps)

    def _scales(self, clips):
        """The function n -> L(n / 2N S), n a tensor from 0 to 2N: every second one is between two steps."""
        rows, columns = (self._matrices(size, min(clips.shape[2:4])) for size in clips.shape[2:4])

        def blurred(n):
            return tf.einsum("yh,xw,bthwc->btyxc", rows[n], columns[n], clips, optimize="greedy")

        return blurred

    def _matrices(self, size: int, shorter_side: int) -> tf.Tensor:
        """Those that blur a line of `size` pixels to each scale, `(2N + 1, size, size)`."""
        largest = shorter_side / 6 if self.max_sigma is None else self.max_sigma
        sigmas = [largest * n / (2 * self.steps) for n in range(2 * self.steps + 1)]
        with tf.init_scope():  # computed now, not by a graph of a thousand small operations
            return tf.stack([tf.eye(size)] + [blur_matrix(size, sigma, tf.float32) for sigma in sigmas[1:]])
