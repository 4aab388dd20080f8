"""Average drop and increase: the class's probability when the model sees only the relevant part of the clip.

The map m, cut at zero and divided by its maximum, blends the clip with the baseline: ``e = m x + (1 - m) baseline``.
With Y the class's probability for the clip and O for e,

    average drop = mean over clips of  max(0, Y - O) / Y          increase = share of clips with  O > Y

Chattopadhay et al., "Grad-CAM++", WACV 2018, section 4.1, in percent there. The paper multiplies the image by the map,
which is the default baseline "fade" here. Both functions return one value for each clip; the caller takes means.
"""

import numpy as np

from tfvid.metrics.checks import checked_maps
from tfvid.metrics.faithfulness.scorer import Scorer
from tfvid.perturb.fill import fill_of

ROUNDING = 1e-5  # the relative difference of the probability between two runs on one clip


def average_drop(
    model, clips, maps, target, *, baseline="fade", output: str = "auto", batch_size: int = 8
) -> np.ndarray:
    """Returns the relative drop of the probability when only the map's part of the clip is shown; smaller is better.

    A constant positive map shows everything, so its drop is 0; a map of zeros shows nothing. Each clip needs two
    forward passes.

    Args:
      model: a Keras model of clips, a function from NumPy clips to NumPy scores, or a `Scorer`, which is compiled once.
      clips: float `(B, T, H, W, C)`.
      maps: `(B, T, H, W)`; negative values count as zero.
      target: the class that the maps explain: an int, or ints `(B,)`.
      baseline: what replaces hidden pixels: a name in `tfvid.perturb.fill.FILLS`, or a function from clips to clips.
      output: what the model returns, "logits", "probabilities", or "auto", which reads it from the model.
      batch_size: the number of clips that the model gets at a time, 1 or more.

    Returns:
      Float32 `(B,)` in [0, 1]; 0 if the class has probability 0.

    Raises:
      TfvidError: shapes that do not fit, NaN, a class that the model does not have, or an unknown option.
    """
    whole, shown = _scores(model, clips, maps, target, baseline, output, batch_size)
    return np.divide(np.maximum(whole - shown, 0), whole, out=np.zeros_like(whole), where=whole > 0)


def increase(model, clips, maps, target, *, baseline="fade", output: str = "auto", batch_size: int = 8) -> np.ndarray:
    """Returns 1 if the probability rises when only the map's part of the clip is shown, else 0; 1 is better.

    It must rise by more than the share `ROUNDING`, so that a map that shows everything has 0.

    Args:
      model: a Keras model of clips, a function from NumPy clips to NumPy scores, or a `Scorer`.
      clips: float `(B, T, H, W, C)`.
      maps: `(B, T, H, W)`; negative values count as zero.
      target: the class that the maps explain: an int, or ints `(B,)`.
      baseline: what replaces hidden pixels: a name in `tfvid.perturb.fill.FILLS`, or a function from clips to clips.
      output: what the model returns, "logits", "probabilities", or "auto", which reads it from the model.
      batch_size: the number of clips that the model gets at a time, 1 or more.

    Returns:
      Float32 `(B,)`, 0 or 1.

    Raises:
      TfvidError: shapes that do not fit, NaN, a class that the model does not have, or an unknown option.
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
