"""LIME: a linear model of the score near the clip, as a function of its segments.

Random coalitions z of segments are scored. A linear model is fitted to the scores, with a larger weight near the whole
clip:

    minimise over b, w:   sum_z  pi(z) (y_c(z) - b - w.z)^2  +  ridge |w|^2
    pi(z) = exp(-D(z, 1)^2 / width^2),     D the cosine distance to the whole clip: 1 - sqrt(share of segments in z)

w is the value of each segment. Ribeiro, Singh & Guestrin, "Why Should I Trust You?", KDD 2016, section 3.4 and
algorithm 1.
"""

from dataclasses import dataclass
from typing import Unpack

import numpy as np
import tensorflow as tf

from tfvid.core.errors import TfvidError
from tfvid.explain.pixels.coalitions import SegmentsExplainer, SegmentsResult
from tfvid.explain.pixels.masking import MaskingOptions


@dataclass(frozen=True)
class LIMEResult(SegmentsResult):
    """The weights of the linear model.

    Attributes:
      target: int32 `(B,)`, the class explained.
      predicted: int32 `(B,)`, the model's top class.
      score: float32 `(B,)`, the probability of `target` for the whole clip, or its logit (``score="logit"``).
      attribution: float32 `(B, T, H, W)`, signed.
      forward_passes: int32 `(B,)`, the number of masked versions of the clip that the model scored.
      values: float32 `(B, P)`, signed, the weights w; values after a clip's last segment are 0.
      segments: int32 `(B, T, H, W)`, the segment of each voxel.
      intercept: float32 `(B,)`, b.
      fit: float32 `(B,)`, the weighted R^2, at most 1: the share of the scores' variance that the linear model
        explains. Near 0 the weights have little meaning.
    """

    intercept: np.ndarray
    fit: np.ndarray


class LIME(SegmentsExplainer):
    """LIME. All segments get a weight; it does not choose a few of them, as the paper does by K-lasso.

    Args:
      model: a Keras model of clips `(B, T, H, W, C)` that returns class scores `(B, K)`, or any function from NumPy
        clips to NumPy scores.
      segments: the segments that stay or go as a whole: "frames"; three whole numbers, the cells of a grid along (T, H,
        W); "supervoxels"; labels, ints `(T, H, W)` or `(1, T, H, W)` for all clips, or `(B, T, H, W)`, each label a
        segment; or a function from clips to such labels. See `tfvid.explain.pixels.segments`.
      samples: the number of coalitions, 2 or more. The first is the whole clip; in the others each segment stays with
        probability 1/2.
      width: the width of the kernel pi, above 0. The default .25 is that of the authors' code for images, whose kernel
        is the square root of this one.
      ridge: the penalty, 0 or more; 1 in the authors' code. 0 is least squares.
      seed: the seed of the coalitions.
      fill: how hidden pixels are made: a name in `tfvid.perturb.fill.FILLS`, or a function from a clip `(1, T, H, W,
        C)` to a clip of the same shape. No fill is neutral for all models. The authors fill each segment with its mean
        colour, which does not change segments of one colour.
      score: the score to explain, the "probability" of the class or its "logit".
      progress: whether to show a bar on stderr for work of more than ten seconds a clip.
      output: what the model returns: "logits", "probabilities", or "auto", which finds out from the last layer or the
        scores.
      input_range: the values (low, high) that the model expects for black and white, e.g. (0, 255). Clips in [0, 1]
        are scaled to this range. None: clips are passed to the model unscaled. "auto": the range declared with
        `tfvid.declare` or in a model card, or the range that the model's first layers imply.
      batch_size: the number of masked versions of a clip that the model gets at a time, 1 or more. It bounds memory and
        does not change results.

    Example:
      >>> result = LIME(model, segments="frames", samples=200)(clips)
      >>> result.values.shape
      (2, 16)
    """

    result_type = LIMEResult

    def __init__(
        self,
        model,
        segments=(4, 4, 4),
        *,
        samples: int = 1000,
        width: float = 0.25,
        ridge: float = 1.0,
        seed: int = 0,
        **options: Unpack[MaskingOptions],
    ):
        super().__init__(model, segments, **options)
        if samples < 2 or width <= 0 or ridge < 0:
            raise TfvidError(f"expected samples >= 2, width > 0, ridge >= 0; got {samples}, {width}, {ridge}")
        self.samples = samples
        self.width = width
        self.ridge = ridge
        self.seed = seed

    def _play(self, game):
        z = draw(self.samples, game.num_segments, self.seed)
        w, b, fit = weighted_ridge(z, game(z), nearness(z, self.width), self.ridge)
        return {"values": w.astype(np.float32), "intercept": np.float32(b), "fit": np.float32(fit)}


def draw(samples: int, segments: int, seed: int) -> np.ndarray:
    """Returns coalitions, bool `(samples, segments)`: first all segments, then each segment with probability 1/2."""
    z = tf.random.stateless_uniform((samples, segments), (seed, 0)).numpy() < 0.5
    z[0] = True
    return z


def nearness(z: np.ndarray, width: float) -> np.ndarray:
    """Returns the weights pi, `(N,)`, of coalitions `(N, P)`; 1 for the coalition of all segments."""
    distance = 1 - np.sqrt(z.mean(axis=1))  # cos(z, 1) = |z| / (sqrt |z| sqrt P); the empty coalition is at distance 1
    return np.exp(-((distance / width) ** 2))


def weighted_ridge(x: np.ndarray, y: np.ndarray, weight: np.ndarray, ridge: float) -> tuple[np.ndarray, float, float]:
    """Fits the linear model ``b + x.w`` to y; the intercept is not penalised.

    Args:
      x: `(N, P)`.
      y: `(N,)`.
      weight: `(N,)`, > 0.
      ridge: 0 or more. If it is 0 and several w fit, the result is the shortest.

    Returns:
      w `(P,)`, b, and the weighted R^2 (1 if y is constant).
    """
    mean_x, mean_y = np.average(x, axis=0, weights=weight), np.average(y, weights=weight)
    root = np.sqrt(weight)
    rows = root[:, np.newaxis] * (x - mean_x)
    penalty = np.sqrt(ridge) * np.eye(x.shape[1])  # the penalty as P more rows of a least-squares problem
    w = np.linalg.lstsq(np.vstack([rows, penalty]), np.append(root * (y - mean_y), np.zeros(x.shape[1])), rcond=None)[0]
    left = np.sum((root * (y - mean_y) - rows @ w) ** 2)
    variance = np.sum((root * (y - mean_y)) ** 2)
    return w, mean_y - mean_x @ w, 1 - left / variance if variance > 0 else 1.0
