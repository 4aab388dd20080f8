"""Insertion and deletion: does the model's answer come and go with what a map holds to be relevant?

A clip is cut into units, by default 16 x 16 cells a frame. Their relevance is the mean of the map over each; they are
put in one order over the whole clip, frames and places alike, the most relevant first. *Deletion* replaces them in that
order and watches the class's probability fall; *insertion* starts from a clip of nothing but replacements and puts them
back. The measure is the area under the probability as a function of the share s of the clip that has been changed,

    integral from 0 to 1 of  p_c(clip with its s most relevant parts changed)  ds,

by the trapezoidal rule. A good map has a large insertion and a small deletion.

Petsiuk et al., "RISE: Randomized Input Sampling for Explanation of Black-box Models", BMVC 2018, section 4.2: pixels of
one image, deleted to a constant, inserted into a blurred image, so that no sharp edges come with the first of them.
"""

from dataclasses import dataclass

import numpy as np
import scipy.integrate
import tensorflow as tf

from tfvid.core.errors import TfvidError, check_choice
from tfvid.metrics.checks import checked_maps
from tfvid.metrics.faithfulness.scorer import Scorer, fill_of
from tfvid.metrics.ranking import ranking


@dataclass(frozen=True)
class Curves:
    """How the class's probability changes with the share of a clip that is changed, in `steps` steps.

    Attributes:
      share: float32 `(B, steps + 1)`, of the clip's volume, from 0 to 1; where there are fewer units than steps, some
        shares come twice.
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
    """The area under the insertion curve; larger is better. Arguments and errors: see `curves`.

    Returns:
      Float32 `(B,)` in [0, 1].
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
    """The area under the deletion curve; smaller is better. Arguments and errors: see `curves`.

    Returns:
      Float32 `(B,)` in [0, 1].
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
    """The curves themselves, `steps` + 1 forward passes a clip.

    Units of equal relevance come in an order drawn from `seed`, so a map that is equal everywhere, or zero, scores as
    a random order does.

    Args:
      model: a Keras model or any callable, see `Classifier`; or a `Scorer`, which keeps what it has compiled.
      clips: float `(B, T, H, W, C)`.
      maps: `(B, T, H, W)`, any scale: only their order counts.
      target: the class that the maps explain, an int or ints `(B,)`.
      kind: "insertion" or "deletion".
      baseline: what stands in for content: a name in `tfvid.perturb.fill.FILLS`, or a function of clips.
      segments: ints `(T, H, W)` or `(B, T, H, W)`, voxels of one number are one unit; None for 16 x 16 cells a frame.
      steps: how often the model is asked on the way; at most once a unit.
      output: what the model returns, see `Classifier`.
      batch_size: clips the model sees at a time; bounds memory, does not change results.
      seed: of the order of equal units.

    Raises:
      TfvidError: what does not fit: shapes, NaN, a class the model does not have, a choice that does not exist.
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
    """Units that cut every frame into `number` x `number` cells, as even as whole pixels allow, or into its pixels.

    Args:
      shape: `(T, H, W)`.
      number: cells along each side; the pixels are the cells of a side with fewer.

    Returns:
      Int `(T, H, W)`, from 0 on without gaps.
    """
    num_frames, height, width = shape
    rows, columns = min(number, height), min(number, width)
    t, y, x = np.ogrid[:num_frames, :height, :width]
    return (t * rows + y * rows // height) * columns + x * columns // width


def _curve(scorer, fill, kind, clip, relevance, units, target, steps, batch_size, seed):
    """One clip's curve: shares and probabilities, each `(steps + 1,)`."""
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
