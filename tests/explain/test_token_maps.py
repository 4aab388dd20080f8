"""Class activation maps of tokens: which layer is chosen, and that maps lie where the evidence is."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
import video_transformers
from keras import layers, ops
from video_transformers import GRID, SHAPE, TUBELET, WIDTH, block, build, clips, embed

import tfvid
from tfvid.core.errors import ModelError, TfvidError
from tfvid.explain import explainer

METHODS = ("grad_cam", "grad_cam_plus_plus", "layer_cam", "score_cam")

DEFAULT = {
    "joint": "input of block2_norm1, tokens on (2, 2, 2) without 1 class token",
    "trailing": "input of block2_norm1, tokens on (2, 2, 2) without 2 class tokens",
    "pooled": "input of block2_norm1, tokens on (2, 2, 2)",
    "hand_written": "input of block2_norm1, tokens on (2, 2, 2)",
    "divided": "input of block2/norm_space, tokens on (2, 2, 2)",
    "factorised": "input of space_norm1, tokens on (2, 2, 2) without 1 class token",
    "windows": "input of shifted, tokens on (2, 2, 4)",
}


@pytest.mark.parametrize("name", DEFAULT)
def test_the_layer_that_a_person_would_choose(name):
    model = build(name)
    explain = tfvid.GradCAM(model)
    result = explain(clips(3))
    assert explain.explained == result.explained == DEFAULT[name]
    assert explain.why == result.why and explain.why.startswith("the tokens that the last attention")
    assert (explain.at, result.native.shape) == ("input", (3, 2, 2, 4 if name == "windows" else 2))
    assert result.native.any()


def numpy_grad_cam(A, G):
    """Eq. 2 of the paper, on maps (B, T', H', W', K)."""
    return np.maximum((G.mean(axis=(2, 3), keepdims=True) * A).sum(-1), 0)


@pytest.mark.parametrize("name", ["joint", "pooled", pytest.param("trailing", marks=pytest.mark.long)])
def test_equals_a_plain_gradient_tape(name):
    """The tokens before the last block, split off the model: what leads around the norm is in the gradient, too."""
    model, x = build(name), clips(2)
    at = model.get_layer("block1_add2").output
    first, rest = keras.Model(model.inputs, at), keras.Model(at, model.output)
    tokens = first(x)
    with tf.GradientTape() as tape:
        tape.watch(tokens)
        score = rest(tokens)[:, 1]
    places = slice(1, None) if name == "joint" else slice(0, 8)
    A, G = (y.numpy()[:, places].reshape(2, *GRID, WIDTH) for y in (tokens, tape.gradient(score, tokens)))
    result = tfvid.GradCAM(model, normalize=None)(x, 1)
    np.testing.assert_allclose(result.native, numpy_grad_cam(A, G), atol=1e-5)
    np.testing.assert_allclose(result.score, score, atol=1e-5)
    named = tfvid.GradCAM(model, "block1_add2", normalize=None)(x, 1)
    np.testing.assert_allclose(named.native, result.native, atol=1e-6)


def one_token(place):
    """Class 0 is the first feature of one token, after a block of attention that adds nothing."""
    inputs = keras.Input(SHAPE)
    x = block(embed(inputs), "block")
    model = keras.Model(inputs, layers.Dense(2, use_bias=False, name="head")(layers.Flatten()(x)))
    for weight in model.weights:
        weight.assign(np.zeros(weight.shape))
    kernel = np.zeros((*TUBELET, 1, WIDTH), np.float32)
    kernel[..., 0] = 1 / np.prod(TUBELET)
    model.get_layer("tubelets").kernel.assign(kernel)
    head = np.zeros((8 * WIDTH, 2), np.float32)
    head[WIDTH * np.ravel_multi_index(place, GRID), 0] = 1
    model.get_layer("head").kernel.assign(head)
    return model


@pytest.mark.parametrize("place", [(0, 0, 1), (1, 1, 0)])
@pytest.mark.parametrize("method", METHODS)
def test_the_token_that_decides_has_the_map(method, place):
    """The clip is 1 in the tubelet of the token and .1 elsewhere: native is a multiple of 1 there."""
    clip = np.full((1, *SHAPE), 0.1, np.float32)
    own = tuple(slice(n * size, (n + 1) * size) for n, size in zip(place, TUBELET, strict=True))
    clip[(0, *own)] = 1
    found = explainer(method, one_token(place), time="nearest")(clip, 0)
    assert np.unravel_index(found.native[0].argmax(), GRID) == place
    frame = found.attribution[0, own[0]].mean(axis=0)
    row, column = np.unravel_index(frame.argmax(), frame.shape)
    assert own[1].start <= row < own[1].stop and own[2].start <= column < own[2].stop
    assert frame[own[1:]].mean() == frame.reshape(2, 4, 2, 4).mean(axis=(1, 3)).max()
    if method == "layer_cam":  # no weight is shared with other places: the map is exact
        expected = np.zeros(GRID, np.float32)
        expected[place] = 1
        np.testing.assert_allclose(found.native[0], expected, atol=1e-6)


def test_fault_1_the_softmax_inside_the_attention_is_not_chosen():
    inputs = keras.Input((16, 64, 64, 3))
    t = layers.Reshape((-1, 32))(layers.Conv3D(32, (2, 8, 8), strides=(2, 8, 8))(inputs))
    t = layers.MultiHeadAttention(4, 8, name="attention")(t, t)
    model = keras.Model(inputs, layers.Dense(4)(layers.GlobalAveragePooling1D()(t)))
    explain = tfvid.GradCAM(model)
    assert explain(np.random.default_rng(0).random((1, 16, 64, 64, 3), np.float32)).native.shape == (1, 8, 8, 8)
    assert explain.explained == "input of attention, tokens on (8, 8, 8)"


def test_fault_6_a_convolution_over_time_and_features_is_not_chosen():
    inputs = keras.Input(SHAPE)
    frames = layers.TimeDistributed(layers.Conv2D(3, 3, name="conv"), name="frames")(inputs)
    x = layers.TimeDistributed(layers.GlobalAveragePooling2D())(frames)
    x = layers.Conv2D(2, 3, padding="same", name="over_features")(layers.Reshape((4, 3, 1))(x))
    model = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))
    explain = tfvid.GradCAM(model)
    explain(clips())
    assert explain.explained == "frames"
    assert tfvid.GradCAM(model, "over_features")(clips()).native.shape == (2, 4, 1, 1)


