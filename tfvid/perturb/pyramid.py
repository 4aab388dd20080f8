"""Levels of a clip from hidden to shown, and a mask that chooses the level of each pixel.

    shown(u) = y_0(u) + sum over l of  clip((L - 1) m(u) - l, 0, 1) (y_{l+1}(u) - y_l(u))

This interpolates linearly between levels: m = 1 shows the clip, y_{L-1}; m = 0 shows the most hidden level, y_0.

Fong, Patrick & Vedaldi, ICCV 2019, section 3.3 ("blur" and "fade").
"""

import tensorflow as tf

from tfvid.core.errors import TfvidError, check_choice
from tfvid.perturb.fill import gaussian_blur

PYRAMIDS = ("blur", "fade")


def pyramid(clips, kind: str = "blur", num_levels: int = 8, max_blur: float = 20.0, padding: str = "edge"):
    """Returns the levels of clips, from the most hidden one to the clips themselves.

    Args:
      clips: float `(B, T, H, W, C)`.
      kind: "blur", each frame blurred by a Gaussian of ``max_blur (1 - l / (L - 1))`` pixels; "fade", the clip times
        ``l / (L - 1)``, with two levels only, since interpolation gives the others.
      num_levels: L of "blur", >= 2.
      max_blur: standard deviation in pixels at level 0 of "blur", > 0.
      padding: of "blur", see `tfvid.perturb.fill.gaussian_blur`.

    Returns:
      `(L, B, T, H, W, C)`, the last level the clips themselves.

    Raises:
      TfvidError: an unknown kind, fewer than two levels, or `max_blur` <= 0.
    """
    check_choice("perturbation", kind, PYRAMIDS)
    if num_levels < 2 or max_blur <= 0:
        raise TfvidError(f"expected num_levels >= 2 and max_blur > 0, got {num_levels} and {max_blur}")
    if kind == "fade":
        return tf.stack([tf.zeros_like(clips), clips])
    sigmas = [max_blur * (1 - level / (num_levels - 1)) for level in range(num_levels)]
    return tf.stack([gaussian_blur(clips, sigma, padding) for sigma in sigmas])


def shown(levels, mask):
    """Returns the clips with each pixel at the level of its mask value.

    Args:
      levels: `(L, B, T, H, W, C)`, see `pyramid`.
      mask: float32 `(B, A, T, H, W)` in [0, 1], A masks per clip; 1 shows the clip.

    Returns:
      `(B, A, T, H, W, C)`.
    """
    place = (levels.shape[0] - 1) * mask[..., tf.newaxis]
    result = levels[0][:, tf.newaxis]
    for level in range(levels.shape[0] - 1):
        step = (levels[level + 1] - levels[level])[:, tf.newaxis]
        result += tf.clip_by_value(place - level, 0, 1) * step
    return result
