"""Infidelity: the error of a map as a prediction of how much the score falls when a piece of the clip is removed.

    INFD = mean over pieces S of  ( beta * sum of the map over S  -  (p_c(x) - p_c(x without S)) )^2

Yeh et al., "On the (In)fidelity and Sensitivity of Explanations", NeurIPS 2019, definition 2.1 and its "square
removal", extended to time: a piece is a box of some frames, rows and columns, with sides drawn uniformly from one voxel
to half the clip. The paper's perturbation I is the indicator of S, as the map has no channels. Maps of different
methods have different scales, so each map gets its best scale, as in the authors' evaluation code: ``beta = sum(a d) /
sum(a^2)`` over sums a of the map and drops d. Here, beta is never negative: a negative scale would make a map with
wrong signs as good as a correct one.
"""

import numpy as np
import tensorflow as tf

from tfvid.core.errors import TfvidError
from tfvid.metrics.checks import checked_maps
from tfvid.metrics.faithfulness.scorer import Scorer
from tfvid.perturb.fill import fill_of


def infidelity(
    model,
    clips,
    maps,
    target,
    *,
    baseline="fade",
    samples: int = 100,
    scaled: bool = True,
    output: str = "auto",
    batch_size: int = 8,
    seed: int = 0,
) -> np.ndarray:
    """Returns the mean squared error of the drops that a map predicts; smaller is better.

    A map of zeros predicts no drop, so its infidelity is the mean squared drop. If `scaled`, no map has a larger value.
    Each clip needs `samples` + 1 forward passes.

    Args:
      model: a Keras model of clips, a function from NumPy clips to NumPy scores, or a `Scorer`, which is compiled once.
      clips: float `(B, T, H, W, C)`.
      maps: `(B, T, H, W)`, signed or not.
      target: the class that the maps explain: an int, or ints `(B,)`.
      baseline: what replaces hidden pixels: a name in `tfvid.perturb.fill.FILLS`, or a function from clips to clips.
      samples: the number of pieces, 1 or more; they are the same for all clips.
      scaled: whether each map gets its best scale, see above. False is for maps in units of probability.
      output: what the model returns, "logits", "probabilities", or "auto", which reads it from the model.
      batch_size: the number of clips that the model gets at a time, 1 or more; it bounds memory and does not change
        results.
      seed: of the random pieces.

    Returns:
      Float32 `(B,)`, >= 0, a squared probability; at most 1 if `scaled`.

    Raises:
      TfvidError: shapes that do not fit, NaN, a class that the model does not have, or an unknown option.
    """
    if samples < 1:
        raise TfvidError(f"expected samples >= 1, got {samples}")
    scorer, fill = Scorer.of(model, output), fill_of(baseline)
    clips, target = scorer.checked(clips, target)
    maps = checked_maps(maps, tuple(clips.shape[:4]))
    boxes = pieces(maps.shape[1:], samples, seed)
    whole = scorer.in_chunks(lambda chunk: clips[chunk], target, batch_size)
    result = []
    for b in range(len(maps)):
        predicted = np.array([maps[b][_slices(box)].sum(dtype=np.float64) for box in boxes])
        drops = whole[b] - _scores_without(scorer, clips[b : b + 1], fill, boxes, target[b], batch_size)
        if scaled:
            predicted *= _best_scale(predicted, drops)
        result.append(np.mean((predicted - drops) ** 2))
    return np.array(result, np.float32)


def pieces(shape: tuple, samples: int, seed: int) -> np.ndarray:
    """Returns random boxes in time and space, with sides from one voxel to half the clip.

    Args:
      shape: `(T, H, W)`.
      samples: the number of boxes.
      seed: of the random boxes.

    Returns:
      Int `(samples, 3, 2)`, [start, stop) on each axis.
    """
    rng, shape = np.random.default_rng(seed), np.array(shape)
    sides = rng.integers(1, np.maximum(shape // 2, 1), (samples, 3), endpoint=True)
    start = rng.integers(0, shape - sides, endpoint=True)
    return np.stack([start, start + sides], axis=-1)


def _scores_without(scorer, clip, fill, boxes, target, batch_size) -> np.ndarray:
    """Returns the probabilities for one clip `(1, T, H, W, C)` without each of the boxes: float64 `(S,)`."""
    empty, shape = fill(clip), clip.shape[1:4]

    def without(chunk):
        inside = np.zeros((len(boxes[chunk]), *shape, 1), bool)
        for one, box in zip(inside, boxes[chunk], strict=True):
            one[_slices(box)] = True
        return tf.where(inside, empty, clip)

    return scorer.in_chunks(without, np.full(len(boxes), target), batch_size).astype(np.float64)


def _best_scale(predicted: np.ndarray, drops: np.ndarray) -> float:
    """Returns the least-squares factor >= 0 from `predicted` to `drops`; 0 if `predicted` is zero."""
    energy = np.sum(predicted**2)
    return max(np.sum(predicted * drops) / energy, 0.0) if energy > 0 else 0.0


def _slices(box) -> tuple:
    return tuple(slice(start, stop) for start, stop in box)
