"""How features lie on the clip: what the graph says against what the gradient shows."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import toy_models
import video_transformers
from keras import layers, ops
from video_transformers import GRID, SHAPE, TUBELET, WIDTH, ClassToken

from tfvid.core.errors import TfvidError
from tfvid.network.attention import find_attention
from tfvid.network.feature_map import check_tokens, trace_features
from tfvid.network.tracing import watched


def function(call, **options):
    """Tokens of a clip, made by any code, and a head."""

    class Made(layers.Layer):
        def call(self, x):
            return call(x)

    inputs = keras.Input(SHAPE)
    x = layers.Conv3D(WIDTH, TUBELET, strides=TUBELET, name="tubelets")(inputs)
    x = Made(name="made", **options)(x)
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


def patches(x):
    """Patches without a convolution: (b (t p) (h q) (w r) c) -> (b (t h w) (p q r c)), then a linear map."""
    x = ops.reshape(x, (-1, 2, 2, 2, 4, 2, 4, 1))
    return ops.reshape(ops.transpose(x, (0, 1, 3, 5, 2, 4, 6, 7)), (-1, 8, 32)) @ ops.ones((32, WIDTH))


def of_patches():
    class Patches(layers.Layer):
        def call(self, x):
            return patches(x)

    inputs = keras.Input(SHAPE)
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(Patches(name="made")(inputs))))


class ConvFirst(layers.Layer):
    """A channels-first tubelet convolution, and tokens of it."""

    def __init__(self, as_tokens, **options):
        super().__init__(**options)
        self.conv = layers.Conv3D(WIDTH, TUBELET, strides=TUBELET, data_format="channels_first", name="conv")
        self.as_tokens = as_tokens

    def build(self, shape):
        self.conv.build((None, 1, *SHAPE[:3]))

    def call(self, x):
        x = self.conv(ops.transpose(x, (0, 4, 1, 2, 3)))
        return ops.transpose(ops.reshape(x, (-1, WIDTH, 8)), (0, 2, 1)) if self.as_tokens else x


def channels_first(as_tokens=True):
    inputs = keras.Input(SHAPE)
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(ConvFirst(as_tokens, name="made")(inputs))))


class Token(ClassToken):
    def call(self, x):
        return super().call(ops.reshape(x, (-1, 8, WIDTH)))

    def compute_output_shape(self, shape):
        return (shape[0], 8 + self.count, WIDTH)


def with_token(count, last):
    inputs = keras.Input(SHAPE)
    x = layers.Conv3D(WIDTH, TUBELET, strides=TUBELET)(inputs)
    x = layers.Reshape((8, WIDTH))(x)
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(ClassToken(count, last, name="made")(x))))


def frames_in_batch(x):
    return ops.reshape(x, (-1, 4, WIDTH))


def per_frame_embedding():
    """A 2-D patch convolution of each frame, under `TimeDistributed`: tokens (B, T, N, D)."""
    frame = keras.Sequential([layers.Conv2D(WIDTH, 4, strides=4), layers.Reshape((4, WIDTH))])
    inputs = keras.Input(SHAPE)
    x = layers.TimeDistributed(frame, name="made")(inputs)
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


LAYOUTS = {
    "(B, N, D)": lambda: function(lambda x: ops.reshape(x, (-1, 8, WIDTH))),
    "(B, T', N, D)": lambda: function(lambda x: ops.reshape(x, (-1, 2, 4, WIDTH))),
    "columns before rows": lambda: function(lambda x: ops.reshape(ops.transpose(x, (0, 3, 2, 1, 4)), (-1, 8, WIDTH))),
    "features first": lambda: function(lambda x: ops.transpose(ops.reshape(x, (-1, 8, WIDTH)), (0, 2, 1))),
    "einsum": lambda: function(lambda x: ops.einsum("bthwd,dk->bwthk", x, ops.eye(WIDTH))),
    "frame after frame": lambda: function(lambda x: ops.stack([x[:, t] for t in range(2)], axis=2)),
    "sliced class token": lambda: function(lambda x: ops.concatenate([x[:, :, :1] * 0 + 1, x], axis=2)[:, :, 1:]),
    "patches": of_patches,
    "channels first": lambda: channels_first(False),
    "channels first, tokens": channels_first,
    "a class token": lambda: with_token(1, False),
    "class tokens at the end": lambda: with_token(2, True),
    "TimeDistributed": per_frame_embedding,
}


def read(model, found, path):
    """The features of the layer `path` on a clip as a map, and the clip's gradient of the sum at each place."""
    (call,) = [call for call in found.calls if call.path == path]
    seen, clip = [], tf.constant(video_transformers.clips(1))
    with tf.GradientTape(persistent=True) as tape, watched(call.layer, seen.append):
        tape.watch(clip)
        model(clip)
        features = call.output.read(seen[-1], 1)
        sums = {place: tf.reduce_sum(features[(0, *place)]) for place in np.ndindex(*call.output.grid)}
    return features, {place: tape.gradient(value, clip)[0, ..., 0].numpy() for place, value in sums.items()}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_place_depends_on_its_own_part_of_the_clip(layout):
    """The gradient of a place is zero outside of its tubelet: nobody tells the test how the tokens lie."""
    model = LAYOUTS[layout]()
    features, gradients = read(model, trace_features(model, SHAPE), "made")
    steps = features.shape[1]
    assert features.shape == (1, steps, 2, 2, WIDTH) and steps in (2, 4)
    for (t, h, w), gradient in gradients.items():
        each = SHAPE[0] // steps
        own = (slice(t * each, (t + 1) * each), slice(4 * h, 4 * h + 4), slice(4 * w, 4 * w + 4))
        assert (gradient[own] != 0).any()
        gradient[own] = 0
        assert not gradient.any(), (t, h, w)


