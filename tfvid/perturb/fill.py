"""What a clip, or a part of it, is replaced by when its content is taken away.

A fill is a function ``clips (B, T, H, W, C) -> clips`` of the same shape and dtype. `FILLS` has them by name; no fill
is neutral for every model, so methods and measures name theirs.
"""

import tensorflow as tf


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


def gaussian_blur(clips, sigma: float):
    """Each frame blurred by a Gaussian, cut at 3 sigma; outside, the frame's edge goes on.

    Args:
      clips: float `(B, T, H, W, C)`, H and W known.
      sigma: standard deviation in pixels, >= 0; 0 changes nothing.

    Returns:
      `(B, T, H, W, C)`, the dtype of `clips`; constant frames stay as they are.
    """
    if sigma == 0:
        return tf.convert_to_tensor(clips)
    height, width = clips.shape[2:4]
    rows, columns = blur_matrix(height, sigma, clips.dtype), blur_matrix(width, sigma, clips.dtype)
    return tf.einsum("yh,xw,bthwc->btyxc", rows, columns, clips, optimize="greedy")


def blur_matrix(size: int, sigma: float, dtype):
    """`(size, size)`: row i has the weights of all pixels in pixel i of the blurred line; rows sum to one.

    `sigma` is in pixels, above 0, and known when this is traced.
    """
    radius = int(3 * sigma + 0.5)
    offset = tf.range(-radius, radius + 1)
    weight = tf.exp(-0.5 * (tf.cast(offset, tf.float32) / sigma) ** 2)
    source = tf.clip_by_value(tf.range(size)[:, tf.newaxis] + offset, 0, size - 1)  # (size, taps)
    matrix = tf.reduce_sum(tf.one_hot(source, size) * weight[:, tf.newaxis], axis=1)
    return tf.cast(matrix / tf.reduce_sum(weight), dtype)
