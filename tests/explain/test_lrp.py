"""LRP: every rule in float64 NumPy, conservation for every kind of layer, what has no rule."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import toy_models
from keras import layers, ops

from tfvid.core.errors import ModelError, TfvidError
from tfvid.explain.lrp.explainer import LRP

RNG = np.random.default_rng(5)
FRAMES = 3
X = np.array([[0.8, 0.0, 0.5]])  # one clip of frames of one grey pixel each
W1, B1 = RNG.normal(0, 1, (FRAMES, 4)), RNG.normal(0, 0.5, 4)
W2, B2 = RNG.normal(0, 1, (4, 2)), RNG.normal(0, 0.5, 2)
EPSILON = 1e-9


def model(*body, frames=FRAMES, channels=1):
    return keras.Sequential([keras.Input((frames, 1, 1, channels)), *body])


def relevance(net, clips=X, composite="epsilon", target=1, **options):
    clips = np.float32(clips).reshape(len(clips), *net.input_shape[1:])
    return LRP(net, composite, **{"epsilon": EPSILON, **options})(clips, target)


def set_weights(layer, *weights):
    layer.set_weights([np.reshape(w, own.shape) for w, own in zip(weights, layer.weights, strict=True)])
    return layer


# The rules in NumPy: `c` has a row for each input and one for the bias, a column for each output.


def epsilon(c, R):
    return c / c.sum(0) * R


def z_plus(c, R):
    return np.maximum(c, 0) / np.maximum(np.maximum(c, 0).sum(0), 1e-30) * R


def alpha2_beta1(c, R):
    above, below = np.maximum(c, 0), np.minimum(c, 0)
    return (2 * above / np.maximum(above.sum(0), 1e-30) - below / np.minimum(below.sum(0), -1e-30)) * R


def gamma(c, R):
    same = np.maximum(c * np.sign(c.sum(0)), 0) * np.sign(c.sum(0))
    return (c + 0.25 * same) / (c + 0.25 * same).sum(0) * R


def by_hand(first, x, target=1):
    """Relevance of x in ReLU(x W1 + B1) W2 + B2 by `first` and the epsilon rule."""
    z = x @ W1 + B1
    h = np.maximum(z, 0)
    R = epsilon(np.vstack([h[:, None] * W2, B2])[:, [target]], (h @ W2 + B2)[target])[:-1, 0]
    return first(np.vstack([x[:, None] * W1, B1]), R)[:-1].sum(1)


def two_layers(kind):
    """A convolution over all frames, or a dense layer; ReLU; a dense layer."""
    first = layers.Conv3D(4, (FRAMES, 1, 1)) if kind == "convolution" else layers.Dense(4)
    before = [] if kind == "convolution" else [layers.Flatten()]
    head = layers.Dense(2)
    net = model(*before, first, layers.ReLU(), layers.Flatten(), head)
    set_weights(first, W1, B1), set_weights(head, W2, B2)
    return net


@pytest.mark.parametrize(
    "composite, rule",
    [("epsilon", epsilon), ("epsilon_plus", z_plus), ("epsilon_alpha2_beta1", alpha2_beta1)],
)
@pytest.mark.parametrize("x", [X, X - 0.4], ids=["positive", "signed"])
def test_rules_of_a_convolution_by_hand(composite, rule, x):
    result = relevance(two_layers("convolution"), x, composite, input_range=None)
    expected = by_hand(rule, x[0])
    np.testing.assert_allclose(result.attribution.ravel(), expected, atol=1e-5)
    np.testing.assert_allclose(result.attributed, expected.sum(), atol=1e-5)
    np.testing.assert_allclose(result.absorbed, result.score - expected.sum(), atol=1e-5)


def test_dense_layers_have_the_epsilon_rule():
    result = relevance(two_layers("dense"), composite="epsilon_plus")
    np.testing.assert_allclose(result.attribution.ravel(), by_hand(epsilon, X[0]), atol=1e-5)


def test_epsilon_dampens():
    """Dense, z = 2 * 0.8 = 1.6 with epsilon 0.4: 1.6 * 1.6 / 2."""
    head = layers.Dense(2, use_bias=False)
    net = model(layers.Flatten(), head, frames=1)
    set_weights(head, [[1.0, 2.0]])
    np.testing.assert_allclose(relevance(net, [[0.8]], epsilon=0.4).attribution.ravel(), [1.28], rtol=1e-5)


def two_convolutions():
    """A convolution of each pixel, then one over all frames, so that the second is not the first layer."""
    scale, first, head = layers.Conv3D(1, 1, use_bias=False), layers.Conv3D(4, (FRAMES, 1, 1)), layers.Dense(2)
    net = model(scale, first, layers.ReLU(), layers.Flatten(), head)
    set_weights(scale, [1.0]), set_weights(first, W1, B1), set_weights(head, W2, B2)
    return net


@pytest.mark.parametrize("x", [X, X - 0.4], ids=["positive", "signed"])
def test_gamma_by_hand(x):
    """Box rule and identity in the first layer: of one input each, which gets all."""
    result = relevance(two_convolutions(), x, "epsilon_gamma_box", input_range=None, box=(-1, 1.5))
    np.testing.assert_allclose(result.attribution.ravel(), by_hand(gamma, x[0]), atol=1e-5)


def test_box_and_flat_by_hand():
    """z^B between 0 and 1 gives black pixels their share of negative weights; flat gives all pixels the same."""
    net, z = two_layers("convolution"), X[0] @ W1 + B1
    R = epsilon(np.vstack([np.maximum(z, 0)[:, None] * W2, B2])[:, [1]], (np.maximum(z, 0) @ W2 + B2)[1])[:-1, 0]
    c = X[0][:, None] * W1 - np.minimum(W1, 0)
    expected = (c / c.sum(0) * R).sum(1)
    np.testing.assert_allclose(relevance(net, X, "epsilon_gamma_box").attribution.ravel(), expected, atol=1e-5)
    assert abs(expected[1]) > 1e-3  # the black frame
    even = relevance(net, X, "epsilon_plus_flat").attribution.ravel()
    np.testing.assert_allclose(even, [R.sum() / FRAMES] * FRAMES, atol=1e-5)


def test_the_box_is_scaled_as_clips_are():
    """Pixels are 2 x - 1 for the convolution, so the box is (-1, 1); scaled pixels keep their relevance."""
    plain, scaled = two_layers("convolution"), None
    scaled = keras.Sequential([keras.Input((FRAMES, 1, 1, 1)), layers.Rescaling(2.0, -1.0), *plain.layers])
    for composite in ("epsilon_gamma_box", "epsilon", "epsilon_plus_flat"):
        inside = relevance(plain, 2 * X - 1, composite, box=(-1, 1), input_range=None).attribution
        for net, options in ((scaled, {"input_range": None}), (plain, {"input_range": (-1, 1)})):
            np.testing.assert_allclose(relevance(net, X, composite, **options).attribution, inside, atol=1e-5)


def test_batch_norm_is_merged_into_the_convolution():
    """For all rules: a network with a norm of negative scale has the maps of the network with merged weights."""
    first, norm, head = layers.Conv3D(4, (FRAMES, 1, 1)), layers.BatchNormalization(), layers.Dense(2)
    net = model(first, norm, layers.ReLU(), layers.Flatten(), head)
    scale, shift = np.array([1.5, -0.5, 2.0, -1.0]), np.array([0.1, 0.2, -0.3, 0.4])
    set_weights(norm, scale * np.sqrt(1 + norm.epsilon), shift, np.full(4, 0.3), np.ones(4))
    set_weights(first, W1 / scale, (B1 - shift) / scale + 0.3), set_weights(head, W2, B2)
    for composite in ("epsilon", "epsilon_plus", "epsilon_alpha2_beta1", "epsilon_gamma_box", "epsilon_plus_flat"):
        merged = relevance(two_layers("convolution"), X, composite).attribution
        np.testing.assert_allclose(relevance(net, X, composite).attribution, merged, atol=1e-5, err_msg=composite)


@pytest.mark.parametrize("order, groups", [("channels_first", 1), ("channels_last", 2)])
def test_compiled_convolutions_have_the_rules_of_plain_ones(order, groups):
    """Keras compiles 3-D convolutions that are channels-first or in groups; a plain one has zeros between groups."""
    kernel, bias = RNG.normal(0, 1, (2, 1, 1, 4 // groups, 4)), RNG.normal(0, 0.5, 4)
    zeros = np.zeros((2, 1, 1, 2, 2))
    blocks = np.concatenate([kernel[..., :2], zeros], -2), np.concatenate([zeros, kernel[..., 2:]], -2)
    full = kernel if groups == 1 else np.concatenate(blocks, -1)
    nets = []
    for weights, axes, count in ((full, "channels_last", 1), (kernel, order, groups)):
        first, norm, head = layers.Conv3D(4, (2, 1, 1), data_format=axes, groups=count), None, layers.Dense(2)
        norm = layers.BatchNormalization(-1 if axes == "channels_last" else 1)
        permuted = [layers.Permute((4, 1, 2, 3))] if axes == "channels_first" else []
        back = [layers.Permute((2, 3, 4, 1))] if permuted else []
        net = model(layers.Conv3D(4, 1), layers.ReLU(), *permuted, first, norm, *back, layers.Flatten(), head)
        set_weights(first, weights, bias), set_weights(head, np.arange(16) / 8 - 1, [0.0, 0.1])
        set_weights(norm, [1.5, -0.5, 2.0, -1.0], [0.1, 0.2, -0.3, 0.4], np.full(4, 0.3), np.ones(4))
        set_weights(net.layers[0], [1.0, -0.5, 2.0, 0.3], [0.0, 0.6, 0.1, 0.2])
        nets.append(net)
    plain, compiled = (relevance(net, X, "epsilon_gamma_box").attribution for net in nets)
    np.testing.assert_allclose(compiled, plain, atol=1e-5)


# Products, softmax, normalisation, recurrence: in NumPy.


def functional(make, width=4, units=2):
    """x W1, then `make` of it, then a dense layer without bias."""
    inputs = keras.Input((FRAMES, 1, 1, 1))
    first, head = layers.Dense(width, use_bias=False), layers.Dense(units, use_bias=False)
    net = keras.Model(inputs, head(make(first(layers.Flatten()(inputs)))))
    set_weights(first, W1), set_weights(head, W2)
    return net


def test_softmax_inside():
    """R_i = z_i (R'_i - s_i sum R') for R' = s v."""
    z, v = X[0] @ W1, W2[:, 1]
    s = np.exp(z) / np.exp(z).sum()
    R = z * (s * v - s * (s * v).sum())
    result = relevance(functional(layers.Softmax()))
    np.testing.assert_allclose(result.attribution.ravel(), epsilon(X[0][:, None] * W1, R).sum(1), atol=1e-5)


