"""Exact Shapley values: what each segment of a clip adds to the score, averaged over all orders of the segments.

    phi_i = sum over the coalitions S without i of   |S|! (P - |S| - 1)! / P!   (v(S + i) - v(S))

v(S) is the score of the clip with all segments filled except those in S. The values sum to v(all) - v(none). Segments
that change nothing get 0, segments with equal effects get equal values, and the values of a sum of games are the sums
of their values. No other values have all four properties (Shapley, "A Value for n-Person Games", 1953). All 2^P
coalitions are scored.
"""

from dataclasses import dataclass
from math import comb
from typing import Unpack

import numpy as np

from tfvid.core.errors import TfvidError
from tfvid.explain.pixels.coalitions import SegmentsExplainer, SegmentsResult
from tfvid.explain.pixels.masking import MaskingOptions

MOST_SEGMENTS = 12  # 4096 coalitions


@dataclass(frozen=True)
class ShapleyResult(SegmentsResult):
    """Shapley values.

    Attributes:
      target: int32 `(B,)`, the class explained.
      predicted: int32 `(B,)`, the model's top class.
      score: float32 `(B,)`, the probability of `target` for the whole clip, or its logit (``score="logit"``).
      attribution: float32 `(B, T, H, W)`, signed.
      forward_passes: int32 `(B,)`, the number of masked versions of the clip that the model scored.
      values: float32 `(B, P)`, signed; they sum to ``score - base_score``. Values after a clip's last segment are 0.
      segments: int32 `(B, T, H, W)`, the segment of each voxel.
      base_score: float32 `(B,)`, the score of the clip with all segments filled.
    """

    base_score: np.ndarray


class Shapley(SegmentsExplainer):
    """Exact Shapley values of at most twelve segments; `KernelSHAP` estimates the values of more segments.

    Args:
      model: a Keras model of clips `(B, T, H, W, C)` that returns class scores `(B, K)`, or any function from NumPy
        clips to NumPy scores.
      segments: at most twelve segments that stay or go as a whole: "frames"; three whole numbers, the cells of a grid
        along (T, H, W); "supervoxels"; labels, ints `(T, H, W)` or `(1, T, H, W)` for all clips, or `(B, T, H, W)`,
        each label a segment; or a function from clips to such labels. See `tfvid.explain.pixels.segments`.
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

    Raises:
      TfvidError: more than twelve segments.

    Example:
      >>> result = Shapley(model, segments=(8, 1, 1))(clips)
      >>> np.allclose(result.values.sum(-1), result.score - result.base_score, atol=1e-5)
      True
    """

    result_type = ShapleyResult

    def __init__(self, model, segments=(3, 2, 2), **options: Unpack[MaskingOptions]):
        super().__init__(model, segments, **options)

    def _play(self, game):
        if game.num_segments > MOST_SEGMENTS:
            raise TfvidError(
                f"shapley: expected at most {MOST_SEGMENTS} segments, got {game.num_segments}, and thus "
                f"2^{game.num_segments} coalitions; use kernel_shap, or fewer segments"
            )
        v = game(all_coalitions(game.num_segments))
        return {"values": shapley_values(v).astype(np.float32), "base_score": np.float32(v[0])}


def all_coalitions(segments: int) -> np.ndarray:
    """Returns all coalitions, bool `(2^P, P)`: row s has segment i if bit i of s is set."""
    return (np.arange(2**segments)[:, np.newaxis] >> np.arange(segments)) % 2 == 1


def shapley_values(v: np.ndarray) -> np.ndarray:
    """Returns the Shapley values `(P,)`, from the scores v `(2^P,)` of `all_coalitions`, in their order."""
    num_segments = len(v).bit_length() - 1
    s = np.arange(len(v))
    size = all_coalitions(num_segments).sum(axis=1)
    orders = np.array([1 / (num_segments * comb(num_segments - 1, k)) for k in range(num_segments)])
    values = []
    for i in range(num_segments):
        without = s[(s >> i) % 2 == 0]
        values.append(np.sum(orders[size[without]] * (v[without + 2**i] - v[without])))
    return np.array(values)
