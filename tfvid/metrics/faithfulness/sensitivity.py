"""Max-sensitivity: how much an explanation changes under small changes of the clip.

    SENS_MAX = max over y with |y - x| <= r in every value of  || Phi(y) - Phi(x) || / || Phi(x) ||

Yeh et al., "On the (In)fidelity and Sensitivity of Explanations", NeurIPS 2019, definition 3.1; the maximum over
a few random y, as in the paper, divided by the norm of the map, as in the authors' evaluation code, so that maps of
different scales can be compared. A constant explanation has 0, so compare values only together with faithfulness.
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
    """Returns the largest relative change of the map under small noise; smaller is better.

    It needs `samples` explanations. A map of zeros that stays zero has 0; one that changes has 1.

      >>> max_sensitivity(model, clips, maps, target, explain=lambda clips: method(clips, target).attribution)

    Args:
      model: the model; only to check the clips and the classes.
      clips: float `(B, T, H, W, C)`.
      maps: `(B, T, H, W)`, the result of `explain` for `clips`.
      target: the class that the maps explain: an int, or ints `(B,)`. `explain` must explain the same class.
      explain: a function from float32 clips to maps; it gets all B clips at once.
      radius: r, 0 or more, in units of the clip's values.
      samples: the number of noisy clips, 1 or more.
      output: what the model returns, "logits", "probabilities", or "auto", which reads it from the model.
      batch_size: not used; `explain` has its own.
      seed: of the noise, which is the same for all clips.

    Returns:
      Float32 `(B,)`, >= 0.

    Raises:
      TfvidError: shapes that do not fit, NaN, a class that the model does not have, no samples, or a negative radius.
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
    """The norm of the change, divided by the norm of `maps`, or of `moved` if `maps` are zero: `(B,)`."""
    change, before, after = (np.linalg.norm(_flat(x), axis=1) for x in (moved - maps, maps, moved))
    norm = np.where(before > 0, before, after)
    return np.divide(change, norm, out=np.zeros_like(change), where=norm > 0)


def _flat(maps):
    return maps.reshape(len(maps), -1).astype(np.float64)