def test_a_product_gives_half_to_each():
    other = layers.Dense(4, use_bias=False)
    net = functional(lambda z: z * other(z))
    set_weights(other, RNG.normal(0, 1, (4, 4)))
    z, v, w = X[0] @ W1, W2[:, 1], other.kernel.numpy()
    R = z * (z @ w) * v
    R_z = R / 2 + epsilon(z[:, None] * w, R / 2).sum(1)
    np.testing.assert_allclose(relevance(net).attribution.ravel(), epsilon(X[0][:, None] * W1, R_z).sum(1), atol=1e-4)


@pytest.mark.parametrize("curve", ["gelu", "silu", "tanh", "sigmoid", "softplus", "relu6", "leaky_relu", "mish"])
def test_an_activation_keeps_relevance(curve):
    z = X[0] @ W1
    y = keras.activations.get(curve)(z.astype(np.float32)).numpy()
    result = relevance(functional(layers.Activation(curve)))
    expected = epsilon(X[0][:, None] * W1, y * W2[:, 1]).sum(1)
    np.testing.assert_allclose(result.attribution.ravel(), expected, atol=1e-4)


def test_layer_norm_by_hand():
    """y = g (z - mean) / s with s as a constant: R = z (m - mean m), m = g v / s."""
    norm = layers.LayerNormalization(center=False)
    net = functional(norm)
    set_weights(norm, [1.0, -2.0, 0.5, 3.0])
    z = X[0] @ W1
    m = norm.gamma.numpy() * W2[:, 1] / np.sqrt(z.var() + norm.epsilon)
    expected = epsilon(X[0][:, None] * W1, z * (m - m.mean())).sum(1)
    np.testing.assert_allclose(relevance(net).attribution.ravel(), expected, atol=1e-5)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def lstm_by_hand(x, wx, wh, b, v):
    """Two steps; gates are constants. Returns the relevance of x[0] and x[1]."""
    h, c, steps = np.zeros(2), np.zeros(2), []
    for now in x:
        i, f, g, o = np.split(now @ wx + h @ wh + b, 4)
        i, f, o, before = sigmoid(i), sigmoid(f), sigmoid(o), c
        signal = np.vstack([now[:, None] * wx[:, 4:6], h[:, None] * wh[:, 4:6], b[4:6]])
        c = f * before + i * np.tanh(g)
        steps.append((signal, f * before, i * np.tanh(g)))
        h = o * np.tanh(c)
    (first, _, _), (second, kept, new) = steps
    R_c = h * v
    R_second = epsilon(second, R_c * new / (kept + new))
    R_first = epsilon(first, R_c * kept / (kept + new) + R_second[2:4].sum(1))
    return [R_first[:2].sum(), R_second[:2].sum()]


