"""Blurring frames: what they show of shapes goes, their light and colour stay, and time goes on.

    perturbed[t] = (1 - m[t]) x[t] + m[t] blurred(x)[t]

Freezing and reversing take away what happens and keep what is seen; this takes away what is seen. It is no mixing of
frames (`tfvid.perturb.temporal.MATRICES`).
After the blur of Fong & Vedaldi, "Interpretable Explanations of Black Boxes by Meaningful Perturbation", ICCV 2017,
Eq. 3, with a mask over time.
"""

import tensorflow as tf

from tfvid.perturb.fill import blurred
from tfvid.perturb.temporal import checked


def blur(clips, mask):
    """Blurs the frames where the mask is 1, as much as `tfvid.perturb.fill.blurred` does; half way where it is 0.5.

    Args:
      clips: `(B, T, H, W, C)`, any numeric dtype, any range.
      mask: `(B, T)` in [0, 1]; the first frame's value counts, too.

    Returns:
      `(B, T, H, W, C)`, the dtype of `clips`; float32 with the values unscaled where `clips` are integers.

    Raises:
      TfvidError: shapes that do not fit, or clips of a single frame.

    Example:
      >>> clips = tf.reshape(tf.constant([0.0, 1.0, 0.0, 1.0]), (1, 2, 1, 2, 1))
      >>> tf.reshape(blur(clips, [[0.0, 1.0]]), [-1]).numpy()
      array([0.        , 1.        , 0.01..., 0.99...], dtype=float32)
    """
    clips, mask = checked(clips, mask)
    dtype = clips.dtype if clips.dtype.is_floating else tf.float32
    wide = tf.float64 if dtype == tf.float64 else tf.float32
    clips = tf.cast(clips, wide)
    share = tf.cast(mask, wide)[..., tf.newaxis, tf.newaxis, tf.newaxis]
    return tf.cast((1 - share) * clips + share * blurred(clips), dtype)
