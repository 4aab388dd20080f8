"""The rules of excitation backprop: how each kind of layer passes the probability of its outputs to its inputs.

A layer's output y_j has the probability P_j. Input i gets its share of the excitation of the output,

    P_i  =  sum_j  P_j  e_ij / sum_k e_kj,        e_ij = the part of  w_ij x_i  that is positive,

without the bias. With inputs x >= 0, as after a ReLU, this is the published rule, Zhang et al., "Top-down Neural
Attention by Excitation Backprop", ECCV 2016, Eq. 4: ``x * VJP_{W+}(P / (W+ x))``. The paper assumes such inputs. Here,
negative inputs excite through negative weights (max(x, 0) through W+, max(-x, 0) through W-), so that tanh units, batch
norm and pixels in [-1, 1] get their share, too.

The probability of an output that only its bias excites is lost. All other probability is passed on.

A layer's ``call`` is replaced by one whose *gradient* is this rule, so that a tape's gradient of a class score with
respect to any features is their probability.
"""

import keras
import tensorflow as tf
from keras import layers

from tfvid.explain.propagation.walk import summed_to

INSTEAD = "use lrp, occlusion or rise"  # for layers without a rule


def linked(inputs: list[tf.Tensor], output: tf.Tensor, share) -> tf.Tensor:
    """Returns `output` with a gradient to `inputs`: ``share(P)``, the probability of each input.

    Args:
      inputs: tensors of any float dtype.
      output: a tensor computed from them, without a gradient.
      share: a function of float32 P, shaped as `output`, that returns one float32 tensor for each input, or None for
        zero.
    """

    @tf.custom_gradient
    def link(*inputs):
        def grad(P):
            shares = share(tf.cast(P, tf.float32))
            return [tf.zeros_like(x) if s is None else tf.cast(s, x.dtype) for x, s in zip(inputs, shares, strict=True)]

        return tf.identity(output), grad

    return link(*inputs)


