"""Blur integrated gradients: each pixel's contribution to the score on the path from a blurred clip to the sharp one.

The path does not go through darkened clips, which no camera records, but through scales. L(s) is the clip with each
frame blurred by a Gaussian of standard deviation s. The path starts at L(S) and ends at the clip, L(0). Along it

    a = sum over n of  (L(s_n) - L(s_n+1)) * d y_c / d x  at  L((s_n + s_n+1) / 2),      s_n = n / N S,  n = 0 ... N - 1

which is the paper's integral with its second factor, d L / d s, as the difference over each step. The differences sum
to ``x - L(S)``, so for a linear model a is complete for any N.

Xu et al., "Attribution in Scale and Space", CVPR 2020, Eq. 4. The blur is in space only.
"""

from typing import Unpack

import tensorflow as tf

from tfvid.core.errors import TfvidError
from tfvid.explain.pixels.gradients import PixelRun, gradient_function, sum_over_steps
from tfvid.explain.pixels.integrated_gradients import PathExplainer, PathOptions
from tfvid.perturb.fill import blur_matrix


class BlurIG(PathExplainer):
    """Integrated gradients of the logit from a blurred clip to the clip.

    Args:
      model: a Keras model of clips `(B, T, H, W, C)` that returns class scores `(B, K)`. It stays unchanged.
      max_sigma: S, the standard deviation in pixels of the blur where the path begins, above 0; None for a sixth of a
        frame's shorter side (the published 50 pixels at 299).
      steps: N, the number of gradients along the path, 1 or more; they are computed one after another.
      reduce: how the values of a pixel's colours become one: "sum", signed and complete; "abs_sum", the sum of absolute
        values; or "abs_max", the largest absolute value.
      output: what the model returns: "logits", "probabilities", or "auto", which finds out from the last layer or the
        scores.
      input_range: the values (low, high) that the model expects for black and white, e.g. (0, 255). Clips in [0, 1]
        are scaled to this range. None: clips are passed to the model unscaled. "auto": the range declared with
        `tfvid.declare` or in a model card, or the range that the model's first layers imply.
      batch_size: the number of clips explained at a time, 1 or more. It bounds memory and does not change results.

    Raises:
      TfvidError: fewer than one step, or max_sigma not above zero.

    Example:
      >>> result = BlurIG(model, max_sigma=20)(clips)
      >>> result.attribution.shape, result.completeness_gap
      ((2, 16, 224, 224), array([ 0.01, -0.02], dtype=float32))
    """

    def __init__(self, model, *, max_sigma: float | None = None, **options: Unpack[PathOptions]):
        super().__init__(model, **options)
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
        """The function from n, a tensor from 0 to 2N, to L(n / 2N S); odd n are midpoints of steps."""
        rows, columns = (self._matrices(size, min(clips.shape[2:4])) for size in clips.shape[2:4])

        def blurred(n):
            return tf.einsum("yh,xw,bthwc->btyxc", rows[n], columns[n], clips, optimize="greedy")

        return blurred

    def _matrices(self, size: int, shorter_side: int) -> tf.Tensor:
        """The matrices that blur a line of `size` pixels to each scale, `(2N + 1, size, size)`."""
        largest = shorter_side / 6 if self.max_sigma is None else self.max_sigma
        sigmas = [largest * n / (2 * self.steps) for n in range(2 * self.steps + 1)]
        with tf.init_scope():  # computed now, not by a graph of a thousand small operations
            return tf.stack([tf.eye(size)] + [blur_matrix(size, sigma, tf.float32) for sigma in sigmas[1:]])