def gru_by_hand(x, wx, wh, b, v):
    """h = z h' + (1 - z) tanh(x Wx + r (h' Wh + b2) + b1); gates z and r are constants."""
    h, steps = np.zeros(2), []
    for now in x:
        of_x, of_h = now @ wx + b[0], h @ wh + b[1]
        z, r = sigmoid(of_x[:2] + of_h[:2]), sigmoid(of_x[2:4] + of_h[2:4])
        signal = np.vstack([now[:, None] * wx[:, 4:], r * h[:, None] * wh[:, 4:], b[0, 4:] + r * b[1, 4:]])
        new = np.tanh(signal.sum(0))
        steps.append((signal, z * h, (1 - z) * new))
        h = z * h + (1 - z) * new
    (first, _, _), (second, kept, new) = steps
    R = h * v
    R_second = epsilon(second, R * new / h)
    R_first = epsilon(first, R * kept / h + R_second[2:4].sum(1))
    return [R_first[:2].sum(), R_second[:2].sum()]


@pytest.mark.parametrize("kind", ["lstm", "conv_lstm", "gru"])
def test_two_recurrent_steps_by_hand(kind):
    gates, rng = (3 if kind == "gru" else 4), np.random.default_rng(3)
    wx, wh, v = rng.normal(0, 1, (2, 2 * gates)), rng.normal(0, 1, (2, 2 * gates)), rng.normal(0, 1, (2, 2))
    b = rng.normal(0, 0.5, (2, 2 * gates) if kind == "gru" else 2 * gates)
    head = layers.Dense(2, use_bias=False)
    if kind == "conv_lstm":
        layer = layers.ConvLSTM2D(2, 1, recurrent_activation="sigmoid")
        net = model(layer, layers.Flatten(), head, frames=2, channels=2)
    else:
        layer = layers.LSTM(2) if kind == "lstm" else layers.GRU(2)
        net = model(layers.Reshape((2, 2)), layer, head, frames=2, channels=2)
    set_weights(layer, wx, wh, b), set_weights(head, v)
    x = rng.random((2, 2))
    expected = (gru_by_hand if kind == "gru" else lstm_by_hand)(x, wx, wh, b, v[:, 1])
    np.testing.assert_allclose(relevance(net, x[None]).attribution.ravel(), expected, atol=1e-5)


