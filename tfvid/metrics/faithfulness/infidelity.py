"""Infidelity: does the sum of a map over a piece of the clip say how far the class falls when that piece goes?

    INFD = mean over pieces S of  ( beta * sum of the map over S  -  (p_c(x) - p_c(x without S)) )^2

Yeh et al., "On the (In)fidelity and Sensitivity of Explanations", NeurIPS 2019, definition 2.1 and its "square
removal", carried into time: a piece is a box of some frames, rows and columns, with sides drawn evenly from one voxel
to half the clip's. The paper's perturbation I, as the map has no channels, is the indicator of S. Maps of different
methods are of different scales, so each is given the one that suits it best, as the authors' evaluation code does:
``beta = sum(a d) / sum(a^2)`` over sums of the map a and drops d. Here it is never below zero, for a scale that turns
a map into its opposite would make a map that is wrong everywhere as good as one that is right.
"""

import numpy as np
import tensorflow as tf

from tfvid.core.errors import TfvidError
from tfvid.metrics.checks import checked_maps
from tfvid.metrics.faithfulness.scorer import Scorer, fill_of


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
    """The mean squared error of the drops that a map foretells; smaller is better.

    A map of zeros foretells no drop: its infidelity is the mean squared drop, and where `scaled` no map's is above
    it. `samples` + 1 forward passes a clip.

    Args:
      model: a Keras model or any callable, see `Classifier`; or a `Scorer`, which keeps what it has compiled.
      clips: float `(B, T, H, W, C)`.
      maps: `(B, T, H, W)`, signed or not.
      target: the class that the maps explain, an int or ints `(B,)`.
      baseline: what stands in for content: a name in `tfvid.perturb.fill.FILLS`, or a function of clips.
      samples: pieces taken away, the same for every clip.
      scaled: give each map its best scale, see above; False compares sums and drops as they are, for maps that are in
        units of probability.
      output: what the model returns, see `Classifier`.
      batch_size: clips the model sees at a time; bounds memory, does not change results.
      seed: of the pieces.

    Returns:
      Float32 `(B,)`, >= 0, a squared probability: at most 1 where `scaled`.

    Raises:
      TfvidError: what does not fit: shapes, NaN, a class the model does not have, a choice that does not exist.
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
        foretold = np.array([maps[b][_slices(box)].sum(dtype=np.float64) for box in boxes])
        drops = whole[b] - _scores_without(scorer, clips[b : b + 1], fill, boxes, target[b], batch_size)
        if scaled:
            foretold *= _best_scale(foretold, drops)
        result.append(np.mean((foretold - drops) ** 2))
    return np.array(result, np.float32)


def pieces(shape: tuple, samples: int, seed: int) -> np.ndarray:
    """Random boxes in time and space, each side from one voxel to half the clip's.

    Args:
      shape: `(T, H, W)`.
      samples: how many.
      seed: of the draw.

    Returns:
      Int `(samples, 3, 2)`, [start, stop) on each axis.
    """
    rng, shape = np.random.default_rng(seed), np.array(shape)
    sides = rng.integers(1, np.maximum(shape // 2, 1), (samples, 3), endpoint=True)
    start = rng.integers(0, shape - sides, endpoint=True)
    return np.stack([start, start + sides], axis=-1)


def _scores_without(scorer, clip, fill, boxes, target, batch_size) -> np.ndarray:
    """The probability for one clip `(1, T, H, W, C)` without each of its boxes: float64 `(S,)`."""
    empty, shape = fill(clip), clip.shape[1:4]

    def without(chunk):
        inside = np.zeros((len(boxes[chunk]), *shape, 1), bool)
        for one, box in zip(inside, boxes[chunk], strict=True):
            one[_slices(box)] = True
        return tf.where(inside, empty, clip)

    return scorer.in_chunks(without, np.full(len(boxes), target), batch_size).astype(np.float64)


def _best_scale(foretold: np.ndarray, drops: np.ndarray) -> float:
    """The factor >= 0 that brings `foretold` closest to `drops`, in least squares; 0 where they are all zero."""
    energy = np.sum(foretold**2)
    return max(np.sum(foretold * drops) / energy, 0.0) if energy > 0 else 0.0


def _slices(box) -> tuple:
    return tuple(slice(start, stop) for start, stop in box)
