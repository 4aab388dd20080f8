"""Layers that a model uses several times: which run is explained, and that all of them are by default."""

import keras
import numpy as np
import pytest
from keras import layers

import tfvid
from tfvid.core.errors import ModelError, TfvidError
from tfvid.explain.cam.find_layer import find_layer
from tfvid.explain.cam.uses import find_uses
from tfvid.network.classifier import Classifier
from tfvid.network.feature_map import trace_features

SHAPE = (2, 4, 4, 1)


def uses(model, name):
    classifier = Classifier(model)
    classifier.prepare(np.random.default_rng(0).random((2, *SHAPE)).astype(np.float32))
    trace = trace_features(model, SHAPE)
    chosen = find_layer(model, trace, name)
    return chosen.path, find_uses(model, trace.calls, chosen.layer, SHAPE)


def head(features):
    return layers.Dense(2, name="head")(layers.Flatten()(features))


def two_streams(left, right, shared):
    """Two views of a clip through the same layer."""
    clips = keras.Input(SHAPE)
    both = [shared(view(clips)) for view in (left, right)]
    return keras.Model(clips, head(layers.Concatenate()(both)))


def per_frame(backbone):
    return layers.TimeDistributed(backbone)


def conv2d():
    return layers.Conv2D(3, 1, name="conv")


def identity(clips):
    return clips


class FrameByFrame(layers.Layer):
    """A convolution of each frame, in a loop of its own; or of all frames of all clips in one batch."""

    def __init__(self, in_batch, times=1, **options):
        super().__init__(**options)
        self.conv, self.in_batch, self.times = conv2d(), in_batch, times

    def build(self, shape):
        self.conv.build((None, *shape[2:]))

    def call(self, clips):
        out = []
        for _ in range(self.times):
            if self.in_batch:
                frames = self.conv(keras.ops.reshape(clips, (-1, *clips.shape[2:])))
                out.append(keras.ops.reshape(frames, (-1, *clips.shape[1:4], 3)))
            else:
                out.append(keras.ops.stack([self.conv(clips[:, t]) for t in range(clips.shape[1])], axis=1))
        return keras.ops.concatenate(out)[: keras.ops.shape(clips)[0]]


def once_in_each_of_two_wrappers():
    shared = conv2d()
    clips = keras.Input(SHAPE)
    return keras.Model(clips, head(layers.Concatenate()([per_frame(shared)(clips), per_frame(shared)(1 - clips)])))


def twice_in_a_frame():
    frame = keras.Input(SHAPE[1:])
    conv = layers.Conv2D(1, 1, name="conv")
    return two_streams(identity, lambda x: 1 - x, per_frame(keras.Model(frame, conv(conv(frame)))))


def own_loop(in_batch, times=1):
    clips = keras.Input(SHAPE)
    return keras.Model(clips, head(FrameByFrame(in_batch, times)(clips)))


USES = {
    "one call": (lambda: two_streams(identity, identity, layers.Conv3D(3, 1, name="conv")), [[0], [1]]),
    "a call a frame": (lambda: two_streams(identity, lambda x: 1 - x, per_frame(conv2d())), [[0, 1], [2, 3]]),
    "two wrappers": (once_in_each_of_two_wrappers, [[0, 1], [2, 3]]),
    "twice in a frame": (twice_in_a_frame, [[0, 2], [1, 3], [4, 6], [5, 7]]),
    "own loop": (lambda: own_loop(False), [[0, 1]]),
    "own batch": (lambda: own_loop(True), [[0]]),
    "own batch, twice": (lambda: own_loop(True, 2), [[0], [1]]),
}


@pytest.mark.parametrize("how", USES)
def test_which_calls_are_one_use(how):
    make, expected = USES[how]
    path, found = uses(make(), "conv")
    assert sorted(found) == expected and path.endswith("conv")