def test_frames_in_the_batch():
    """(B T', N, D): the map of two clips has the first clip's tokens first."""
    model = function(frames_in_batch)
    found = trace_features(model, SHAPE)
    (call,) = [call for call in found.calls if call.path == "made"]
    clips = tf.constant(video_transformers.clips(3))
    whole = model.get_layer("tubelets")(clips)
    np.testing.assert_array_equal(call.output.read(ops.reshape(whole, (-1, 4, WIDTH)), 3), whole)
    assert call.output.grid == GRID and call.output.is_of_tokens and call.output.has_time


UNKNOWN = {
    "tokens that are rolled": lambda x: ops.roll(ops.reshape(x, (-1, 8, WIDTH)), 1, axis=1),
    "tokens in an order of their values": lambda x: ops.sort(ops.reshape(x, (-1, 8, WIDTH)), axis=1),
    "tokens in an order of their own": lambda x: ops.take(ops.reshape(x, (-1, 8, WIDTH)), [3, 1, 2, 0, 4, 5, 6, 7], 1),
    "one frame's tokens": lambda x: ops.reshape(x, (-1, 8, WIDTH))[:, 1:7],
}


@pytest.mark.parametrize("how", UNKNOWN)
def test_what_cannot_be_followed_is_not_guessed(how):
    calls = trace_features(function(UNKNOWN[how]), SHAPE).calls
    assert [call.output for call in calls if call.path == "made"] == [None]


@pytest.mark.parametrize("shape", [(8,), (9,), (2, 4), (2, 5)])
def test_the_caller_says_how_tokens_lie(shape):
    """Tokens of an operation that cannot be followed; more tokens than places are class tokens before them."""

    def made(x):
        x = ops.reshape(ops.sort(ops.reshape(x, (-1, 8 * WIDTH)), axis=-1), (-1, 8, WIDTH))
        x = ops.reshape(x, (-1, *GRID[:1], 4, WIDTH)) if len(shape) == 2 else x
        more = shape[-1] - x.shape[-2]
        return ops.pad(x, [(0, 0)] * (len(x.shape) - 2) + [(more, 0), (0, 0)]) if more else x

    model = function(made)
    assert [call.output for call in trace_features(model, SHAPE).calls if call.path == "made"] == [None]
    (call,) = [call for call in trace_features(model, SHAPE, GRID).calls if call.path == "made"]
    assert call.output.grid == GRID
    tokens = np.arange(np.prod(shape), dtype=np.float32).reshape(1, *shape, 1) * np.ones(
        (2, *(1 for _ in shape), WIDTH)
    )
    firsts = call.output.read(tf.constant(tokens), 2)[1, ..., 0]
    expected = {(8,): range(8), (9,): range(1, 9), (2, 4): range(8), (2, 5): [1, 2, 3, 4, 6, 7, 8, 9]}[shape]
    np.testing.assert_array_equal(np.ravel(firsts), list(expected))


