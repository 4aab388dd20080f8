"""Perturbations in time, as mixtures of frames.

Freezing, holding and reversing are linear in the frames: ``perturbed[b, t] = sum_s M[b, t, s] clip[b, s]``, with a
matrix ``M = f(mask)`` whose rows sum to one. One `mix` applies any of them to a batch, and the score of the perturbed
clip is differentiable in the mask through M.

Mänttäri et al., "Interpreting Video Features", ACCV 2020, section 3.1. A mask value of 1 means perturbed;
for `hold`, the dual of `freeze`, it means kept.
"""

import tensorflow as tf

from tfvid.core.errors import TfvidError


def freeze(clips, mask):
    """Freezes frames with a mask value of 1: they show what the frame before them shows.

    Args:
      clips: `(B, T, H, W, C)`, any numeric dtype, any range.
      mask: `(B, T)` in [0, 1]; the first frame's value has no effect.

    Returns:
      `(B, T, H, W, C)`, the dtype of `clips`; float32 with the values unscaled where `clips` are integers.

    Raises:
      TfvidError: shapes that do not fit, or clips of a single frame.

    Example:
      >>> clips = tf.reshape(tf.range(4.0), (1, 4, 1, 1, 1))
      >>> tf.reshape(freeze(clips, [[0.0, 0.0, 1.0, 1.0]]), [-1]).numpy()
      array([0., 1., 1., 1.], dtype=float32)
    """
    clips, mask = checked(clips, mask)
    return mix(clips, freeze_matrix(mask))


def reverse(clips, mask, threshold: float = 0.1):
    """Reverses each run of masked frames in time.

    Args:
      clips: `(B, T, H, W, C)`, any numeric dtype, any range.
      mask: `(B, T)` in [0, 1]; see `reverse_matrix`.
      threshold: frames with a mask value above it belong to a run.

    Returns:
      `(B, T, H, W, C)`, the dtype of `clips`; float32 with the values unscaled where `clips` are integers.

    Raises:
      TfvidError: shapes that do not fit, or clips of a single frame.

    Example:
      >>> clips = tf.reshape(tf.range(4.0), (1, 4, 1, 1, 1))
      >>> tf.reshape(reverse(clips, [[0.0, 1.0, 1.0, 1.0]]), [-1]).numpy()
      array([0., 3., 2., 1.], dtype=float32)
    """
    clips, mask = checked(clips, mask)
    return mix(clips, reverse_matrix(mask, threshold))


def hold(clips, mask):
    """Keeps the motion of frames with a mask value of 1 and holds the picture everywhere else.

    The frames before the first kept frame show that frame, and every other held frame shows the last kept frame before
    it. So all that happens in the result happens within the mask. If no frame is kept, all show the first frame.

    Args:
      clips: `(B, T, H, W, C)`, any numeric dtype, any range.
      mask: `(B, T)` in [0, 1], 1 = kept.

    Returns:
      `(B, T, H, W, C)`, the dtype of `clips`; float32 with the values unscaled where `clips` are integers.

    Raises:
      TfvidError: shapes that do not fit, or clips of a single frame.

    Example:
      >>> clips = tf.reshape(tf.range(5.0), (1, 5, 1, 1, 1))
      >>> tf.reshape(hold(clips, [[0.0, 0.0, 1.0, 1.0, 0.0]]), [-1]).numpy()
      array([2., 2., 2., 3., 3.], dtype=float32)
    """
    clips, mask = checked(clips, mask)
    return mix(clips, hold_matrix(mask))


def mix(clips, matrix):
    """Returns the clips whose frame t is ``sum_s matrix[b, t, s] clips[b, s]``.

    Args:
      clips: `(B, T, H, W, C)`; integers become float32, unscaled.
      matrix: `(B, T, T)` float32.

    Returns:
      `(B, T, H, W, C)`; half-precision clips are mixed in float32 and returned in their own dtype.
    """
    clips = tf.convert_to_tensor(clips)
    dtype = clips.dtype if clips.dtype.is_floating else tf.float32
    wide = tf.float64 if dtype == tf.float64 else tf.float32
    mixed = tf.einsum("bts,bshwc->bthwc", tf.cast(matrix, wide), tf.cast(clips, wide))
    return tf.cast(mixed, dtype)


