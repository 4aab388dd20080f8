"""Max-sensitivity: how far does an explanation move when the clip hardly does?

    SENS_MAX = max over y with |y - x| <= r in every value of  || Phi(y) - Phi(x) || / || Phi(x) ||

Yeh et al., "On the (In)fidelity and Sensitivity of Explanations", NeurIPS 2019, definition 3.1; the maximum of a few
y drawn evenly, as they estimate it, and divided by the norm of the map, as their evaluation code does, so that maps of
different scales can be compared. A constant explanation has 0, so this says something only beside faithfulness.
"""

import numpy as np
import tensorflow as tf

from tfvid.core.errors import TfvidError
from tfvid.metrics.checks import checked_maps
from tfvid.metrics.faithfulness.scorer import Scorer


def max_sensitivity(
    model,
    clips,
    maps,
    target,
    *,
    explain,
    radius: float = 0.02,
    samples: int = 10,
    output: str = "auto",
    batch_size: int = 8,
    seed: int = 0,
) -> np.ndarray:
    """The largest relative change of the map under small noise; smaller is better.

    Costs as much as `samples` explanations. A map of zeros that stays so has 0; one that becomes another has 1.

      >>> max_sensitivity(model, clips, maps, target, explain=lambda clips: method(clips, target).attribution)

    Args:
      model: the model explained, here only to check the clips and the classes.
      clips: float `(B, T, H, W, C)`.
      maps: `(B, T, H, W)`, what `explain` gives for `clips`.
      target: the class that the maps explain, an int or ints `(B,)`; `explain` has to keep to it.
      explain: float32 clips to maps, all B clips at a time; it bounds its memory itself.
      radius: r, in units of the clip's values.
      samples: noisy clips.
      output: what the model returns, see `Classifier`.
      batch_size: not used, for `explain` has its own.
      seed: of the noise, the same for every clip.

    Returns:
      Float32 `(B,)`, >= 0.

    Raises:
      TfvidError: what does not fit: shapes, NaN, a class the model does not have, no samples, a negative radius.
    """
    if samples < 1 or radius < 0:
        raise TfvidError(f"expected samples >= 1 and radius >= 0, got {samples} and {radius}")
    clips, target = Scorer.of(model, output).checked(clips, target)
    maps = checked_maps(maps, tuple(clips.shape[:4]))
    largest = np.zeros(len(maps))
    for sample in range(samples):
        noise = tf.random.stateless_uniform(clips.shape[1:], (seed, sample), -radius, radius)
        moved = checked_maps(explain(clips + noise), maps.shape)
        largest = np.maximum(largest, _relative_change(maps, moved))
    return largest.astype(np.float32)


def _relative_change(maps, moved) -> np.ndarray:
    """How far `moved` is from `maps`, over the norm of these, or, where they are zero, of the others: `(B,)`."""
    change, before, after = (np.linalg.norm(_flat(x), axis=1) for x in (moved - maps, maps, moved))
    norm = np.where(before > 0, before, after)
    return np.divide(change, norm, out=np.zeros_like(change), where=norm > 0)


def _flat(maps):
    return maps.reshape(len(maps), -1).astype(np.float64)
