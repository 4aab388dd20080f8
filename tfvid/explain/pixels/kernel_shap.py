"""Kernel SHAP: Shapley values by a weighted least-squares fit to the scores of some coalitions.

    minimise over phi:   sum_z  k(z) (v(z) - v(none) - phi.z)^2     subject to   sum phi = v(all) - v(none)
    k(z) = (P - 1) / ( C(P, |z|) |z| (P - |z|) )

Lundberg & Lee, "A Unified Approach to Interpreting Model Predictions", NeurIPS 2017, theorem 2. With all coalitions,
the minimum is the Shapley values. With some coalitions, it is an estimate. All coalitions of a size are scored if they
fit into the samples, the smallest and largest sizes first, which have the largest weights. Coalitions of the other
sizes are drawn at random, each with its complement; the pairs lower the variance (Covert & Lee, "Improving KernelSHAP",
AISTATS 2021, section 4.2).
"""

from itertools import combinations
from math import comb
from typing import Unpack

import numpy as np
import tensorflow as tf

from tfvid.core.errors import TfvidError
from tfvid.explain.pixels.coalitions import SegmentsExplainer
from tfvid.explain.pixels.masking import MaskingOptions
from tfvid.explain.pixels.shapley import ShapleyResult, all_coalitions


class KernelSHAP(SegmentsExplainer):
    """Kernel SHAP. Its values sum to ``score - base_score`` for any samples; the result is a `ShapleyResult`.

    Args:
      model: a Keras model of clips `(B, T, H, W, C)` that returns class scores `(B, K)`, or any function from NumPy
        clips to NumPy scores.
      segments: the segments that stay or go as a whole: "frames"; three whole numbers, the cells of a grid along (T, H,
        W); "supervoxels"; labels, ints `(T, H, W)` or `(1, T, H, W)` for all clips, or `(B, T, H, W)`, each label a
        segment; or a function from clips to such labels. See `tfvid.explain.pixels.segments`.
      samples: the number of coalitions, 2 or more, besides those of all segments and of none; at most 2^P - 2. A
        coalition that is drawn twice is scored once. Two samples or more for each segment determine the values well.
      seed: the seed of the coalitions.
      fill: how hidden pixels are made: a name in `tfvid.perturb.fill.FILLS`, or a function from a clip `(1, T, H, W,
        C)` to a clip of the same shape. No fill is neutral for all models.
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
      >>> result = KernelSHAP(model, segments="frames", samples=500)(clips)
      >>> result.values.shape
      (2, 16)
    """

    result_type = ShapleyResult

    def __init__(
        self, model, segments=(4, 4, 4), *, samples: int = 2048, seed: int = 0, **options: Unpack[MaskingOptions]
    ):
        super().__init__(model, segments, **options)
        if samples < 2:
            raise TfvidError(f"expected samples >= 2, got {samples}")
        self.samples = samples
        self.seed = seed

    def _play(self, game):
        z, weight = weighted_coalitions(game.num_segments, self.samples, self.seed)
        v = game(np.vstack([np.zeros((1, game.num_segments), bool), z]))
        values = constrained_fit(z, v[1:] - v[0], weight, game.full - v[0])
        return {"values": values.astype(np.float32), "base_score": np.float32(v[0])}


def weighted_coalitions(segments: int, samples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the coalitions to score, and their weights.

    Args:
      segments: P.
      samples: the largest number of coalitions, 2 or more.
      seed: the seed of the random coalitions.

    Returns:
      Coalitions, bool `(N, P)`, all different, neither empty nor full; and weights, float64 `(N,)`, which sum to 1.
      N <= `samples`.
    """
    if 2**segments - 2 <= samples:
        z = all_coalitions(segments)[1:-1]
        size = z.sum(axis=1)
        weight = 1 / (np.array([comb(segments, k) for k in size]) * size * (segments - size))
        return z, weight / weight.sum()

    size = np.arange(1, segments)
    share = 1 / (size * (segments - size))  # the kernel's weight of all coalitions of a size
    share /= share.sum()
    rows, weights, left, k = [], [], samples, 1
    while k < segments - k:  # sizes k and P - k, while their share of the samples covers all their coalitions
        number, rest = comb(segments, k), share[k - 1 : segments - k]
        if left * share[k - 1] / rest.sum() < number:
            break
        chosen = np.array(list(combinations(range(segments), k)))
        z = np.zeros((number, segments), bool)
        np.put_along_axis(z, chosen, True, axis=1)
        rows += [z, ~z]
        weights += [np.full(2 * number, share[k - 1] / number)]
        left, k = left - 2 * number, k + 1

    rest = share[k - 1 : segments - k]
    drawn = _drawn(left // 2, segments, size[k - 1 : segments - k], rest / rest.sum(), seed)
    z, times = np.unique(np.vstack([drawn, ~drawn]), axis=0, return_counts=True)
    return np.vstack([*rows, z]), np.concatenate([*weights, rest.sum() * times / times.sum()])


def _drawn(number: int, segments: int, sizes: np.ndarray, share: np.ndarray, seed: int) -> np.ndarray:
    """Random coalitions, bool `(number, segments)`: a size by its share, then as many segments."""
    size = sizes[np.searchsorted(np.cumsum(share)[:-1], tf.random.stateless_uniform((number,), (seed, 0)).numpy())]
    rank = tf.random.stateless_uniform((number, segments), (seed, 1)).numpy().argsort(axis=1).argsort(axis=1)
    return rank < size[:, np.newaxis]


def constrained_fit(z: np.ndarray, v: np.ndarray, weight: np.ndarray, total: float) -> np.ndarray:
    """Returns the phi that sums to `total` and fits ``phi.z = v`` best.

    phi is the sum of `total` in equal shares and a u that sums to zero. For such a u, z and z minus its mean have equal
    products; and the shortest u that fits the latter sums to zero.

    Args:
      z: bool `(N, P)`.
      v: the scores minus the score of the empty coalition, `(N,)`.
      weight: `(N,)`, 0 or more.
      total: the score of all segments minus that of the empty coalition.

    Returns:
      float64 `(P,)`.
    """
    share = z.mean(axis=1, keepdims=True)
    root = np.sqrt(weight)
    u = np.linalg.lstsq(root[:, np.newaxis] * (z - share), root * (v - total * share[:, 0]), rcond=None)[0]
    return total / z.shape[1] + u