def test_more_calls_on_single_frames_than_there_are_frames():
    """Two streams in a loop of the model's own: taken for one clip of twice the frames, their maps lay side by side."""
    with pytest.raises(
        ModelError, match=r"'conv' is called 4 times on single frames of a clip of 2; .*TimeDistributed"
    ):
        uses(own_loop(False, 2), "conv")


class Chosen(layers.Layer):
    """A convolution of single frames, in the order `frames`; with `memory`, of the mean of all frames so far."""

    def __init__(self, frames, memory=False):
        super().__init__()
        self.conv, self.frames, self.memory = conv2d(), frames, memory

    def build(self, shape):
        self.conv.build((None, *shape[2:]))

    def call(self, clips):
        of = [clips[:, t] for t in self.frames]
        if self.memory:
            of = [sum(of[: n + 1]) / (n + 1) for n in range(len(of))]
        return keras.ops.stack([self.conv(frame) for frame in of], axis=1)


@pytest.mark.parametrize(
    ("frames", "memory", "is_one_use"),
    [
        ((0, 1, 2, 3), False, True),
        ((0, 2), False, True),
        ((1, 3), False, True),
        ((0, 1, 2, 3), True, True),
        ((0, 2, 0, 2), False, False),  # two streams that skip every second frame
        ((0, 0, 2, 2), False, False),
        ((0, 2, 1, 3), False, False),
        ((3, 2, 1, 0), False, False),  # the map would be that of the reversed clip
        ((0, 1), False, False),  # the first half of the clip; the map would cover all of it
        ((3, 2, 1, 0), True, False),
    ],
)
def test_calls_on_single_frames_are_one_use_in_the_order_of_time(frames, memory, is_one_use):
    clips = keras.Input((4, *SHAPE[1:]))
    model = keras.Model(clips, head(Chosen(frames, memory)(clips)))
    explain = tfvid.GradCAM(model, layer="conv")
    given = np.random.default_rng(0).random((1, 4, *SHAPE[1:]), np.float32)
    if is_one_use:
        assert explain(given).native.shape == (1, len(frames), 4, 4)
    else:
        with pytest.raises(ModelError, match=rf"'conv' is called {len(frames)} times on single frames of a clip of 4"):
            explain(given)


def halves(clips):
    """The left and the right half of a clip, the other one black."""
    for columns in ((0, 2), (2, 0)):
        yield layers.ZeroPadding3D((0, 0, columns))(layers.Cropping3D((0, 0, columns[::-1]))(clips))


def siamese(deeper=()):
    """score of class 0 = 1 x the left half's mean + 3 x the right half's, over all places, through one shared layer."""
    clips = keras.Input(SHAPE)
    shared = layers.Conv3D(1, 1, use_bias=False, name="conv")
    sides = [
        layers.ReLU()(layers.ReLU()(side)) if place in deeper else side for place, side in enumerate(halves(clips))
    ]
    pooled = [layers.GlobalAveragePooling3D()(shared(side)) for side in sides]
    dense = layers.Dense(2, use_bias=False, name="head")
    model = keras.Model(clips, dense(layers.Concatenate()(pooled)))
    shared.set_weights([np.ones((1, 1, 1, 1, 1), np.float32)])
    dense.set_weights([np.array([[1, 0], [3, 0]], np.float32)])
    return model


@pytest.mark.parametrize("method", ["grad_cam", "layer_cam", "grad_cam_plus_plus"])
def test_the_map_is_the_sum_over_both_runs_unless_one_is_chosen(method):
    """Of ones: d score / d A is 1 / 32 at each place of the left run, 3 / 32 of the right one."""
    model, clips = siamese(), np.ones((1, *SHAPE), np.float32)
    maps = {
        call: tfvid.explainer(method, model, layer="conv", call=call, normalize=None)(clips, target=0).native[0, 0, 0]
        for call in ("sum", 0, 1)
    }
    left, right = np.array([1, 1, 0, 0]), np.array([0, 0, 1, 1])
    if method == "grad_cam_plus_plus":  # its weights are sums over places, each with a factor of its own
        assert (maps[0] > 0).tolist() == left.astype(bool).tolist()
        assert (maps[1] > 0).tolist() == right.astype(bool).tolist()
    else:
        np.testing.assert_allclose(maps[0], left / 32, atol=1e-6)
        np.testing.assert_allclose(maps[1], 3 * right / 32, atol=1e-6)
    np.testing.assert_allclose(maps["sum"], maps[0] + maps[1], atol=1e-6)


