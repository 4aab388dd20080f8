"""Excitation backprop: worked by hand, mass, recurrence in NumPy, what has no rule."""

from pathlib import Path

import keras
import numpy as np
import pytest
import toy_models
from keras import layers

from tfvid.core.errors import ModelError, TfvidError
from tfvid.data.sources.shapes import MovingShapes
from tfvid.explain.excitation.backprop import ContrastiveExcitationBackprop, ExcitationBackprop
from tfvid.metrics.localization import energy_in_boxes
from tfvid.models.cnn_lstm import CNNLSTM
from tfvid.models.conv_lstm import ConvLSTM
from tfvid.models.i3d import I3D
from tfvid.models.loading import load_model
from tfvid.models.r2plus1d import R2Plus1D

SAVED = Path(__file__).parents[2] / "saved_models"


def clip(*values):
    """One clip of frames of one grey pixel each."""
    return np.array(values, np.float32).reshape(1, -1, 1, 1, 1)


def model(*body, frames=2):
    return keras.Sequential([keras.Input((frames, 1, 1, 1)), *body])


def two_dense(w2):
    """x -> ReLU(x W1 + b1) -> h W2, W1 = [[1, -1], [1, 2]], b1 = (0.5, -1)."""
    first, second = layers.Dense(2, activation="relu"), layers.Dense(2, use_bias=False)
    net = model(layers.Flatten(), first, second)
    first.set_weights([np.array([[1, -1], [1, 2]], np.float32), np.array([0.5, -1], np.float32)])
    second.set_weights([np.array(w2, np.float32)])
    return net


def native(explain, clips, target=0):
    return explain(clips, target).native.reshape(len(clips), -1)


def test_two_dense_layers_by_hand():
    """x = (1, 2) gives h = (3.5, 2). Class 0 has weights (2, 1): 7 and 2 parts, P(h) = (7/9, 2/9). h_1 passes on 1 and
    2 parts of 3; h_2, of weights (-1, 2), all to x_2."""
    explain = ExcitationBackprop(two_dense([[2, 2], [1, -1]]))
    np.testing.assert_allclose(native(explain, clip(1, 2)), [[7 / 27, 20 / 27]], rtol=1e-5)
    np.testing.assert_allclose(native(explain, clip(1, 2), 1), [[1 / 3, 2 / 3]], rtol=1e-5)  # P(h) = (1, 0)


def test_inputs_below_zero_excite_through_negative_weights():
    """x = (-1, 2) gives h = (1.5, 4): h_1 is excited by x_2 alone, h_2 by 1 and 4 parts; P(h) = (3/7, 4/7)."""
    explain = ExcitationBackprop(two_dense([[2, 2], [1, -1]]))
    np.testing.assert_allclose(native(explain, clip(-1, 2)), [[4 / 35, 3 / 7 + 16 / 35]], rtol=1e-5)


def test_contrastive_by_hand():
    """Class 1 has weights (2, -1): P(h) = (1, 0) less (0, 1) of its opposite, so (1/3, 2/3) - (0, 1). Nothing excites
    the opposite of class 0."""
    explain = ContrastiveExcitationBackprop(two_dense([[2, 2], [1, -1]]))
    np.testing.assert_allclose(native(explain, clip(1, 2), 1), [[1 / 3, -1 / 3]], rtol=1e-5)
    np.testing.assert_allclose(explain(clip(1, 2), 1).attribution.ravel(), [1 / 3, 0], rtol=1e-5)
    np.testing.assert_allclose(native(explain, clip(1, 2), 0), [[7 / 27, 20 / 27]], rtol=1e-5)


def test_convolution_and_average_by_hand():
    """x = (1, 2, 3), kernel (1, 2): (5, 8), P = (5/13, 8/13) below the average; then 1 and 4 of 5, 2 and 6 of 8."""
    convolution, head = layers.Conv3D(1, (2, 1, 1), use_bias=False), layers.Dense(2, use_bias=False)
    net = model(convolution, layers.GlobalAveragePooling3D(), head, frames=3)
    convolution.set_weights([np.array([1, 2], np.float32).reshape(2, 1, 1, 1, 1)])
    head.set_weights([np.array([[1, -1]], np.float32)])
    np.testing.assert_allclose(native(ExcitationBackprop(net), clip(1, 2, 3)), [[1 / 13, 6 / 13, 6 / 13]], rtol=1e-5)