def excitation(P: tf.Tensor, total, inputs: list[tf.Tensor]) -> list[tf.Tensor]:
    """Returns the share of each input, for inputs >= 0 and a linear map ``total(*inputs)`` with weights >= 0."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(inputs)
        excited = total(*inputs)
    gradients = tape.gradient(excited, inputs, tf.math.divide_no_nan(P, excited))
    return [x * gradient for x, gradient in zip(inputs, gradients, strict=True)]


def linear_excitation(P: tf.Tensor, terms: list[tuple]) -> list[tf.Tensor]:
    """Returns the share of each input, for inputs and weights of any sign.

    Args:
      P: the probability of the outputs, float32.
      terms: (x, w, apply): inputs, weights, and the linear map ``apply(x, w)``; the output is the sum of the terms.
    """

    def total(*parts):
        return tf.add_n(
            [
                apply(positive, tf.nn.relu(w)) + apply(negative, tf.nn.relu(-w))
                for positive, negative, (_, w, apply) in zip(parts[::2], parts[1::2], terms, strict=True)
            ]
        )

    terms = [(tf.cast(x, tf.float32), tf.cast(w, tf.float32), apply) for x, w, apply in terms]
    shares = excitation(P, total, [part for x, _, _ in terms for part in (tf.nn.relu(x), tf.nn.relu(-x))])
    return [positive + negative for positive, negative in zip(shares[::2], shares[1::2], strict=True)]


def linear(layer, contrast: bool = False, signed: bool = False):
    """Returns the ``call`` of a dense layer or a convolution, with the rule as its gradient.

    Args:
      layer: a layer with a ``kernel``.
      contrast: whether to subtract the shares of the same layer with negated weights, for the contrastive form at the
        top layer.
      signed: whether negative P is the probability of the same layer with negated weights: at the top layer of a model
        with one output, whose class 0 is the opposite of class 1.
    """
    call, apply = layer.call, _linear_map(layer)

    def excited(x, *args, **kwargs):
        def share(P):
            def of_class(P_class, sign):
                (shares,) = linear_excitation(P_class, [(x, sign * layer.kernel, apply)])
                if contrast:
                    shares -= linear_excitation(P_class, [(x, -sign * layer.kernel, apply)])[0]
                return shares

            if not signed:
                return [of_class(P, 1)]
            return [of_class(tf.nn.relu(P), 1) + of_class(tf.nn.relu(-P), -1)]

        return linked([x], call(tf.stop_gradient(x), *args, **kwargs), share)

    return excited


def _linear_map(layer):
    """The map ``apply(x, w)`` of a dense layer or a convolution, for other weights."""
    if isinstance(layer, layers.Dense):
        return keras.ops.matmul
    if not isinstance(layer, DEPTHWISE):
        return layer.convolution_op

    def depthwise(x, w):
        return keras.ops.depthwise_conv(
            x, w, tuple(layer.strides), layer.padding, layer.data_format, tuple(layer.dilation_rate)
        )

    return depthwise


def separable(layer):
    """Returns the ``call`` of a separable convolution, as a depthwise layer and a convolution of size 1."""
    call, order = layer.call, layer.data_format

    def depthwise(x, w):
        return keras.ops.depthwise_conv(
            x, w, tuple(layer.strides), layer.padding, order, dilation_rate=tuple(layer.dilation_rate)
        )

    def pointwise(x, w):
        return keras.ops.conv(x, w, 1, "valid", order)

    def excited(x, *args, **kwargs):
        w, v = layer.depthwise_kernel, layer.pointwise_kernel
        between = depthwise(tf.stop_gradient(x), tf.cast(w, x.dtype))
        between = linked([x], between, lambda P: linear_excitation(P, [(x, w, depthwise)]))
        output = call(tf.stop_gradient(x), *args, **kwargs)
        return linked([between], output, lambda P: linear_excitation(P, [(between, v, pointwise)]))

    return excited


def average(layer):
    """Returns the ``call`` of an average over places or times; its weights are >= 0, so positive inputs excite."""
    call = layer.call

    def excited(x, *args, **kwargs):
        def share(P):
            return excitation(P, lambda x: call(x, *args, **kwargs), [tf.nn.relu(tf.cast(x, tf.float32))])

        return linked([x], call(tf.stop_gradient(x), *args, **kwargs), share)

    return excited


def addition(operation):
    """Returns the ``call`` of a sum or mean of several inputs, e.g. of a residual block; positive inputs excite."""
    call = operation.call

    def excited(*inputs):
        flat = tf.nest.flatten(inputs)

        def share(P):
            positive = [tf.broadcast_to(tf.nn.relu(tf.cast(x, tf.float32)), tf.shape(P)) for x in flat]
            shares = excitation(P, lambda *parts: tf.add_n(parts), positive)
            return [summed_to(s, x) for s, x in zip(shares, flat, strict=True)]

        return linked(flat, call(*tf.nest.map_structure(tf.stop_gradient, inputs)), share)

    return excited


def one_to_one(layer):
    """Returns the ``call`` of a monotone function of each element, or of a normalisation; P stays at its element."""
    call = layer.call

    def excited(x, *args, **kwargs):
        return linked([x], call(tf.stop_gradient(x), *args, **kwargs), lambda P: [P])

    return excited


def product(operation):
    """Returns the ``call`` of a product or quotient: a constant gets nothing, of two tensors each gets half of P.

    A divisor gets nothing.
    """
    call = operation.call

    def excited(*inputs):
        given = tf.nest.flatten(inputs)
        flat = [x for x in given if tf.is_tensor(x)]
        if type(operation).__name__ in ("Divide", "TrueDivide"):
            flat = [x for x in given[:1] if tf.is_tensor(x)]

        def share(P):
            return [summed_to(P / len(flat), x) for x in flat]

        return linked(flat, call(*tf.nest.map_structure(_constant, inputs)), share)

    return excited


def _constant(x):
    return tf.stop_gradient(x) if tf.is_tensor(x) else x


SEPARABLE = (layers.SeparableConv1D, layers.SeparableConv2D)
DEPTHWISE = (layers.DepthwiseConv1D, layers.DepthwiseConv2D)
LINEAR = (layers.Dense, layers.Conv1D, layers.Conv2D, layers.Conv3D, *DEPTHWISE)

AVERAGES = (
    *(layers.AveragePooling1D, layers.AveragePooling2D, layers.AveragePooling3D),
    *(layers.GlobalAveragePooling1D, layers.GlobalAveragePooling2D, layers.GlobalAveragePooling3D),
)

ADDITIONS = (layers.Add, layers.Average)

ONE_TO_ONE = (
    *(layers.BatchNormalization, layers.LayerNormalization, layers.GroupNormalization),
    *(layers.Rescaling, layers.Normalization),
    *(layers.ReLU, layers.LeakyReLU, layers.PReLU, layers.ELU, layers.Activation),
)

# The gradient of these layers moves each value to the input that it came from, which is their rule.
ORDINARY = (
    *(layers.InputLayer, layers.Identity),
    *(layers.Dropout, layers.SpatialDropout1D, layers.SpatialDropout2D, layers.SpatialDropout3D),
    *(layers.AlphaDropout, layers.GaussianDropout, layers.GaussianNoise, layers.ActivityRegularization),
    *(layers.MaxPooling1D, layers.MaxPooling2D, layers.MaxPooling3D),
    *(layers.GlobalMaxPooling1D, layers.GlobalMaxPooling2D, layers.GlobalMaxPooling3D, layers.Maximum),
    *(layers.Concatenate, layers.Flatten, layers.Reshape, layers.Permute, layers.RepeatVector),
    *(layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D),
    *(layers.Cropping1D, layers.Cropping2D, layers.Cropping3D),
)
