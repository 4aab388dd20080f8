"""Grad-CAM on models small enough to work out by hand, and on every way to build a model."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import toy_models
from cam_by_hand import CLIP, by_hand
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from tfvid.core.errors import ModelError, TfvidError
from tfvid.explain.cam.features import normalized, resized
from tfvid.explain.cam.grad_cam import GradCAM
from tfvid.models.conv_lstm import ConvLSTM
from tfvid.models.i3d import I3D


def test_by_hand():
    """A[..., 0] = x, A[..., 1] = -x, d y_0 / d A = (1, 0.5) / 8: L = ReLU(x / 8 - x / 16) = x / 16."""
    result = GradCAM(by_hand(), normalize=None)(CLIP, target=0)
    np.testing.assert_allclose(result.native, [[[[1 / 16, 2 / 16], [3 / 16, 4 / 16]], [[0, 1 / 16], [0, 5 / 16]]]])
    np.testing.assert_allclose(result.attribution, result.native)
    np.testing.assert_allclose(result.score, [2 * 1 - 2 * 0.5])  # the mean of the clip is 2
    assert result.predicted == 0


def test_evidence_against_the_class_is_cut_to_zero_and_stays_zero():
    """d y_1 / d A = (-2, 3) / 8: L = ReLU(-2 x / 8 - 3 x / 8) = 0 everywhere, whatever the normalisation."""
    for normalize in ("frame", "clip", None):
        result = GradCAM(by_hand(), normalize=normalize)(CLIP, target=1)
        np.testing.assert_array_equal(result.attribution, np.zeros((1, 2, 2, 2)))


def test_normalisation():
    frame = GradCAM(by_hand(), normalize="frame")(CLIP, target=0).attribution
    np.testing.assert_allclose(frame, [[[[0.25, 0.5], [0.75, 1]], [[0, 0.2], [0, 1]]]], rtol=1e-6)
    clip = GradCAM(by_hand(), normalize="clip")(CLIP, target=0).attribution
    np.testing.assert_allclose(clip, [[[[0.2, 0.4], [0.6, 0.8]], [[0, 0.2], [0, 1]]]], rtol=1e-6)


def test_normalisation_from_the_minimum():
    """Frames 1 2 3 4 and 0 1 0 5 (times 1/16): the first frame's minimum is not 0."""
    frame = GradCAM(by_hand(), normalize="frame_range")(CLIP, target=0).attribution
    np.testing.assert_allclose(frame, [[[[0, 1 / 3], [2 / 3, 1]], [[0, 0.2], [0, 1]]]], rtol=1e-6)
    clip = GradCAM(by_hand(), normalize="clip_range")(CLIP + 1, target=0).attribution
    np.testing.assert_allclose(clip, [[[[0.2, 0.4], [0.6, 0.8]], [[0, 0.2], [0, 1]]]], rtol=1e-6)
    none = GradCAM(by_hand(), normalize="clip_range")(np.ones_like(CLIP), target=0).attribution
    np.testing.assert_array_equal(none, np.zeros((1, 2, 2, 2)))  # a map of equal values


def test_the_probability():
    """y = (m / 2, -5 m), m = 0.2 the clip's mean: p_0 = 1 / (1 + exp(-1.1)), d p_0 / d A = p_0 (1 - p_0) (3, -2.5) / 8.

    L = ReLU of that times (x, -x) = p_0 (1 - p_0) 5.5 x / 8.
    """
    clip, p = CLIP / 10, 1 / (1 + np.exp(-1.1))
    result = GradCAM(by_hand(), score="probability", normalize=None)(clip)
    np.testing.assert_allclose(result.native, p * (1 - p) * 5.5 / 8 * clip[..., 0], rtol=1e-5)
    np.testing.assert_allclose(result.score, [p], rtol=1e-6)
    assert result.predicted == 0
    other = GradCAM(by_hand(), score="probability", normalize=None)(clip, target=1)
    np.testing.assert_allclose(other.score, [1 - p], rtol=1e-5)
    np.testing.assert_array_equal(other.native, np.zeros((1, 2, 2, 2)))  # all speaks against class 1