@pytest.mark.parametrize("deeper", [(0,), (1,)])
def test_calls_are_counted_as_the_code_made_them(deeper):
    """Whichever way Keras runs first."""
    explain = tfvid.GradCAM(siamese(deeper), layer="conv", call=0, normalize=None)
    maps = explain(np.ones((1, *SHAPE), np.float32), target=0).native[0, 0, 0]
    np.testing.assert_allclose(maps, np.array([1, 1, 0, 0]) / 32, atol=1e-6)


def test_the_run_is_named():
    clips = np.ones((1, *SHAPE), np.float32)
    for call, expected in (("sum", "conv, sum of 2 calls"), (1, "conv, call 1 of 0 to 1")):
        explain = tfvid.GradCAM(siamese(), layer="conv", call=call)
        explain(clips)
        assert (explain.layer, explain.explained) == ("conv", expected)


@pytest.mark.parametrize("call", [2, -1, True, "last", 0.0])
def test_a_run_that_there_is_not(call):
    with pytest.raises(TfvidError, match="call: layer 'conv' runs 2 times; expected 'sum' or 0 to 1, got"):
        tfvid.GradCAM(siamese(), layer="conv", call=call)(np.ones((1, *SHAPE), np.float32))


def test_score_cam_and_excitation_take_both_runs():
    model, clips = siamese(), np.ones((1, *SHAPE), np.float32)
    masks = tfvid.explainer("score_cam", model, layer="conv", normalize=None)(clips, target=0)
    assert (masks.native > 0).all()
    excited = tfvid.explainer("excitation_backprop", model, layer="conv")(clips, target=0).native[0, 0, 0]
    np.testing.assert_allclose(excited, np.array([1, 1, 3, 3]) / 64, atol=1e-6)  # 1 / 4 and 3 / 4, 16 places each


def test_saliency_tubes_of_two_runs_that_are_averaged():
    """logit = mean over places of the mean of both runs, so that the map sums to the logit."""
    clips = keras.Input(SHAPE)
    shared = layers.Conv3D(2, 1, name="conv")
    pooled = [layers.GlobalAveragePooling3D()(shared(side)) for side in (clips, 1 - clips)]
    model = keras.Model(clips, layers.Dense(2, use_bias=False)(layers.Average()(pooled)))
    given = np.random.default_rng(0).random((2, *SHAPE), np.float32)
    result = tfvid.explainer("saliency_tubes", model, normalize=None)(given)
    np.testing.assert_allclose(result.native.mean(axis=(1, 2, 3)), result.score, atol=1e-5)


def test_runs_of_several_sizes_cannot_be_summed():
    clips = keras.Input(SHAPE)
    shared = layers.Conv3D(1, 1, name="conv")
    small = layers.AveragePooling3D((1, 2, 2))(clips)
    pooled = [layers.GlobalAveragePooling3D()(shared(view)) for view in (clips, small)]
    model = keras.Model(clips, layers.Dense(2)(layers.Concatenate()(pooled)))
    given = np.ones((1, *SHAPE), np.float32)
    with pytest.raises(ModelError, match=r"features of several sizes, \(2, 2, 2\), \(2, 4, 4\): choose one of its 2"):
        tfvid.GradCAM(model, layer="conv")(given)
    assert tfvid.GradCAM(model, layer="conv", call=1)(given).native.shape == (1, 2, 2, 2)
