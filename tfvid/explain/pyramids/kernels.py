"""Which kernels matter: the two rules of Class Feature Pyramids.

For the class, the weights W of the last linear layer are scaled to [0, 1] over the whole layer. Feature map k counts if

    (W[k, c] - min W) / (max W - min W)  >=  theta

Kernel i of a convolution sees feature map j with the contribution c_j, the product of both means over time and space:

    c_j  =  mean(w[..., j, i])  mean(a[..., j]),        s_j  =  c_j sign( sum_j c_j )

Feature map j counts for kernel i if  (s_j - min s) / (max s - min s)  >=  theta,  and it counts if it does for one of
the kernels i that count.
"""

import tensorflow as tf


def of_class(weights: tf.Tensor, signs: tf.Tensor, theta: float) -> tf.Tensor:
    """Returns which feature maps count for the class, bool `(B, K)`.

    Args:
      weights: of the last linear layer, float32 `(K, units)`.
      signs: float32 `(B, units)`: 1 for the unit of the class; -1 for the single unit of a model with one output, if
        the class is 0; otherwise 0.
      theta: the threshold, in [0, 1].
    """
    of_clip = tf.matmul(signs, weights, transpose_b=True)
    every = tf.concat([weights, -weights], axis=1) if weights.shape[1] == 1 else weights
    low, high = tf.reduce_min(every), tf.reduce_max(every)
    return _share(of_clip, low, high) >= theta


def of_kernels(weights: tf.Tensor, features: tf.Tensor, kernels: tf.Tensor, theta: float) -> tf.Tensor:
    """Returns which feature maps count for one of the kernels that count, bool `(B, J)`.

    Args:
      weights: the means of the kernels over time and space, float32 `(J, I)`.
      features: the means of the feature maps over time and space, float32 `(B, J)`.
      kernels: which kernels count, bool `(B, I)`.
      theta: the threshold, in [0, 1].
    """
    c = features[:, :, tf.newaxis] * weights
    s = c * tf.sign(tf.reduce_sum(c, axis=1, keepdims=True))
    low, high = tf.reduce_min(s, axis=1, keepdims=True), tf.reduce_max(s, axis=1, keepdims=True)
    counts = (_share(s, low, high) >= theta) & (c != 0) & kernels[:, tf.newaxis, :]
    return tf.reduce_any(counts, axis=2)


def _share(values, low, high):
    """`values` between `low` and `high` as numbers in [0, 1]; 1 if all are equal."""
    return tf.where(high > low, tf.math.divide_no_nan(values - low, high - low), 1.0)