# Conservation.

FREE = {"use_bias": False}


@keras.saving.register_keras_serializable("toys")
class Residual(layers.Layer):
    """Adds and scales by itself."""

    def __init__(self):
        super().__init__()
        self.conv = layers.Conv3D(3, 1, activation="relu", **FREE)

    def call(self, inputs):
        return (inputs + self.conv(inputs)) / 2.0


def attention():
    inputs = keras.Input((4, 6))
    attend = layers.MultiHeadAttention(2, 3, **FREE)
    return keras.Model(inputs, inputs + attend(inputs, inputs))


def frames(layer):
    return layers.TimeDistributed(layer)


BODIES = {
    "conv1d": lambda: [layers.Reshape((48, 24)), layers.Conv1D(4, 3, dilation_rate=2, activation="relu", **FREE)],
    "conv2d": lambda: [frames(layers.Conv2D(4, 3, strides=2, activation="relu", **FREE))],
    "conv3d": lambda: [layers.Conv3D(4, 3, padding="same", activation="gelu", **FREE)],
    "depthwise": lambda: [frames(layers.DepthwiseConv2D(3, depth_multiplier=2, activation="silu", **FREE))],
    "separable": lambda: [frames(layers.SeparableConv2D(4, 3, activation="tanh", **FREE))],
    "transposed": lambda: [layers.Conv3DTranspose(4, 2, strides=2, activation="relu", **FREE)],
    "pools": lambda: [layers.MaxPooling3D(2), layers.AveragePooling3D((1, 2, 2)), frames(layers.MaxPooling2D(2))],
    "norm": lambda: [layers.Conv3D(4, 2, **FREE), layers.BatchNormalization(center=False)],
    "bidirectional": lambda: [layers.Reshape((6, -1)), layers.Bidirectional(layers.LSTM(4, **FREE))],
    "gru": lambda: [layers.Reshape((6, -1)), layers.GRU(4, **FREE)],
    "conv_lstm": lambda: [layers.ConvLSTM2D(4, 3, return_sequences=True, unit_forget_bias=False)],
    "own layer": lambda: [Residual()],
}


RECURRENT = {"bidirectional", "gru", "conv_lstm"}  # what pools their features has no part in their rules


