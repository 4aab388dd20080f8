"""Max-pooling of clips whose gradient goes to the first maximum of each window, on every machine.

Values of one window are often equal: a frozen frame repeats the one before it, and two pools that overlap pass one
value on twice. PyTorch, cuDNN and oneDNN hand the gradient to the first of them, in the order of time, height, width.
TensorFlow's plain CPU kernel, `MaxPool3DGrad`, hands the whole gradient to *every* value within 1e-5 of the maximum,
so that a gradient sums to more than what arrived. It runs where oneDNN is off, and in eager calls and some loops even
where oneDNN is on.

The maximum of a window is the maximum over time of the maxima over space,

    max_{t,i,j} x[t,i,j]  =  max_t ( max_{i,j} x[t,i,j] )

and the first maximum of the window is the first over space within the first over time. So two 2-D pools compute the
same values, and all of TensorFlow's kernels for 2-D pools hand the gradient to the first maximum. No kernel has to be
tried out. For all but small inputs two 2-D pools are also faster than one 3-D pool (docs/performance.md).
"""

import threading
from contextlib import contextmanager

import tensorflow as tf

_STOCK = {name: getattr(tf.nn, name) for name in ("max_pool", "max_pool3d", "pool")}
_lock = threading.Lock()
_open = 0  # contexts that are open, of all threads


@contextmanager
def first_maximum():
    """Inside, 3-D max-pools are `max_pool3d`, in eager code and in functions that are traced.

    It holds for whatever calls `tf.nn.max_pool`, `tf.nn.max_pool3d` or `tf.nn.pool`: Keras' layers, `keras.ops`, a
    user's own ``call``. A `tf.function` that was traced before keeps the pools it has.
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
      input: a float tensor `(B, T, H, W, C)`; all sizes but C may be unknown.
      ksize: the window, an int or 1, 3 or 5 ints.
      strides: as `ksize`.
      padding: "SAME" or "VALID".
      data_format: "NDHWC"; other formats are left to TensorFlow.
      name: of the operation.

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
    """The window or the strides over time, height and width: of an int, or of 1, 3 or 5 ints."""
    size = [int(side) for side in tf.nest.flatten(size)]
    return tuple(size * 3 if len(size) == 1 else size[1:4] if len(size) == 5 else size)


def _sizes(x: tf.Tensor) -> list:
    """The sizes of `x`: ints where they are known, scalar tensors elsewhere."""
    return [tf.shape(x)[axis] if size is None else size for axis, size in enumerate(x.shape.as_list())]
