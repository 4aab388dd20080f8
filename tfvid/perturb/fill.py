"""Fills: how hidden pixels are made.

A fill is a function ``clips (B, T, H, W, C) -> clips`` of the same shape and dtype. `FILLS` lists them by name. No fill
is neutral for every model, so methods and metrics state which fill they use.
"""

import math

import tensorflow as tf

from tfvid.core.errors import check_choice


def fade(clips):
    """Returns zeros: black, for clips in [0, 1]. Fong et al., ICCV 2019, use this name."""
    return tf.zeros_like(clips)


def mean_colour(clips):
    """Returns each clip's mean colour at all pixels."""
    return tf.zeros_like(clips) + tf.reduce_mean(clips, axis=(1, 2, 3), keepdims=True)


def blurred(clips):
    """Returns frames blurred with a standard deviation of a tenth of their shorter side, so that no object is left."""
    return gaussian_blur(clips, min(clips.shape[2:4]) / 10)


def first_frame(clips):
    """Returns the first frame at all times, as freezing all frames does: appearance stays, motion is removed."""
    return tf.zeros_like(clips) + clips[:, :1]


FILLS = {"fade": fade, "mean": mean_colour, "blur": blurred, "first_frame": first_frame}


def fill_of(fill, argument: str = "baseline"):
    """Returns the function of a fill: of a name in `FILLS`, or the function that is given.

    Args:
      fill: a name, or a function from clips to clips.
      argument: the name of the argument, for the error message.

    Raises:
      TfvidError: an unknown name.
    """
    if callable(fill):
        return fill
    check_choice(argument, fill, FILLS)
    return FILLS[fill]


PADDINGS = ("edge", "zeros")


def gaussian_blur(clips, sigma: float, padding: str = "edge"):
    """Blurs each frame with a Gaussian.

    Args:
      clips: float `(B, T, H, W, C)`, H and W known.
      sigma: standard deviation in pixels, >= 0; 0 changes nothing.
      padding: the values outside the frame: "edge" repeats the outermost pixels and cuts the Gaussian at 3 sigma;
        "zeros" cuts it at 4 sigma, as TorchRay's ``imsmooth`` does.

    Returns:
      `(B, T, H, W, C)`, the dtype of `clips`. With "edge", constant frames stay unchanged.

    Raises:
      TfvidError: an unknown padding.
    """
    check_choice("padding", padding, PADDINGS)
    if sigma == 0:
        return tf.convert_to_tensor(clips)
    height, width = clips.shape[2:4]
    rows, columns = (blur_matrix(side, sigma, clips.dtype, padding) for side in (height, width))
    return tf.einsum("yh,xw,bthwc->btyxc", rows, columns, clips, optimize="greedy")


def blur_matrix(size: int, sigma: float, dtype, padding: str = "edge"):
    """Returns the matrix that blurs a line of pixels: row i holds the weights of all pixels in the blurred pixel i.

    Args:
      size: length of the line in pixels.
      sigma: standard deviation in pixels, > 0; a Python number.
      dtype: of the matrix.
      padding: see `gaussian_blur`.

    Returns:
      `(size, size)`. Rows sum to 1, except near the ends with padding "zeros".
    """
    radius = int(3 * sigma + 0.5) if padding == "edge" else math.ceil(4 * sigma)
    offset = tf.range(-radius, radius + 1)
    weight = tf.exp(-0.5 * (tf.cast(offset, tf.float32) / sigma) ** 2)
    source = tf.range(size)[:, tf.newaxis] + offset  # (size, taps)
    if padding == "edge":
        source = tf.clip_by_value(source, 0, size - 1)
    matrix = tf.reduce_sum(tf.one_hot(source, size) * weight[:, tf.newaxis], axis=1)  # zeros for sources outside
    return tf.cast(matrix / tf.reduce_sum(weight), dtype)