@pytest.mark.parametrize("add", [layers.Add(), lambda pair: pair[0] + pair[1]], ids=["layer", "operation"])
def test_a_sum_is_shared(add):
    """ReLU(3 x) + x for x = (1, 2) has parts 3 and 1 for the first pixel, 6 and 2 for the second; both paths end at
    the pixel. At the branch, its own part shows."""
    inputs = keras.Input((2, 1, 1, 1))
    branch = layers.Conv3D(1, 1, use_bias=False, activation="relu", name="branch")
    head = layers.Dense(2, use_bias=False)
    net = keras.Model(inputs, head(layers.Flatten()(add([branch(inputs), inputs]))))
    branch.set_weights([np.full((1, 1, 1, 1, 1), 3, np.float32)])
    head.set_weights([np.array([[1, -1], [2, -1]], np.float32)])  # P of the sum: 4 and 16 of 20
    np.testing.assert_allclose(native(ExcitationBackprop(net), clip(1, 2)), [[0.2, 0.8]], rtol=1e-5)
    np.testing.assert_allclose(native(ExcitationBackprop(net, "branch"), clip(1, 2)), [[0.15, 0.6]], rtol=1e-5)


# Through time, against the equations in NumPy, unit by unit.

X, UNITS = 2, 2
RNG = np.random.default_rng(3)
WX, WH = RNG.normal(0, 1, (X, 4 * UNITS)), RNG.normal(0, 1, (UNITS, 4 * UNITS))
BIAS, TOP = RNG.normal(0, 0.5, 4 * UNITS), RNG.normal(0, 1, (UNITS, 3))
FRAMES = RNG.normal(0, 1, (2, X))


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def shares(P, contributions):
    """Column j's P[j], split among the rows in proportion to what is positive there."""
    positive = np.maximum(contributions, 0)
    return (positive / np.maximum(positive.sum(0), 1e-30) * P).sum(1)


def forward():
    (x1, x2), steps, h, c = FRAMES, [], np.zeros(UNITS), np.zeros(UNITS)
    for x in (x1, x2):
        i, f, g, o = np.split(x @ WX + h @ WH + BIAS, 4)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        before, c = c, f * c + i * g
        steps.append((i, f, g, o, before, c))
        h = o * np.tanh(c)
    return steps, h


def signal_by_hand(target):
    ((i1, f1, g1, o1, _, c1), (i2, f2, g2, o2, _, c2)), h2 = forward()
    h1, wx, wh = o1 * np.tanh(c1), WX[:, 2 * UNITS : 3 * UNITS], WH[:, 2 * UNITS : 3 * UNITS]
    P_c2 = shares(np.ones(1), (h2 * TOP[:, target])[:, None])
    new, old = np.maximum(i2 * g2 * np.sign(c2), 0), np.maximum(f2 * c1 * np.sign(c2), 0)
    P_g2, P_c1 = P_c2 * new / (new + old), P_c2 * old / (new + old)
    excite = np.concatenate([FRAMES[1][:, None] * wx, h1[:, None] * wh]) * np.sign(g2)
    P_x2, P_h1 = np.split(shares(P_g2, excite), [X])
    P_x1 = shares(P_c1 + P_h1, FRAMES[0][:, None] * wx * np.sign(g1))
    return [P_x1.sum(), P_x2.sum()]


def gradient_by_hand(target):
    steps, h2 = forward()
    P_h, P_c, result = shares(np.ones(1), (h2 * TOP[:, target])[:, None]), np.zeros(UNITS), []
    for t in (1, 0):
        i, f, g, o, before, c = steps[t]
        d_c = P_c + P_h * o * (1 - np.tanh(c) ** 2)
        d_o = P_h * np.tanh(c) * o * (1 - o)
        P_z = np.concatenate([d_c * g * i * (1 - i), d_c * before * f * (1 - f), d_c * i * (1 - g**2), d_o])
        h = steps[0][3] * np.tanh(steps[0][5]) if t else np.zeros(UNITS)
        excite = np.concatenate([FRAMES[t][:, None] * WX, h[:, None] * WH])
        P_x, P_h = np.split(shares(P_z, excite), [X])
        P_c = d_c * f
        result.insert(0, P_x.sum())
    return result