def freeze_matrix(mask):
    """Returns the mixing matrix of `freeze`.

    It applies the published recurrence, ``p[0] = x[0]``, ``p[t] = (1 - m[t]) x[t] + m[t] p[t-1]``, to the weights of
    the frames: row t of the matrix is row t-1 times m[t], plus 1 - m[t] on the diagonal. Unlike the gradient of a
    cumulative product, its gradient needs no division, so mask values of exactly 0 and 1 are safe.

    Args:
      mask: `(B, T)` float32 in [0, 1], with a static T.

    Returns:
      `(B, T, T)` float32, lower triangular, rows sum to 1.

    Raises:
      TfvidError: T is unknown when the function is traced.
    """
    mask = tf.convert_to_tensor(mask, tf.float32)
    if mask.shape[-1] is None:
        raise TfvidError("freeze needs the number of frames when it is traced; got a mask of shape (B, None)")
    x = tf.eye(mask.shape[-1])  # x[t]: all weight on frame t
    p = tf.zeros_like(mask) + x[0]
    rows = [p]
    for t in range(1, mask.shape[-1]):
        m = mask[:, t : t + 1]
        p = (1 - m) * x[t] + m * p
        rows.append(p)
    return tf.stack(rows, axis=1)


def hold_matrix(mask):
    """Returns the mixing matrix of `hold`.

    With k[t] = mask[t], backwards in time ``q[T] = x[0]``, ``q[t] = k[t] x[t] + (1 - k[t]) q[t+1]``: q[0] is the first
    kept frame. Then, as in `freeze_matrix`, ``p[0] = q[0]``, ``p[t] = k[t] x[t] + (1 - k[t]) p[t-1]``.

    Args:
      mask: `(B, T)` float32 in [0, 1], with a static T.

    Returns:
      `(B, T, T)` float32, rows sum to 1.

    Raises:
      TfvidError: T is unknown when the function is traced.
    """
    mask = tf.convert_to_tensor(mask, tf.float32)
    if mask.shape[-1] is None:
        raise TfvidError("hold needs the number of frames when it is traced; got a mask of shape (B, None)")
    x = tf.eye(mask.shape[-1])  # x[t]: all weight on frame t
    p = tf.zeros_like(mask) + x[0]
    for t in reversed(range(mask.shape[-1])):
        k = mask[:, t : t + 1]
        p = k * x[t] + (1 - k) * p
    rows = [p]
    for t in range(1, mask.shape[-1]):
        k = mask[:, t : t + 1]
        p = k * x[t] + (1 - k) * p
        rows.append(p)
    return tf.stack(rows, axis=1)


def reverse_matrix(mask, threshold: float = 0.1):
    """Returns the mixing matrix of `reverse`.

    In a run [a..b] of frames with m > threshold, frames a+u and b-u (u < length / 2) exchange a share w = m[a+u]:
    ``p[a+u] = (1-w) x[a+u] + w x[b-u]``, ``p[b-u] = (1-w) x[b-u] + w x[a+u]``. The gradient flows through the shares,
    not through the bounds of the runs.

    Args:
      mask: `(B, T)` float32 in [0, 1].
      threshold: frames with a mask value above it belong to a run.

    Returns:
      `(B, T, T)` float32, rows sum to 1.
    """
    mask = tf.convert_to_tensor(mask, tf.float32)
    num_frames = tf.shape(mask)[-1]
    t = tf.range(num_frames)
    outside = mask[:, tf.newaxis, :] <= threshold  # (B, 1, S)
    before, after = t <= t[:, tf.newaxis], t >= t[:, tf.newaxis]  # (T, S): s <= t, s >= t
    start = tf.reduce_max(tf.where(outside & before, t, -1), axis=-1) + 1  # one past the last frame outside
    stop = tf.reduce_min(tf.where(outside & after, t, num_frames), axis=-1) - 1

    in_run = mask > threshold
    partner = tf.where(in_run, start + stop - t, t)
    share = tf.gather(mask, tf.minimum(t, partner), batch_dims=1)[..., tf.newaxis]
    return (1 - share) * tf.eye(num_frames) + share * tf.one_hot(partner, num_frames)


# The mixing matrix of a perturbation, as a function of the mask.
MATRICES = {freeze: freeze_matrix, reverse: reverse_matrix, hold: hold_matrix}


def checked(clips, mask):
    """Returns clips and mask as tensors.

    Args:
      clips: `(B, T, H, W, C)`.
      mask: `(B, T)`.

    Raises:
      TfvidError: shapes that do not fit, or clips of a single frame.
    """
    clips, mask = tf.convert_to_tensor(clips), tf.cast(mask, tf.float32)
    if clips.shape.rank != 5 or mask.shape.rank != 2 or not mask.shape.is_compatible_with(clips.shape[:2]):
        raise TfvidError(
            f"expected clips (B, T, H, W, C) and a mask (B, T), got {tuple(clips.shape)} and {tuple(mask.shape)}"
        )
    if clips.shape[1] == 1:
        raise TfvidError("a mask over time needs clips of 2 frames or more, got clips of a single frame")
    return clips, mask
