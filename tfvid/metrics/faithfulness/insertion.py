"""Insertion and deletion: how the class's probability changes with the most relevant parts of the clip.

A clip is cut into units, by default 16 x 16 cells in each frame. The relevance of a unit is the mean of the map over
it. The units of the whole clip are sorted by relevance. *Deletion* replaces them by the baseline, the most relevant
first; *insertion* starts from the baseline and puts them back in this order. The measure is the area under the class's
probability as a function of the changed share s of the clip,

    integral from 0 to 1 of  p_c(clip with its s most relevant parts changed)  ds,

by the trapezoidal rule. A good map has a large insertion and a small deletion.

Petsiuk et al., "RISE: Randomized Input Sampling for Explanation of Black-box Models", BMVC 2018, section 4.2: pixels of
one image are deleted to a constant, and inserted into a blurred image, so that the first ones add no sharp edges.
"""

from dataclasses import dataclass

import numpy as np
import scipy.integrate
import tensorflow as tf

from tfvid.core.errors import TfvidError, check_choice
from tfvid.metrics.checks import checked_maps
from tfvid.metrics.faithfulness.scorer import Scorer
from tfvid.metrics.ranking import ranking
from tfvid.perturb.fill import fill_of


@dataclass(frozen=True)
class Curves:
    """The class's probability as a function of the changed share of a clip, in `steps` steps.

    Attributes:
      share: float32 `(B, steps + 1)`, the changed share of the clip's voxels, from 0 to 1; with fewer units than steps,
        some shares repeat.
      probability: float32 `(B, steps + 1)`.
    """

    share: np.ndarray
    probability: np.ndarray

    @property
    def area(self) -> np.ndarray:
        """The area under each curve: float32 `(B,)` in [0, 1]."""
        return scipy.integrate.trapezoid(self.probability, self.share, axis=1).astype(np.float32)


def insertion(
    model,
    clips,
    maps,
    target,
    *,
    baseline="blur",
    segments=None,
    steps: int = 128,
    output: str = "auto",
    batch_size: int = 8,
    seed: int = 0,
) -> np.ndarray:
    """Returns the area under the insertion curve; larger is better.

    Args:
      model: a Keras model of clips, a function from NumPy clips to NumPy scores, or a `Scorer`, which is compiled once.
      clips: float `(B, T, H, W, C)`.
      maps: `(B, T, H, W)`, of any scale: only the order of values counts.
      target: the class that the maps explain: an int, or ints `(B,)`.
      baseline: what replaces hidden pixels: a name in `tfvid.perturb.fill.FILLS`, or a function from clips to clips.
      segments: the units, ints `(T, H, W)` or `(B, T, H, W)`; voxels with the same number are one unit. None for 16 x
        16 cells in each frame.
      steps: the number of steps of the curve, 1 or more.
      output: what the model returns, "logits", "probabilities", or "auto", which reads it from the model.
      batch_size: the number of clips that the model gets at a time, 1 or more; it bounds memory and does not change
        results.
      seed: of the random order of equal units.

    Returns:
      Float32 `(B,)` in [0, 1].

    Raises:
      TfvidError: shapes that do not fit, NaN, a class that the model does not have, or an unknown option.
    """
    options = {"segments": segments, "steps": steps, "output": output, "batch_size": batch_size, "seed": seed}
    return curves(model, clips, maps, target, kind="insertion", baseline=baseline, **options).area


def deletion(
    model,
    clips,
    maps,
    target,
    *,
    baseline="fade",
    segments=None,
    steps: int = 128,
    output: str = "auto",
    batch_size: int = 8,
    seed: int = 0,
) -> np.ndarray:
    """Returns the area under the deletion curve; smaller is better.

    Args:
      model: a Keras model of clips, a function from NumPy clips to NumPy scores, or a `Scorer`, which is compiled once.
      clips: float `(B, T, H, W, C)`.
      maps: `(B, T, H, W)`, of any scale: only the order of values counts.
      target: the class that the maps explain: an int, or ints `(B,)`.
      baseline: what replaces hidden pixels: a name in `tfvid.perturb.fill.FILLS`, or a function from clips to clips.
      segments: the units, ints `(T, H, W)` or `(B, T, H, W)`; voxels with the same number are one unit. None for 16 x
        16 cells in each frame.
      steps: the number of steps of the curve, 1 or more.
      output: what the model returns, "logits", "probabilities", or "auto", which reads it from the model.
      batch_size: the number of clips that the model gets at a time, 1 or more; it bounds memory and does not change
        results.
      seed: of the random order of equal units.

    Returns:
      Float32 `(B,)` in [0, 1].

    Raises:
      TfvidError: shapes that do not fit, NaN, a class that the model does not have, or an unknown option.
    """
    options = {"segments": segments, "steps": steps, "output": output, "batch_size": batch_size, "seed": seed}
    return curves(model, clips, maps, target, kind="deletion", baseline=baseline, **options).area