def recurrent_model(kind):
    head = layers.Dense(3, use_bias=False)
    if kind == "lstm":
        layer = layers.LSTM(UNITS)
        net = keras.Sequential([keras.Input((2, 1, 1, X)), layers.Reshape((2, X)), layer, head])
        weights = [WX, WH, BIAS]
    else:
        layer = layers.ConvLSTM2D(UNITS, 1, recurrent_activation="sigmoid", name="cells")
        net = keras.Sequential([keras.Input((2, 1, 1, X)), layer, layers.Flatten(), head])
        weights = [WX[None, None], WH[None, None], BIAS]
    layer.set_weights([w.astype(np.float32) for w in weights])
    head.set_weights([TOP.astype(np.float32)])
    return net


@pytest.mark.parametrize("kind", ["lstm", "conv_lstm"])
@pytest.mark.parametrize("gates, by_hand", [("signal", signal_by_hand), ("gradient", gradient_by_hand)])
def test_two_recurrent_steps_by_hand(kind, gates, by_hand):
    net, clips = recurrent_model(kind), FRAMES.reshape(1, 2, 1, 1, X).astype(np.float32)
    explain = ExcitationBackprop(net, gates=gates)
    for target in range(3):
        np.testing.assert_allclose(native(explain, clips, target)[0], by_hand(target), atol=1e-5)
        np.testing.assert_allclose(explain(clips, target).score, net(clips)[:, target], atol=1e-5)
    if gates == "signal":
        np.testing.assert_allclose(sum(by_hand(0)), 1)


NETWORKS = {
    "i3d": lambda: I3D(3, 4, (32, 32), width=0.125, depth=1),
    "conv_lstm": lambda: ConvLSTM(3, 4, (32, 32), blocks=2, filters=4),
    "r2plus1d": lambda: R2Plus1D(3, 4, (32, 32), blocks=(1, 1), temporal_strides=(1, 2), width=0.125),
    "cnn_lstm": lambda: CNNLSTM(3, 4, (32, 32), blocks=(1, 1), width=0.125, units=8),
}
LAYERS = {
    "i3d": "Conv3d_2c_3x3",
    "conv_lstm": "conv_lstm_1",
    "r2plus1d": "stage1_block1",
    "cnn_lstm": "stage1_block1",
}


@pytest.mark.parametrize("name", NETWORKS)
def test_mass_is_conserved(name):
    """At the clip, at a layer, and at the clip's resolution; nothing is below zero; scores are the model's."""
    keras.utils.set_random_seed(0)
    net, clips = NETWORKS[name](), np.random.default_rng(0).random((2, 4, 32, 32, 3), np.float32)
    for layer in (None, LAYERS[name]):
        result = ExcitationBackprop(net, layer)(clips, 1)
        np.testing.assert_allclose(result.native.sum(axis=(1, 2, 3)), 1, atol=2e-3)
        np.testing.assert_allclose(result.attribution.sum(axis=(1, 2, 3)), result.native.sum(axis=(1, 2, 3)), rtol=1e-3)
        assert result.native.min() >= 0 and result.attribution.shape == (2, 4, 32, 32)
    np.testing.assert_allclose(result.score, net(clips)[:, 1], atol=1e-4)


def test_contrastive_sums_to_zero():
    net, clips = toy_models.build("functional"), toy_models.clips(2)
    result = ContrastiveExcitationBackprop(net)(clips)
    np.testing.assert_allclose(result.native.sum(axis=(1, 2, 3)), 0, atol=1e-5)
    assert result.native.min() < -1e-4
    np.testing.assert_allclose(result.attribution, np.maximum(result.native, 0), atol=1e-7)


