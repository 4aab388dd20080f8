"""3-D max-pooling whose gradient goes to the first maximum of each window, on all machines.

Values of a window are often equal: a frozen frame repeats the frame before it, and overlapping pools pass a value on
twice. PyTorch, cuDNN and oneDNN pass the gradient to the first of them, in the order of time, height, width.
TensorFlow's plain CPU kernel, `MaxPool3DGrad`, passes the whole gradient to *every* value within 1e-5 of the maximum,
so the gradients sum to more than the incoming gradient. This kernel runs without oneDNN, and in eager calls and some
loops also with oneDNN.

The maximum of a window is the maximum over time of the maxima over space,

    max_{t,i,j} x[t,i,j]  =  max_t ( max_{i,j} x[t,i,j] )

and the first maximum of the window is the first one over space within the first one over time. So two 2-D pools compute
the same values, and all TensorFlow kernels for 2-D pools pass the gradient to the first maximum. Two 2-D pools are also
faster than one 3-D pool, except for small inputs (docs/performance.md).
"""

import threading
from contextlib import contextmanager

import tensorflow as tf

_STOCK = {name: getattr(tf.nn, name) for name in ("max_pool", "max_pool3d", "pool")}
_lock = threading.Lock()
_open = 0  # the number of open contexts, of all threads


@contextmanager
def first_maximum():
    """Inside, all 3-D max-pools are `max_pool3d`, in eager code and in functions that are traced.

    This holds for all callers of `tf.nn.max_pool`, `tf.nn.max_pool3d` and `tf.nn.pool`: Keras layers, `keras.ops`, a
    user's own ``call``. A `tf.function` that was traced before keeps its pools.
    """
    global _open
    with _lock:
        _open += 1
        tf.nn.max_pool, tf.nn.max_pool3d, tf.nn.pool = _max_pool, max_pool3d, _pool
    try:
        yield
    finally:
        with _lock:
            _open -= 1
            if not _open:
                for name, stock in _STOCK.items():
                    setattr(tf.nn, name, stock)


def max_pool3d(input, ksize, strides, padding, data_format="NDHWC", name=None):
    """`tf.nn.max_pool3d`, with the gradient at the first maximum of each window.

    Args:
      input: a float tensor `(B, T, H, W, C)`; all sizes except C may be unknown.
      ksize: the size of the window, an int or 1, 3 or 5 ints.
      strides: the strides, like `ksize`.
      padding: "SAME" or "VALID".
      data_format: "NDHWC"; TensorFlow computes other formats.
      name: the name of the operation.

    Returns:
      `(B, T', H', W', C)`, the values of `tf.nn.max_pool3d`.
    """
    x = tf.convert_to_tensor(input)
    if data_format != "NDHWC" or not x.dtype.is_floating:
        return _STOCK["max_pool3d"](input, ksize, strides, padding, data_format, name)
    (k_t, *k_space), (s_t, *s_space) = _three(ksize), _three(strides)
    with tf.name_scope(name or "max_pool3d"):
        if (*k_space, *s_space) != (1, 1, 1, 1):
            batch, frames, height, width, channels = _sizes(x)
            images = tf.nn.max_pool2d(tf.reshape(x, (-1, height, width, channels)), k_space, s_space, padding)
            x = tf.reshape(images, (batch, frames, *_sizes(images)[1:]))
        if (k_t, s_t) != (1, 1):
            batch, frames, height, width, channels = _sizes(x)
            rows = tf.reshape(x, (batch, frames, height * width, channels))
            rows = tf.nn.max_pool2d(rows, (k_t, 1), (s_t, 1), padding)
            x = tf.reshape(rows, (batch, _sizes(rows)[1], height, width, channels))
        return x


def _max_pool(input, ksize, strides, padding, data_format=None, name=None):
    if tf.convert_to_tensor(input).shape.rank != 5:
        return _STOCK["max_pool"](input, ksize, strides, padding, data_format, name)
    return max_pool3d(input, ksize, strides, padding, data_format or "NDHWC", name)


def _pool(
    input, window_shape, pooling_type, strides=None, padding="VALID", data_format=None, dilations=None, name=None
):
    is_plain = pooling_type == "MAX" and all(d == 1 for d in tf.nest.flatten(dilations or 1))
    if not is_plain or tf.convert_to_tensor(input).shape.rank != 5:
        return _STOCK["pool"](input, window_shape, pooling_type, strides, padding, data_format, dilations, name)
    return max_pool3d(input, window_shape, strides or 1, padding, data_format or "NDHWC", name)


def _three(size) -> tuple[int, int, int]:
    """The sizes over time, height and width, from an int or from 1, 3 or 5 ints."""
    size = [int(side) for side in tf.nest.flatten(size)]
    return tuple(size * 3 if len(size) == 1 else size[1:4] if len(size) == 5 else size)


def _sizes(x: tf.Tensor) -> list:
    """The sizes of `x`: ints if known, else scalar tensors."""
    return [tf.shape(x)[axis] if size is None else size for axis, size in enumerate(x.shape.as_list())]
