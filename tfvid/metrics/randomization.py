"""Efficient and smooth randomization of the model's parameters: two repairs of the sanity check of `sanity`.

    eMPRT = (H(e') - H(e)) / H(e)        e: the map of the trained model, e': of the model with all weights random
    sMPRT = the check layer by layer, of  e = mean over n of  explain(x + sigma e_n),   e_n ~ N(0, 1)

H is the entropy of the histogram of a map's values. The check layer by layer favours noisy maps, which differ from each
other whatever the weights are; sMPRT averages this noise out. eMPRT compares no maps: a map of random weights should be
more complex than that of the trained model.

Hedstroem et al., "A Fresh Look at Sanity Checks for Saliency Maps", xAI 2024, sections 4.1 and 4.2.
"""

import keras
import numpy as np

from tfvid.core.errors import TfvidError
from tfvid.metrics.checks import checked_maps
from tfvid.metrics.sanity import SanityCheck, randomized, sanity_check

BINS = 100


def histogram_entropy(maps, bins: int = BINS) -> np.ndarray:
    """Returns the entropy of the histogram of the values of each map, in nats.

    Args:
      maps: `(B, T, H, W)`.
      bins: the number of equal bins between the smallest and the largest value of the map, 2 or more.

    Returns:
      Float32 `(B,)` in [0, log(bins)]; 0 for a constant map.

    Raises:
      TfvidError: another shape, or NaN; fewer than 2 bins.
    """
    if bins < 2:
        raise TfvidError(f"expected bins >= 2, got {bins}")
    counts = np.stack([np.histogram(of_clip, bins)[0] for of_clip in checked_maps(maps).astype(np.float64)])
    shares = counts / counts.sum(axis=1, keepdims=True)
    return -np.sum(shares * np.log(np.where(shares > 0, shares, 1)), axis=1).astype(np.float32)


def efficient_mprt(model: keras.Model, clips, explain, *, bins: int = BINS, seed: int = 0) -> np.ndarray:
    """Returns how much more complex the map is when all weights of the model are random; larger is better.

    It needs two explanations of the clips, whatever the number of layers.

    Args:
      model: a Keras model. No other thread may use it meanwhile. Afterwards it has its weights back, also after an
        error.
      clips: float `(B, T, H, W, C)`.
      explain: a function ``(model, clips) -> maps (B, T, H, W)`` of a fixed class, not of the predicted one.
      bins: see `histogram_entropy`.
      seed: of the random order of weights, see `tfvid.metrics.sanity`.

    Returns:
      Float32 `(B,)`, the rise as a share of the trained model's entropy, -1 or more; 0 for a constant map, which has no
      entropy.

    Raises:
      TfvidError: clips or maps that do not fit, NaN in a map, or fewer than 2 bins.
      ModelError: not a Keras model, or a model without weights.
    """
    trained = checked_maps(explain(model, clips))
    with randomized(model, clips, seed):
        random = checked_maps(explain(model, clips), trained.shape)
    before, after = histogram_entropy(trained, bins), histogram_entropy(random, bins)
    return np.divide(after - before, before, out=np.zeros_like(before), where=before > 0)


def smooth_mprt(
    model: keras.Model,
    clips,
    explain,
    *,
    samples: int = 50,
    noise: float = 0.1,
    order: str = "cascading",
    seed: int = 0,
) -> SanityCheck:
    """Randomizes the weights layer by layer and compares maps that are averaged over noisy clips; smaller is better.

    It needs ``samples * (L + 1)`` explanations of the clips.

    Args:
      model: see `tfvid.metrics.sanity.sanity_check`.
      clips: float `(B, T, H, W, C)`.
      explain: a function ``(model, clips) -> maps (B, T, H, W)`` of a fixed class, not of the predicted one.
      samples: the number of noisy copies, 1 or more; the same noise for all weights.
      noise: the standard deviation of the noise as a share of the clip's range of values, 0 or more.
      order: "cascading" or "independent".
      seed: of the noise and of the random order of weights.

    Raises:
      TfvidError: clips or maps that do not fit, NaN in a map, an unknown order, fewer than 1 sample, negative noise.
      ModelError: not a Keras model, or a model without weights.
    """
    if samples < 1 or noise < 0:
        raise TfvidError(f"expected samples >= 1 and noise >= 0, got {samples} and {noise}")

    def smoothed(model, clips):
        rng = np.random.default_rng(seed)
        clips = np.asarray(clips, np.float32)
        sigma = noise * np.ptp(clips, axis=(1, 2, 3, 4), keepdims=True)
        total = 0.0
        for _ in range(samples):
            noisy = clips + sigma * rng.standard_normal(clips.shape, np.float32)
            total = total + np.asarray(explain(model, noisy), np.float32)
        return total / samples

    return sanity_check(model, clips, smoothed, order=order, seed=seed)