def test_what_only_a_bias_excites_keeps_its_mass():
    """h = 1 from its bias alone: nothing below excites it."""
    first, second = layers.Dense(1), layers.Dense(2, use_bias=False)
    net = model(layers.Flatten(), first, second)
    first.set_weights([np.array([[-1], [-1]], np.float32), np.array([4], np.float32)])
    second.set_weights([np.array([[1, 2]], np.float32)])
    np.testing.assert_array_equal(native(ExcitationBackprop(net), clip(1, 2)), [[0, 0]])


def test_products_and_quotients_by_hand():
    """x = (1, 2) / 4 has P = (1/3, 2/3) by weights of 1; in x y, x and y = 3 x get half each."""
    for scale in (lambda x: x / 4.0, lambda x: x * 0.25, lambda x: x * (3.0 * x) / 4.0):
        inputs, head = keras.Input((2, 1, 1, 1)), layers.Dense(2, use_bias=False)
        net = keras.Model(inputs, head(layers.Flatten()(scale(inputs))))
        head.set_weights([np.array([[1, -1], [1, -1]], np.float32)])
        value = np.array([scale(x) for x in (1, 2)])
        np.testing.assert_allclose(native(ExcitationBackprop(net), clip(1, 2)), [value / value.sum()], rtol=1e-5)


def test_depthwise_convolution_by_hand():
    """Two channels (1, 2) with weights (3, 1) give (3, 2): P = (3/5, 2/5), each back to its channel's frame."""
    depthwise, head = layers.DepthwiseConv2D(1, use_bias=False), layers.Dense(2, use_bias=False)
    net = keras.Sequential([keras.Input((2, 1, 1, 1)), layers.Reshape((1, 1, 2)), depthwise, layers.Flatten(), head])
    depthwise.set_weights([np.array([3, 1], np.float32).reshape(1, 1, 2, 1)])
    head.set_weights([np.array([[1, -1], [1, -1]], np.float32)])
    np.testing.assert_allclose(native(ExcitationBackprop(net), clip(1, 2)), [[0.6, 0.4]], rtol=1e-5)


@keras.saving.register_keras_serializable("toys")
class Block(layers.Layer):
    """A user's layer that leaves the work to layers, or adds by itself."""

    def __init__(self, add):
        super().__init__()
        self.conv, self.add, self.by_itself = layers.Conv3D(3, 1, activation="relu"), layers.Add(), not add

    def build(self, shape):
        self.conv.build(shape)

    def call(self, inputs):
        features = self.conv(inputs)
        return inputs + features if self.by_itself else self.add([inputs, features])


def test_a_layer_of_ones_own():
    clips = toy_models.clips(2)
    result = ExcitationBackprop(keras.Sequential([Block(add=True), layers.Flatten(), layers.Dense(3)]))(clips)
    np.testing.assert_allclose(result.native.sum(axis=(1, 2, 3)), 1, atol=1e-4)
    with pytest.raises(ModelError, match="sum to 1, got .*outside of layers; use Add layers, or use lrp"):
        ExcitationBackprop(keras.Sequential([Block(add=False), layers.Flatten(), layers.Dense(3)]))(clips)
    with pytest.raises(ModelError, match="sum to 1, got .*outside of layers"):
        ContrastiveExcitationBackprop(keras.Sequential([Block(add=False), layers.Flatten(), layers.Dense(3)]))(clips)


class Weighing(layers.Layer):
    def build(self, shape):
        self.w = self.add_weight(shape=(shape[-1], 3))

    def call(self, inputs):
        return keras.ops.matmul(inputs, self.w)


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_a_separable_convolution_is_its_two_parts(padding):
    """Its map is that of a depthwise layer and a convolution of size 1; no probability is lost.

    With "same", a corner may see four negative weights only, so nothing excites it.
    """
    inputs, options = keras.Input(toy_models.SHAPE), {"use_bias": False, "depthwise_initializer": "random_normal"}
    separable = layers.SeparableConv2D(5, 3, padding=padding, depth_multiplier=2, **options)
    parts = layers.DepthwiseConv2D(3, padding=padding, depth_multiplier=2, use_bias=False), layers.Conv2D(5, 1)
    head = layers.Dense(3, use_bias=False)
    whole = keras.Model(inputs, head(layers.Flatten()(layers.TimeDistributed(separable)(inputs))))
    x = layers.TimeDistributed(parts[1])(layers.TimeDistributed(parts[0])(inputs))
    split = keras.Model(inputs, head(layers.Flatten()(x)))
    parts[0].set_weights(separable.get_weights()[:1])
    parts[1].set_weights([separable.get_weights()[1], np.zeros(5)])
    clips = toy_models.clips(2)
    found, expected = (ExcitationBackprop(model)(clips, 1).native for model in (whole, split))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    if padding == "valid":
        np.testing.assert_allclose(found.sum(axis=(1, 2, 3)), 1, atol=1e-5)