@pytest.mark.parametrize(
    ("name", "pooling"),
    [
        pytest.param(name, pooling, marks=pytest.mark.long if pooling == "max" and name in RECURRENT else [])
        for name in BODIES
        for pooling in ("average", "max")
    ],
)
def test_without_biases_maps_sum_to_the_logit(name, pooling):
    keras.utils.set_random_seed(2)
    net = keras.Sequential([keras.Input(toy_models.SHAPE), *BODIES[name]()])
    shape = {"average": "GlobalAveragePooling", "max": "GlobalMaxPooling"}[pooling]
    rank = len(net.output_shape) - 2
    pool = [getattr(layers, f"{shape}{rank}D")()] if rank else []
    net = keras.Sequential([*net.layers, *pool, layers.Dense(3, kernel_initializer="ones", **FREE)])
    for composite in ("epsilon", "epsilon_gamma_box"):
        result = LRP(net, composite, epsilon=1e-12)(toy_models.clips(2), 1)
        np.testing.assert_allclose(result.attributed, result.score, rtol=1e-5, err_msg=composite)
        np.testing.assert_allclose(result.attribution.sum(axis=(1, 2, 3)), result.score, rtol=1e-5)
        assert np.abs(result.score).min() > 1e-3


def test_attention_keeps_what_the_softmax_does_not_absorb():
    """With equal keys the softmax passes nothing on, so all relevance of the values' half is in the map."""
    keras.utils.set_random_seed(0)
    net = attention()
    net = keras.Sequential(
        [keras.Input((4, 1, 1, 6)), layers.Reshape((4, 6)), net, layers.Flatten(), layers.Dense(2, **FREE)]
    )
    clips = np.random.default_rng(0).random((2, 4, 1, 1, 6), np.float32)
    result = LRP(net, "epsilon", epsilon=1e-9)(clips, 1)
    head = net.layers[-1].kernel.numpy()[:, 1].reshape(4, 6)
    x = clips.reshape(2, 4, 6)
    inner = next(layer for layer in net.layers[1].layers if isinstance(layer, layers.MultiHeadAttention))
    attended = inner(x, x).numpy()
    weights = inner(x, x, return_attention_scores=True)[1].numpy()
    assert weights.std() > 1e-3
    direct, by_attention = (x * head).sum((1, 2)), (attended * head).sum((1, 2))
    through_softmax = softmax_part(inner, x, head)
    np.testing.assert_allclose(result.attributed, direct + by_attention / 2 + through_softmax, atol=1e-5)


def softmax_part(attend, x, head):
    """The sum of the relevance that passes the softmax: z (R - s sum R), where R is half of s's part of the output."""
    (wq, wk, wv, wo), totals = [w.numpy().astype(float) for w in attend.weights], []
    for one in x.astype(float):
        q, k, v = (np.einsum("nd,dhe->hne", one, w) for w in (wq, wk, wv))
        z = np.einsum("hne,hme->hnm", q, k) / np.sqrt(3)
        s = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
        R = s * np.einsum("hme,hed,nd->hnm", v, wo, head) / 2
        totals.append((z * (R - s * R.sum(-1, keepdims=True))).sum())
    return totals


def test_scores_and_the_model_stay_as_they_are():
    net, clips = toy_models.build("per_frame"), toy_models.clips(2)
    before = [vars(layer).get("call") for layer in net.layers]
    np.testing.assert_allclose(LRP(net)(clips, 1).score, net(clips)[:, 1], atol=1e-5)
    assert [vars(layer).get("call") for layer in net.layers] == before
    assert not net.layers[-2].unroll and net.layers[-2].cell.recurrent_activation is keras.activations.sigmoid


def test_what_has_no_rule_is_named():
    clips = toy_models.clips(2)

    class Powers(layers.Layer):
        def call(self, x):
            return tf.math.cumprod(x, axis=1)

    net = keras.Sequential([keras.Input(toy_models.SHAPE), Powers(name="mine"), layers.Flatten(), layers.Dense(3)])
    with pytest.raises(ModelError, match=r"^layer 'mine' \(Powers\): LRP has no rule for its operation Cumprod; use "):
        LRP(net)(clips)

    class SoftmaxInCall(toy_models.Subclassed):
        def call(self, inputs):
            return ops.softmax(super().call(inputs))

    with pytest.raises(ModelError, match="a softmax written in the model's call hides"):
        LRP(SoftmaxInCall())(clips)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"composite": "epsilon_pluss"}, "unknown composite 'epsilon_pluss'; did you mean 'epsilon_plus'"),
        ({"epsilon": 0}, "expected epsilon > 0 and gamma >= 0, got 0"),
        ({"gamma": -1}, "expected epsilon > 0 and gamma >= 0"),
        ({"box": (1, 0)}, r"expected box=\(low, high\) with low < high"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(TfvidError, match=message):
        LRP(toy_models.build("functional"), **options)