def test_weights_by_frame_and_by_clip():
    """A head that looks at frame 0 only: its own weights by frame, half of them for both by clip."""
    model = by_hand(pooled=False)
    weights = np.zeros((2, 2, 2, 2, 2), np.float32)
    weights[0, :, :, 0, 0] = [[1, 2], [3, 2]]  # d y_0 / d A[0, i, j, 0], mean 2
    model.get_layer("head").kernel.assign(weights.reshape(16, 2))
    frame = GradCAM(model, "conv", pool="frame", normalize=None)(CLIP, 0).native
    np.testing.assert_allclose(frame, 2 * CLIP[..., 0] * [[[[1]], [[0]]]])
    clip = GradCAM(model, "conv", pool="clip", normalize=None)(CLIP, 0).native
    np.testing.assert_allclose(clip, 1 * CLIP[..., 0])


def numpy_grad_cam(A, gradient, pool):
    w = gradient.mean(axis=(2, 3))
    if pool == "clip":
        w = np.broadcast_to(w.mean(axis=1, keepdims=True), w.shape)
    return np.maximum(np.einsum("btk,btijk->btij", w, A), 0)


@pytest.mark.parametrize("pool", ["frame", "clip"])
def test_equals_numpy_on_random_weights(pool):
    inputs = keras.Input(toy_models.SHAPE)
    conv = layers.Conv3D(4, 3, activation="tanh", name="conv")(inputs)
    # No max-pool: TensorFlow's kernels, eager and compiled, differ in where a tie's gradient goes.
    head = layers.Dense(3)(layers.Flatten()(layers.AveragePooling3D((1, 2, 2))(layers.BatchNormalization()(conv))))
    model, features, rest = keras.Model(inputs, head), keras.Model(inputs, conv), keras.Model(conv, head)
    clips, target = toy_models.clips(3), np.array([0, 2, 1])
    A = features(clips)
    with tf.GradientTape() as tape:
        tape.watch(A)
        score = tf.gather(rest(A), target, batch_dims=1)
    result = GradCAM(model, "conv", pool=pool)(clips, target)
    np.testing.assert_allclose(
        result.native, numpy_grad_cam(A.numpy(), tape.gradient(score, A).numpy(), pool), atol=1e-5
    )
    np.testing.assert_allclose(result.score, score, atol=1e-5)


def test_pooled_head_in_closed_form():
    """Behind a global average pool the weights are the head's own, over T' H' W', so frame and clip are one."""
    model = keras.Sequential(
        [
            keras.Input(toy_models.SHAPE),
            layers.Conv3D(5, 3, name="conv"),
            layers.GlobalAveragePooling3D(),
            layers.Dense(3),
        ]
    )
    clips = toy_models.clips(2)
    A = model.get_layer("conv")(clips).numpy()
    head = model.layers[-1].kernel.numpy()
    expected = np.maximum(A @ head[:, 1], 0) / np.prod(A.shape[1:4])
    for pool in ("frame", "clip"):
        np.testing.assert_allclose(GradCAM(model, pool=pool)(clips, 1).native, expected, atol=1e-7)


def test_the_score_is_the_logit_also_behind_a_softmax():
    """The gradient of a probability vanishes as it nears 1; the logit's does not."""
    plain, soft, clips = toy_models.build("functional"), toy_models.build("softmax"), toy_models.clips(2)
    soft.set_weights(plain.get_weights())
    expected, result = GradCAM(plain)(clips), GradCAM(soft)(clips)
    np.testing.assert_allclose(result.score, expected.score, atol=1e-5)
    np.testing.assert_allclose(result.native, expected.native, atol=1e-6)


# Which layer.