def test_attention_is_named():
    inputs = keras.Input(toy_models.SHAPE)
    tokens = layers.Reshape((6, 192))(inputs)
    x = layers.MultiHeadAttention(2, 4, name="mixing")(tokens, tokens)
    message = r"^layer 'mixing' \(MultiHeadAttention\): excitation .* no rule for it; use lrp, occlusion or rise$"
    with pytest.raises(ModelError, match=message):
        ExcitationBackprop(keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x))))(toy_models.clips(1))


def test_what_has_no_rule_is_named():
    clips = toy_models.clips(2)
    flat, frames = layers.Flatten(), layers.Reshape((6, 192))
    inputs = keras.Input(toy_models.SHAPE)
    for body, message in [
        (
            [frames, layers.GRU(4, name="memory"), layers.Dense(3)],
            r"layer 'memory' \(GRU\): .* no rule for it; use lrp, occ",
        ),
        ([flat, Weighing(name="mine")], r"layer 'mine' \(Weighing\)"),
        ([layers.Conv3DTranspose(3, 1, name="up"), flat, layers.Dense(3)], r"layer 'up' \(Conv3DTranspose\)"),
        (
            [frames, layers.LSTM(4, go_backwards=True, name="back"), layers.Dense(3)],
            r"'back' \(LSTM\): .* go_backwards",
        ),
        ([layers.Reshape((-1, 192)), layers.Masking(), layers.LSTM(4), layers.Dense(3)], r"'masking.*' \(Masking\)"),
        ([frames, layers.LSTM(3, name="last")], "contrastive .* expects a dense layer or a convolution"),
    ]:
        explain = ContrastiveExcitationBackprop if "contrastive" in message else ExcitationBackprop
        with pytest.raises(ModelError, match=message):
            explain(keras.Sequential([keras.Input(toy_models.SHAPE), *body]))(clips)
    difference = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(inputs - inputs * inputs)))
    with pytest.raises(ModelError, match=r"layer 'subtract.*' \(Subtract\)"):
        ExcitationBackprop(difference)(clips)
    with pytest.raises(TfvidError, match="unknown gates 'none'"):
        ExcitationBackprop(difference, gates="none")


class SoftmaxInCall(toy_models.Subclassed):
    def call(self, inputs):
        return keras.ops.softmax(super().call(inputs))


def test_a_softmax_that_hides_the_logits():
    with pytest.raises(ModelError, match="a softmax written in the model's call hides"):
        ExcitationBackprop(SoftmaxInCall())(toy_models.clips(2))


@pytest.mark.long
@pytest.mark.parametrize("name", ["shapes_i3d", "shapes_conv_lstm", "shapes_r2plus1d", "shapes_cnn_lstm"])
def test_trained_networks_look_at_the_objects(name):
    """Down to the clip, at least twice the energy in the objects' boxes that an even map has."""
    dataset = MovingShapes()
    samples = dataset.samples("validation")[::40]
    clips = [dataset.read(sample, 16, (64, 64)) for sample in samples]
    frames = np.stack([clip.frames for clip in clips]).astype(np.float32) / 255
    boxes = np.stack([clip.boxes for clip in clips])
    net = load_model(SAVED / name)
    result = ExcitationBackprop(net)(frames, [sample.label for sample in samples])
    mass = result.native.sum(axis=(1, 2, 3))
    assert mass.min() > 0.8 and mass.max() < 1.001  # what only batch norm excites is lost
    even = energy_in_boxes(np.ones_like(result.attribution), boxes).mean()
    assert energy_in_boxes(result.attribution, boxes).mean() > 2 * even
