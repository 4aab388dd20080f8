"""What a clip, or a part of it, is replaced by when its content is taken away.

A fill is a function ``clips (B, T, H, W, C) -> clips`` of the same shape and dtype. `FILLS` has them by name; no fill
is neutral for every model, so methods and measures name theirs.
"""

import math

import tensorflow as tf

from tfvid.core.errors import check_choice


def fade(clips):
    """Zeros: black, for clips in [0, 1]. What "fade" is called in extremal perturbations (Fong et al., ICCV 2019)."""
    return tf.zeros_like(clips)


def mean_colour(clips):
    """Each clip's mean colour, `(B, 1, 1, 1, C)` repeated."""
    return tf.zeros_like(clips) + tf.reduce_mean(clips, axis=(1, 2, 3), keepdims=True)


def blurred(clips):
    """Each frame blurred, with a standard deviation of a tenth of its shorter side: no object is left."""
    return gaussian_blur(clips, min(clips.shape[2:4]) / 10)


def first_frame(clips):
    """The first frame at all times: what it shows stays, what happens is gone. The freeze of all frames."""
    return tf.zeros_like(clips) + clips[:, :1]


FILLS = {"fade": fade, "mean": mean_colour, "blur": blurred, "first_frame": first_frame}


PADDINGS = ("edge", "zeros")


def gaussian_blur(clips, sigma: float, padding: str = "edge"):
    """Each frame blurred by a Gaussian.

    Args:
      clips: float `(B, T, H, W, C)`, H and W known.
      sigma: standard deviation in pixels, >= 0; 0 changes nothing.
      padding: what lies outside the frame: "edge", its outermost pixels go on, and the Gaussian is cut at 3 sigma;
        "zeros", and it is cut at 4 sigma, as TorchRay's ``imsmooth`` does.

    Returns:
      `(B, T, H, W, C)`, the dtype of `clips`; with "edge", constant frames stay as they are.
    """
    check_choice("padding", padding, PADDINGS)
    if sigma == 0:
        return tf.convert_to_tensor(clips)
    height, width = clips.shape[2:4]
    rows, columns = (blur_matrix(side, sigma, clips.dtype, padding) for side in (height, width))
    return tf.einsum("yh,xw,bthwc->btyxc", rows, columns, clips, optimize="greedy")


def blur_matrix(size: int, sigma: float, dtype, padding: str = "edge"):
    """`(size, size)`: row i has the weights of all pixels in pixel i of the blurred line.

    Rows sum to one, but for those near an end with padding "zeros". `sigma` is in pixels, above 0, and known when this
    is traced.
    """
    radius = int(3 * sigma + 0.5) if padding == "edge" else math.ceil(4 * sigma)
    offset = tf.range(-radius, radius + 1)
    weight = tf.exp(-0.5 * (tf.cast(offset, tf.float32) / sigma) ** 2)
    source = tf.range(size)[:, tf.newaxis] + offset  # (size, taps)
    if padding == "edge":
        source = tf.clip_by_value(source, 0, size - 1)
    matrix = tf.reduce_sum(tf.one_hot(source, size) * weight[:, tf.newaxis], axis=1)  # of no pixel outside: zeros
    return tf.cast(matrix / tf.reduce_sum(weight), dtype)