@pytest.mark.parametrize(
    ("network", "layer", "shape"),
    [
        pytest.param(lambda: I3D(3, 4, (64, 64), width=0.05), "Mixed_5c", (1, 2, 2, 2), marks=pytest.mark.long),
        (lambda: I3D(3, 4, (64, 64), width=0.05, depth=2), "Mixed_3c", (1, 4, 8, 8)),
        (lambda: ConvLSTM(3, 4, (64, 64), filters=2), "conv_lstm_3", (1, 4, 2, 2)),
    ],
)
def test_default_layers_of_the_papers_models(network, layer, shape):
    explain = GradCAM(network())
    result = explain(np.zeros((1, 4, 64, 64, 3), np.float32))
    assert explain.layer == layer
    assert result.native.shape == shape
    assert result.attribution.shape == (1, 4, 64, 64)


@pytest.mark.parametrize(
    ("build", "layer"),
    [
        ("functional", "conv"),
        ("sequential", "conv"),
        ("nested", "backbone/conv"),
        ("subclassed", "conv"),
        ("mixed_precision", "conv"),
        ("per_frame", "frames/frame/conv"),
    ],
)
def test_default_layer_of_every_build(build, layer):
    model, clips = toy_models.build(build), toy_models.clips(2)
    explain = GradCAM(model)
    result = explain(clips)
    assert explain.layer == layer
    np.testing.assert_allclose(GradCAM(model, layer)(clips).native, result.native, atol=1e-6)
    np.testing.assert_allclose(GradCAM(model, "conv")(clips).native, result.native, atol=1e-6)  # the inner name will do
    assert result.native.shape[:2] == (2, 6)
    assert result.native.max() > 0


def test_builds_agree():
    clips = toy_models.clips(2)
    expected = GradCAM(toy_models.build("functional"))(clips)
    for build in ("sequential", "nested", "subclassed"):
        model = toy_models.build(build)
        model.set_weights(toy_models.build("functional").get_weights())
        np.testing.assert_allclose(GradCAM(model)(clips).native, expected.native, atol=1e-6)


def two_dimensional(fold):
    """The same 2-D convolution on every frame: under TimeDistributed, or with the frames folded into the batch."""
    inputs = keras.Input(toy_models.SHAPE)
    conv = layers.Conv2D(4, 3, name="conv")
    if fold:
        x = layers.Lambda(lambda x: tf.reshape(x, (-1, *x.shape[2:])))(inputs)
        x = layers.Lambda(lambda x: tf.reshape(x, (-1, 6, *x.shape[1:])))(conv(x))
    else:
        x = layers.TimeDistributed(conv, name="frames")(inputs)
    return keras.Model(inputs, layers.Dense(3, name="head")(layers.Flatten()(x)))


def test_layers_that_see_single_frames():
    """(B T', H', W', K), one call a frame, and (B, T', H', W', K) around them are the same features."""
    clips = toy_models.clips(2)
    folded, distributed = two_dimensional(fold=True), two_dimensional(fold=False)
    folded.set_weights(distributed.get_weights())
    whole = GradCAM(distributed, "frames")(clips, 1)
    assert whole.native.shape == (2, 6, 6, 6)
    np.testing.assert_allclose(GradCAM(distributed, "frames/conv")(clips, 1).native, whole.native, atol=1e-6)
    np.testing.assert_allclose(GradCAM(folded, "conv")(clips, 1).native, whole.native, atol=1e-6)


def test_layer_without_time():
    """(B, H', W', K): one map, the same for all frames."""
    inputs = keras.Input(toy_models.SHAPE)
    x = layers.Lambda(lambda x: tf.reduce_mean(x, axis=1))(inputs)
    x = layers.Conv2D(4, 3, activation="relu", name="conv")(x)
    model = keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))
    result = GradCAM(model)(toy_models.clips(2))
    assert result.native.shape == (2, 1, 6, 6)
    np.testing.assert_array_equal(result.attribution, np.repeat(result.attribution[:, :1], 6, axis=1))