def curves(
    model,
    clips,
    maps,
    target,
    *,
    kind: str,
    baseline,
    segments=None,
    steps: int = 128,
    output: str = "auto",
    batch_size: int = 8,
    seed: int = 0,
) -> Curves:
    """Returns the curves. Each clip needs `steps` + 1 forward passes.

    Units of equal relevance are in random order, so a constant map has the value of a random map.

    Args:
      model: a Keras model of clips, a function from NumPy clips to NumPy scores, or a `Scorer`, which is compiled once.
      clips: float `(B, T, H, W, C)`.
      maps: `(B, T, H, W)`, of any scale: only the order of values counts.
      target: the class that the maps explain: an int, or ints `(B,)`.
      kind: "insertion" or "deletion".
      baseline: what replaces hidden pixels: a name in `tfvid.perturb.fill.FILLS`, or a function from clips to clips.
      segments: the units, ints `(T, H, W)` or `(B, T, H, W)`; voxels with the same number are one unit. None for 16 x
        16 cells in each frame.
      steps: the number of steps of the curve, 1 or more.
      output: what the model returns, "logits", "probabilities", or "auto", which reads it from the model.
      batch_size: the number of clips that the model gets at a time, 1 or more; it bounds memory and does not change
        results.
      seed: of the random order of equal units.

    Raises:
      TfvidError: shapes that do not fit, NaN, a class that the model does not have, or an unknown option.
    """
    check_choice("kind", kind, ("insertion", "deletion"))
    if steps < 1:
        raise TfvidError(f"expected steps >= 1, got {steps}")
    scorer, fill = Scorer.of(model, output), fill_of(baseline)
    clips, target = scorer.checked(clips, target)
    maps = checked_maps(maps, tuple(clips.shape[:4]))
    units = _units(segments, maps.shape)
    share, probability = zip(
        *(
            _curve(scorer, fill, kind, clips[b : b + 1], maps[b], units[b], target[b], steps, batch_size, seed)
            for b in range(len(maps))
        ),
        strict=True,
    )
    return Curves(np.stack(share).astype(np.float32), np.stack(probability))


def cells(shape: tuple, number: int = 16) -> np.ndarray:
    """Returns units: `number` x `number` cells in each frame, whose sizes differ by at most one pixel.

    Args:
      shape: `(T, H, W)`.
      number: the number of cells along each side; at most one for each pixel.

    Returns:
      Int `(T, H, W)`, 0 to the number of cells minus 1.
    """
    num_frames, height, width = shape
    rows, columns = min(number, height), min(number, width)
    t, y, x = np.ogrid[:num_frames, :height, :width]
    return (t * rows + y * rows // height) * columns + x * columns // width


def _curve(scorer, fill, kind, clip, relevance, units, target, steps, batch_size, seed):
    """The curve of one clip: shares and probabilities, each `(steps + 1,)`."""
    _, units = np.unique(units, return_inverse=True)  # (T, H, W), from 0 on
    units = units.reshape(relevance.shape)
    size = np.bincount(units.ravel())
    order = ranking(np.bincount(units.ravel(), relevance.ravel()) / size, seed)  # sums in float64
    place = np.argsort(order)[units]  # of each voxel's unit in that order
    changed = np.linspace(0, len(size), steps + 1).round().astype(np.int64)  # units, at each step
    share = np.concatenate([[0], np.cumsum(size[order])])[changed] / size.sum()
    asked, step = np.unique(changed, return_inverse=True)

    empty = fill(clip)
    before, after = (clip, empty) if kind == "deletion" else (empty, clip)

    def at(chunk):
        is_changed = place < asked[chunk, np.newaxis, np.newaxis, np.newaxis]
        return tf.where(is_changed[..., np.newaxis], after, before)

    return share, scorer.in_chunks(at, np.full(len(asked), target), batch_size)[step]


def _units(segments, shape: tuple) -> np.ndarray:
    """Units `(B, T, H, W)`."""
    if segments is None:
        segments = cells(shape[1:])
    segments = np.asarray(segments)
    if segments.dtype.kind not in "iu" or segments.shape not in (shape, shape[1:]):
        raise TfvidError(f"segments: expected ints {shape[1:]} or {shape}, got {segments.dtype} {segments.shape}")
    return np.broadcast_to(segments, shape)
