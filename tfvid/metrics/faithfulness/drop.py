"""Average drop and increase: how sure is the model of a clip when it sees only what the map shows it?

The map, cut at zero and divided by its maximum, lets the clip through: ``e = m x + (1 - m) baseline``. With Y the
class's probability for the clip and O for e,

    average drop = mean over clips of  max(0, Y - O) / Y          increase = share of clips with  O > Y

Chattopadhay et al., "Grad-CAM++", WACV 2018, section 4.1, in percent there; their clip is multiplied by the map, that
is, faded to zero, the default here. Both are given clip by clip, for the caller to take means of.
"""

import numpy as np

from tfvid.metrics.checks import checked_maps
from tfvid.metrics.faithfulness.scorer import Scorer, fill_of

ROUNDING = 1e-5  # the share by which the probability may differ between two runs on one clip


def average_drop(
    model, clips, maps, target, *, baseline="fade", output: str = "auto", batch_size: int = 8
) -> np.ndarray:
    """How far the probability drops when only the map's part of the clip is shown, as a share; smaller is better.

    A map that shows everything (equal and above zero everywhere) drops nothing, and a map of zeros shows nothing.
    Two forward passes a clip.

    Args:
      model: a Keras model or any callable, see `Classifier`; or a `Scorer`, which keeps what it has compiled.
      clips: float `(B, T, H, W, C)`.
      maps: `(B, T, H, W)`; values below zero count as zero.
      target: the class that the maps explain, an int or ints `(B,)`.
      baseline: what stands in for content: a name in `tfvid.perturb.fill.FILLS`, or a function of clips.
      output: what the model returns, see `Classifier`.
      batch_size: clips the model sees at a time.

    Returns:
      Float32 `(B,)` in [0, 1]; 0 where the class has no probability that could drop.

    Raises:
      TfvidError: what does not fit: shapes, NaN, a class the model does not have, a choice that does not exist.
    """
    whole, shown = _scores(model, clips, maps, target, baseline, output, batch_size)
    return np.divide(np.maximum(whole - shown, 0), whole, out=np.zeros_like(whole), where=whole > 0)


def increase(model, clips, maps, target, *, baseline="fade", output: str = "auto", batch_size: int = 8) -> np.ndarray:
    """1 where the model is surer of the class when only the map's part of the clip is shown, else 0; 1 is better.

    Surer by more than `ROUNDING`, so that a map that shows everything does not win by chance.

    Arguments and errors: see `average_drop`.

    Returns:
      Float32 `(B,)`.
    """
    whole, shown = _scores(model, clips, maps, target, baseline, output, batch_size)
    return (shown > whole * (1 + ROUNDING)).astype(np.float32)


def _scores(model, clips, maps, target, baseline, output, batch_size):
    """Y and O, each float32 `(B,)`."""
    scorer, fill = Scorer.of(model, output), fill_of(baseline)
    clips, target = scorer.checked(clips, target)
    positive = np.maximum(checked_maps(maps, tuple(clips.shape[:4])), 0)
    largest = positive.max(axis=(1, 2, 3), keepdims=True)
    mask = np.divide(positive, largest, out=np.zeros_like(positive), where=largest > 0)[..., np.newaxis]

    def shown(chunk):
        return mask[chunk] * clips[chunk] + (1 - mask[chunk]) * fill(clips[chunk])

    return (scorer.in_chunks(of, target, batch_size) for of in (lambda chunk: clips[chunk], shown))