def test_layer_names_that_do_not_fit():
    clips = toy_models.clips(2)
    nested = toy_models.build("nested")
    with pytest.raises(ModelError, match=r"unknown layer 'cnov'; valid: backbone/conv, backbone/norm, backbone/pool"):
        GradCAM(nested, "cnov")(clips)
    with pytest.raises(ModelError, match=r"layer 'flatten' returns \(None, 384\), expected .*; those that fit: .*conv"):
        GradCAM(toy_models.build("functional"), "flatten")(clips)
    with pytest.raises(ModelError, match="no layer that makes a feature map"):
        GradCAM(keras.Sequential([keras.Input(toy_models.SHAPE), layers.Flatten(), layers.Dense(3)]))(clips)

    twins = [keras.Sequential([layers.Conv3D(2, 3, name="conv")], name=name) for name in ("left", "right")]
    model = keras.Sequential([keras.Input(toy_models.SHAPE), *twins, layers.Flatten(), layers.Dense(3)])
    with pytest.raises(ModelError, match="several of that name, say which: left/conv, right/conv"):
        GradCAM(model, "conv")(clips)
    assert GradCAM(model, "left/conv")(clips).native.shape == (2, 4, 6, 6)


def test_layer_that_does_not_lead_to_the_scores():
    inputs = keras.Input(toy_models.SHAPE)
    aside = layers.Conv3D(2, 3, name="aside")(inputs)
    head = layers.Dense(3)(layers.Flatten()(inputs))
    model = keras.Model(
        inputs, layers.Lambda(lambda x: x[0] + 0 * tf.stop_gradient(tf.reduce_sum(x[1])))([head, aside])
    )
    with pytest.raises(ModelError, match="'aside' does not lead to the class scores"):
        GradCAM(model, "aside")(toy_models.clips(1))


def test_bad_options():
    model = toy_models.build("functional")
    for options, message in [
        ({"pool": "mean"}, "unknown pool 'mean'; valid: frame, clip"),
        ({"time": "cubic"}, "unknown time"),
        ({"normalize": "max"}, "unknown normalize"),
        ({"score": "softmax"}, "unknown score 'softmax'"),
    ]:
        with pytest.raises(TfvidError, match=message):
            GradCAM(model, **options)


# From the layer's resolution to the clip's.


def test_time_is_repeated_or_interpolated():
    maps = np.array([0.0, 4.0], np.float32).reshape(1, 2, 1, 1)
    np.testing.assert_array_equal(resized(maps, (4, 1, 1))[0, :, 0, 0], [0, 0, 4, 4])
    np.testing.assert_allclose(resized(maps, (4, 1, 1), "linear")[0, :, 0, 0], [0, 1, 3, 4])
    np.testing.assert_array_equal(resized(maps, (5, 2, 3))[0, :, 1, 2], [0, 0, 4, 4, 4])


@settings(max_examples=20, deadline=None)
@given(
    steps=st.integers(1, 4),
    rows=st.integers(1, 4),
    columns=st.integers(1, 4),
    time=st.sampled_from(["nearest", "linear"]),
)
def test_space_is_bilinear_whatever_the_time(steps, rows, columns, time):
    maps = np.random.default_rng(steps).random((2, steps, rows, columns), np.float32)
    result = resized(maps, (steps, 5, 7), time)
    for b in range(2):
        frames = tf.image.resize(maps[b][..., np.newaxis], (5, 7), "bilinear")[..., 0]
        np.testing.assert_allclose(result[b], frames, atol=1e-6)


def test_normalized_leaves_zeros():
    maps = np.zeros((2, 2, 1, 2), np.float32)
    maps[0, 0] = [[1, 4]]
    np.testing.assert_array_equal(normalized(maps, "frame"), maps / 4)
    np.testing.assert_array_equal(normalized(maps, "clip"), maps / 4)
    np.testing.assert_array_equal(normalized(maps, None), maps)