def test_attention_over_the_frames_alone_leaves_the_choice_to_the_network_of_a_frame():
    inputs = keras.Input(SHAPE)
    x = layers.TimeDistributed(layers.Conv2D(8, 3, name="conv"), name="frames")(inputs)
    x = layers.TimeDistributed(layers.GlobalMaxPooling2D())(x)
    x = layers.Add()([x, layers.MultiHeadAttention(2, 4)(x, x)])
    model = keras.Model(inputs, layers.Dense(3)(layers.GlobalMaxPooling1D()(x)))
    explain = tfvid.GradCAM(model)
    explain(clips())
    assert explain.explained == "frames" and explain.why.startswith("the last layer that makes a feature map")


def test_a_convolution_behind_the_attention_is_chosen():
    inputs = keras.Input(SHAPE)
    x = layers.Reshape((*GRID, WIDTH))(block(embed(inputs), "block"))
    x = layers.Conv3D(5, 3, padding="same", name="conv")(x)
    explain = tfvid.GradCAM(keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling3D()(x))))
    explain(clips())
    assert explain.explained == "conv"


def sorted_tokens():
    """The order of the tokens depends on their values: nothing says where they lie."""
    inputs = keras.Input(SHAPE)
    x = layers.Lambda(lambda x: ops.sort(x, axis=1), name="sorted")(embed(inputs))
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling1D()(layers.Dense(4, name="mlp")(x))))


def test_tokens_that_cannot_be_placed_need_the_callers_word():
    model = sorted_tokens()
    with pytest.raises(ModelError, match=r"layer 'mlp' returns \(None, 8, 4\), .*tokens=\(T', h', w'\) says how") as e:
        tfvid.GradCAM(model, "mlp")(clips())
    assert "\n" not in str(e.value)
    explain = tfvid.GradCAM(model, "mlp", tokens=(2, 2, 2))
    assert explain(clips()).native.shape == (2, 2, 2, 2)
    assert explain.explained == "mlp, tokens on (2, 2, 2)"
    assert tfvid.GradCAM(model, "mlp", tokens=(1, 2, 4))(clips()).native.shape == (2, 1, 2, 4)
    with pytest.raises(TfvidError, match=r"tokens: expected \(T', h', w'\)"):
        tfvid.GradCAM(model, "mlp", tokens=(2, 4))
    with pytest.raises(TfvidError, match="at='input': expected layer="):
        tfvid.GradCAM(model, at="input")


def test_one_time_step_is_said():
    """T' = 1: the map is the same for all frames."""
    inputs = keras.Input(SHAPE)
    x = layers.Conv3D(4, (4, 4, 4), strides=4, name="conv")(inputs)
    model = keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling3D()(x)))
    with pytest.warns(RuntimeWarning, match="conv: its features have one time step for 4 frames, so the map is the s"):
        result = tfvid.GradCAM(model)(clips())
    assert (result.attribution == result.attribution[:, :1]).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tfvid.GradCAM(build("pooled"))(clips())


def test_saliency_tubes_of_pooled_tokens():
    """The logits are a linear function of the mean of the last norm's tokens: its map adds up to the logit."""
    model = build("pooled")
    result = tfvid.SaliencyTubes(model, normalize=None)(clips(), 1)
    assert result.explained == "norm, tokens on (2, 2, 2)"
    bias = model.get_layer("head").bias.numpy()[1]
    np.testing.assert_allclose(result.native.mean(axis=(1, 2, 3)) + bias, model(clips())[:, 1], atol=1e-5)


def test_clips_of_another_length_have_their_own_layout():
    inputs = keras.Input((None, 8, 8, 1))
    x = layers.Conv3D(4, TUBELET, strides=TUBELET)(inputs)
    x = layers.Lambda(lambda x: ops.reshape(x, (ops.shape(x)[0], -1, 4)))(x)
    x = layers.Add()([x, layers.MultiHeadAttention(2, 2, name="attention")(x, x)])
    explain = tfvid.GradCAM(keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling1D()(x))))
    rng = np.random.default_rng(0)
    for frames in (4, 8, 4):
        assert explain(rng.random((2, frames, 8, 8, 1), np.float32)).native.shape == (2, frames // 2, 2, 2)


def test_mixed_precision_keeps_the_way_around_the_norm():
    """The norm's input is cast: the gradient is that of the tensor before the cast, as in float32."""
    clip = clips(2)
    plain = build("pooled")
    with_half = keras.models.clone_model(plain)
    with_half.set_weights(plain.get_weights())
    for layer in with_half.layers:
        if layer.name.startswith("block2"):
            layer.dtype_policy = keras.DTypePolicy("mixed_bfloat16")
    one, other = tfvid.GradCAM(plain)(clip, 1), tfvid.GradCAM(with_half)(clip, 1)
    np.testing.assert_allclose(other.attribution, one.attribution, atol=0.1)
    assert other.native.shape[1:] == video_transformers.GRID
