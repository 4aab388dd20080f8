"""`explain_inputs`: each clip of a model of several clips is explained while the others are held."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import tfvid
from tfvid.core.errors import ModelError, TfvidError

RGB, FLOW = (4, 6, 5, 3), (5, 4, 4, 2)
RNG = np.random.default_rng(0)
CLIPS = {"rgb": RNG.random((3, *RGB), np.float32), "flow": RNG.normal(0, 1, (3, *FLOW)).astype(np.float32)}


def two_streams(rgb=RGB, flow=FLOW, before=None):
    """A model whose streams multiply, so that the gradient of one depends on the other."""
    given = {"rgb": keras.Input(rgb, name="rgb"), "flow": keras.Input(flow, name="flow")}
    pooled = []
    for name, x in given.items():
        x = before[name](x) if before else x
        x = layers.Conv3D(4, 3, padding="same", activation="relu", name=f"{name}_conv")(x)
        pooled.append(layers.GlobalAveragePooling3D()(x))
    model = keras.Model(given, layers.Dense(3, name="head")(layers.Multiply()(pooled)))
    rng = np.random.default_rng(1)
    for layer in model.layers:
        if layer.weights:
            layer.kernel.assign(rng.normal(0, 0.5, layer.kernel.shape))
    return model


def gradients(score, clips=CLIPS, classes=None):
    """For each clip, the gradient of the score of the top class or of `classes`, by one tape over the whole batch."""
    clips = {name: tf.constant(clip) for name, clip in clips.items()}
    with tf.GradientTape() as tape:
        tape.watch(clips)
        scores = score(clips)
        top = tf.argmax(scores, axis=1) if classes is None else tf.constant(classes)
        value = tf.reduce_sum(tf.gather(scores, top, batch_dims=1))
    return {name: np.abs(one).max(axis=-1) for name, one in tape.gradient(value, clips).items()}


def assert_are_gradients(found, expected):
    assert found.keys() == expected.keys()
    for name, one in found.items():
        np.testing.assert_allclose(one.attribution, expected[name], rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("target", [None, 2, [2, 0, 1]])
def test_each_clip_has_the_gradient_of_a_plain_tape(target):
    model = two_streams()
    found = tfvid.explain_inputs("gradient", model, CLIPS, target)
    classes = None if target is None else np.broadcast_to(target, 3)
    assert_are_gradients(found, gradients(model, classes=classes))
    scores = model(CLIPS).numpy()
    for name, one in found.items():
        assert one.target.tolist() == (scores.argmax(1) if target is None else classes).tolist()
        np.testing.assert_allclose(one.score, scores[range(3), one.target], rtol=1e-5)
        assert one.clips is CLIPS[name]


def test_clips_by_place():
    model = two_streams()
    by_place = keras.Model(list(model.inputs), model.outputs[0])
    clips = {tensor.name: CLIPS[tensor.name] for tensor in model.inputs}
    found = tfvid.explain_inputs(tfvid.Gradient, by_place, dict(enumerate(clips.values())), only=[1])
    second = list(clips)[1]
    assert list(found) == [1]
    np.testing.assert_allclose(found[1].attribution, gradients(model)[second], rtol=1e-4, atol=1e-8)


def test_each_clip_has_its_own_description():
    """RGB is scaled to 0 to 255 and has its channels first; the flow is taken as it is, its rows first."""
    plain = two_streams()
    before = {"rgb": layers.Permute((2, 3, 4, 1)), "flow": layers.Permute((3, 1, 2, 4))}
    model = two_streams((3, *RGB[:3]), (*FLOW[1:3], FLOW[0], FLOW[3]), before)
    model.set_weights(plain.get_weights())
    rgb = tfvid.VideoModel(model, layout="CTHW", input_range=(0, 255))
    flow = tfvid.VideoModel(model, layout="HWTC", input_range=None)
    found = tfvid.explain_inputs("gradient", {"rgb": rgb, "flow": flow}, CLIPS)
    assert_are_gradients(found, gradients(lambda clips: plain({"rgb": 255 * clips["rgb"], "flow": clips["flow"]})))


def test_frames_may_be_part_of_the_batch():
    given = {name: keras.Input(CLIPS[name].shape[2:], name=name) for name in CLIPS}
    pooled = [layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu")(x)) for x in given.values()]
    model = keras.Model(given, layers.Dense(3)(layers.Multiply()(pooled)))
    clips = {name: clip[:, :4] for name, clip in CLIPS.items()}

    def score(clips):
        frames = {name: tf.reshape(clip, (-1, *clip.shape[2:])) for name, clip in clips.items()}
        return tf.reduce_mean(tf.reshape(model(frames), (-1, 4, 3)), axis=1)

    described = tfvid.VideoModel(model, layout="(BT)HWC", frames="all")
    assert_are_gradients(tfvid.explain_inputs("gradient", described, clips), gradients(score, clips))


def test_the_range_of_a_held_clip_is_that_of_its_own_branch():
    plain = two_streams()
    before = {"rgb": layers.Rescaling(1 / 255), "flow": layers.Identity()}
    model = two_streams(before=before)
    model.set_weights(plain.get_weights())
    assert_are_gradients(tfvid.explain_inputs("gradient", model, CLIPS), gradients(plain))


def test_what_further_inputs_get_is_in_the_description():
    streams, scale = two_streams(), keras.Input((1,), name="scale")
    scaled = keras.Model({**streams.input, "scale": scale}, layers.Multiply()([streams.output, scale]))
    model = tfvid.VideoModel(scaled, inputs={"scale": [3.0]})
    found = tfvid.explain_inputs("gradient", model, CLIPS)
    assert_are_gradients(found, {name: 3 * one for name, one in gradients(streams).items()})


def test_masks_find_the_event_of_each_clip():
    """The score is the product of two rises: in the first clip from frame 5 to 6, in the second from frame 8 to 9."""
    rise = lambda frame: layers.Lambda(  # noqa: E731
        lambda x: tf.reduce_mean(tf.nn.relu(x[:, frame] - x[:, frame - 1]), axis=(1, 2, 3))[:, None]
    )
    first, second = keras.Input((16, 2, 2, 1), name="first"), keras.Input((16, 2, 2, 1), name="second")
    model = keras.Model([first, second], layers.Multiply()([rise(6)(first), rise(9)(second)]))
    clips = {"first": np.zeros((2, 16, 2, 2, 1), np.float32), "second": np.zeros((2, 16, 2, 2, 1), np.float32)}
    clips["first"][0, 6:], clips["first"][1, 6:] = 1, 0.5
    clips["second"][0, 9:], clips["second"][1, 9:] = 1, 0.8
    described = tfvid.VideoModel(model, score=tfvid.scores.unit())
    found = tfvid.explain_inputs(tfvid.TemporalMask, described, clips, method="search")
    for name, event in {"first": 6, "second": 9}.items():
        np.testing.assert_allclose(found[name].original_score, [1, 0.4], rtol=1e-6)
        np.testing.assert_allclose(found[name].freeze_score, 0, atol=1e-6)
        np.testing.assert_array_equal(found[name].mask, [np.arange(16) == event] * 2)


def test_class_activation_maps_are_of_the_clips_own_stream():
    model = two_streams()
    found = tfvid.explain_inputs("grad_cam", model, CLIPS)
    assert {name: one.explained for name, one in found.items()} == {"rgb": "rgb_conv", "flow": "flow_conv"}
    for name, shape in {"rgb": RGB, "flow": FLOW}.items():
        layer = model.get_layer(f"{name}_conv")
        to_head = keras.Model(model.inputs, [layer.output, model.output])
        with tf.GradientTape() as tape:
            features, scores = to_head(CLIPS)
            value = tf.reduce_sum(tf.reduce_max(scores, axis=1))
        weights = tf.reduce_mean(tape.gradient(value, features), axis=(2, 3), keepdims=True)
        expected = tf.nn.relu(tf.reduce_sum(weights * features, axis=-1))
        assert found[name].attribution.shape == (3, *shape[:3])
        np.testing.assert_allclose(found[name].native, expected, rtol=1e-4, atol=1e-8)


def test_a_function_is_explained_by_its_scores():
    model = two_streams()
    described = tfvid.VideoModel(lambda clips: model(clips).numpy())
    options = {"window": (2, 3, 5), "stride": (2, 3, 5), "only": ["rgb"]}
    found = tfvid.explain_inputs("occlusion", described, CLIPS, **options)
    plain = tfvid.explain_inputs("occlusion", model, CLIPS, **options)
    np.testing.assert_allclose(found["rgb"].attribution, plain["rgb"].attribution, rtol=1e-4, atol=1e-6)
    assert found["rgb"].attribution.any()


def test_more_examples_need_no_more_traces():
    class Counting(layers.Layer):
        calls = 0

        def call(self, x):
            Counting.calls += 1
            return x + 0.0

    model = two_streams(before={"rgb": Counting(), "flow": layers.Identity()})
    counts = []
    for examples in (1, 3):
        Counting.calls = 0
        clips = {name: clip[:examples] for name, clip in CLIPS.items()}
        tfvid.explain_inputs("smooth_grad", model, clips, samples=2)
        counts.append(Counting.calls)
    assert counts[0] == counts[1] > 0


@pytest.mark.parametrize(
    ("clips", "options", "message"),
    [
        ({"rgb": CLIPS["rgb"]}, {}, r"input 'flow' gets nothing; give its clips.*inputs=\{'flow': ...\}\)"),
        ({**CLIPS, "audio": CLIPS["rgb"]}, {}, "the model has no input 'audio'; it has (rgb, flow|flow, rgb)"),
        ({**CLIPS, "rgb": CLIPS["rgb"][:2]}, {}, "the same number of clips for each input, got rgb: 2, flow: 3"),
        (CLIPS, {"only": ["flwo"]}, "unknown clip 'flwo'; did you mean 'flow'"),
        (CLIPS, {"target": 3}, "target: expected classes 0 to 2, got 3"),
        (CLIPS["rgb"], {}, "clips: expected clips by the name of their input, got ndarray"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(clips, options, message):
    with pytest.raises(TfvidError, match=message) as error:
        tfvid.explain_inputs("gradient", two_streams(), clips, **options)
    assert "\n" not in str(error.value)


def test_descriptions_of_other_names_or_models_are_refused():
    model = two_streams()
    for given in ({"rgb": model}, {"rgb": model, "flow": two_streams()}):
        with pytest.raises(TfvidError, match="expected a tfvid.VideoModel of the same model for each of rgb, flow"):
            tfvid.explain_inputs("gradient", given, CLIPS)
    with pytest.raises(ModelError, match="expected a Keras model"):
        tfvid.explain_inputs("gradient", lambda clips: model(clips).numpy(), CLIPS)