@pytest.mark.parametrize("bad", [4, (2, 2), (2, 2, 0), (2, 2, 1.5), "2x2", (2, "a", 1)])
def test_tokens_are_three_sizes(bad):
    with pytest.raises(
        TfvidError, match=r"tokens: expected \(T', h', w'\), the steps, rows and columns of tokens, got"
    ):
        check_tokens(bad)


@pytest.mark.parametrize("name", toy_models.BUILDS)
def test_features_of_convolutions_lie_as_they_did(name):
    calls = trace_features(toy_models.build(name), toy_models.SHAPE).calls
    for call in calls:
        if call.path.endswith("conv"):
            assert call.output.grid == ((1, 6, 6) if name == "per_frame" else (6, 8, 8))
            assert call.output.size == 4


ATTENTION = {
    "joint": [("block1_attention", (2, 2, 9, 9)), ("block2_attention", (2, 2, 9, 9))],
    "pooled": [("block1_attention", (2, 2, 8, 8)), ("block2_attention", (2, 2, 8, 8))],
    "hand_written": [("block1_attention/weights", (2, 2, 8, 8)), ("block2_attention/weights", (2, 2, 8, 8))],
    "factorised": [("space_attention", (4, 2, 5, 5)), ("time_attention", (2, 2, 3, 3))],
    "divided": [
        (f"block{number}/{kind}", (sequences, 2, count, count))
        for number in (1, 2)
        for kind, sequences, count in (("time", 8, 2), ("space", 4, 4))
    ],
}


@pytest.mark.parametrize("name", ATTENTION)
def test_attention_is_found_by_its_softmax(name):
    found = find_attention(trace_features(video_transformers.build(name), SHAPE))
    where = [(one.path.removesuffix("/softmax"), one.shape) for one in found]
    assert where == ATTENTION[name]
    assert all(one.axes is not None for one in found)


def test_attention_in_shifted_windows_is_found_and_not_followed():
    plain, shifted = find_attention(trace_features(video_transformers.build("windows"), SHAPE))
    assert plain.axes is not None and shifted.axes is None
    assert (plain.shape, shifted.shape) == ((4, 2, 8, 8), (4, 2, 8, 8))


def test_a_softmax_over_channels_or_classes_is_no_attention():
    inputs = keras.Input(toy_models.SHAPE)
    x = layers.Conv3D(6, 3, activation="softmax")(inputs)
    model = keras.Model(inputs, layers.Dense(6, activation="softmax")(layers.GlobalAveragePooling3D()(x)))
    assert find_attention(trace_features(model, toy_models.SHAPE)) == []


def test_a_layer_called_on_a_constant_is_no_feature_map():
    """KerasHub's VideoPrism looks positions up by `tf.range`, which is an eager tensor in a functional model."""
    table = layers.Embedding(8, WIDTH, name="table")
    positions = tf.range(8)
    model = function(lambda x: ops.reshape(x, (-1, 8, WIDTH)) + table(positions))
    found = {call.path: call.output for call in trace_features(model, SHAPE).calls}
    assert found["tubelets"].grid == GRID
    assert found.get("table") is None


def test_a_model_with_a_bidirectional_layer_is_traced():
    inputs = keras.Input(toy_models.SHAPE)
    x = layers.Conv3D(2, 3, padding="same", name="conv")(inputs)
    x = layers.TimeDistributed(layers.GlobalAveragePooling2D())(x)
    model = keras.Model(inputs, layers.Dense(2)(layers.Bidirectional(layers.LSTM(2))(x)))
    found = {call.path: call.output for call in trace_features(model, toy_models.SHAPE).calls}
    assert found["conv"].grid == toy_models.SHAPE[:3]
