"""ROAD, remove and debias: the class's probability after the most relevant pixels are removed by imputation.

    ROAD = mean over shares s of  p_c(clip without its s most relevant voxels)

Deletion replaces pixels by a constant, whose outline is a new picture: a model can read the class, or leave it, by the
shape of the hole. ROAD replaces them by `tfvid.metrics.faithfulness.imputation`, which hides the outline.

Rong, Leemann, Borisov, Kasneci & Kasneci, ICML 2022, in the order MoRF, most relevant first.
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfvid.core.errors import TfvidError
from tfvid.metrics.checks import checked_maps
from tfvid.metrics.faithfulness.imputation import impute
from tfvid.metrics.faithfulness.scorer import Scorer
from tfvid.metrics.ranking import ranking


def road(
    model,
    clips,
    maps,
    target,
    *,
    shares: Sequence[float] = (0.1, 0.3, 0.5, 0.7, 0.9),
    noise: float = 0.01,
    output: str = "auto",
    batch_size: int = 8,
    seed: int = 0,
) -> np.ndarray:
    """Returns the mean probability after the most relevant voxels are removed by imputation; smaller is better.

    Each share needs one forward pass and, for each frame, the solution of a sparse linear system in its hidden pixels.
    Voxels of equal relevance are in random order, so a constant map has the value of a random map.

    Args:
      model: a Keras model of clips, a function from NumPy clips to NumPy scores, or a `Scorer`, which is compiled once.
      clips: float `(B, T, H, W, C)`.
      maps: `(B, T, H, W)`, of any scale: only the order of values counts.
      target: the class that the maps explain: an int, or ints `(B,)`.
      shares: of the clip's voxels that are removed, one or more in (0, 1).
      noise: standard deviation of the noise on removed pixels, as a share of the clip's range of values, 0 or more.
      output: what the model returns, "logits", "probabilities", or "auto", which reads it from the model.
      batch_size: the number of clips that the model gets at a time, 1 or more.
      seed: of the noise and of the order of equal voxels.

    Returns:
      Float32 `(B,)` in [0, 1].

    Raises:
      TfvidError: shapes that do not fit, NaN, a class that the model does not have, or an unknown option.
    """
    if not len(shares) or min(shares) <= 0 or max(shares) >= 1 or noise < 0:
        raise TfvidError(f"expected shares in (0, 1) and noise >= 0, got shares={tuple(shares)} and noise={noise}")
    scorer = Scorer.of(model, output)
    clips, target = scorer.checked(clips, target)
    maps = checked_maps(maps, tuple(clips.shape[:4]))
    values = [
        _removed(scorer, clip, relevance, klass, shares, noise, batch_size, seed)
        for clip, relevance, klass in zip(clips.numpy(), maps, target, strict=True)
    ]
    return np.array(values, np.float32)


def _removed(scorer, clip, relevance, target, shares, noise, batch_size, seed) -> float:
    """The mean probability of one clip."""
    place = np.argsort(ranking(relevance.ravel(), seed)).reshape(relevance.shape)  # 0: the most relevant voxel
    counts = np.round(np.multiply(shares, place.size))

    def at(chunk):
        return tf.constant(np.stack([impute(clip, place < count, noise, seed) for count in counts[chunk]]))

    return scorer.in_chunks(at, np.full(len(counts), target, np.int32), batch_size).mean()
