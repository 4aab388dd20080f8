"""The perturbation "blur": blurred frames lose their shapes and keep their brightness, colour and order in time.

    perturbed[t] = (1 - m[t]) x[t] + m[t] blurred(x)[t]

Freezing and reversing remove motion and keep appearance; blurring removes appearance. It does not mix frames
(`tfvid.perturb.temporal.MATRICES`).

After the blur of Fong & Vedaldi, "Interpretable Explanations of Black Boxes by Meaningful Perturbation", ICCV 2017,
Eq. 3, with a mask over time.
"""

import tensorflow as tf

from tfvid.perturb.fill import blurred
from tfvid.perturb.temporal import checked


def blur(clips, mask):
    """Blurs frames with a mask value of 1 as `tfvid.perturb.fill.blurred` does; 0.5 is half of it.

    Args:
      clips: `(B, T, H, W, C)`, any numeric dtype, any range.
      mask: `(B, T)` in [0, 1]; the first frame can be blurred, too.

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
