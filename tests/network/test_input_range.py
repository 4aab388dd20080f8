"""Which values a model takes: read from its first layers, declared, or in its card; and clips brought to them."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import tfvid
from tfvid.callbacks import ExplanationLogger
from tfvid.config import StudyConfig, from_dict
from tfvid.core.errors import ConfigError, TfvidError
from tfvid.experiments.clip_explainers import ClipExplainers
from tfvid.experiments.evaluation import chance_warning, predict
from tfvid.metrics.faithfulness.scorer import Scorer
from tfvid.models.card import ModelCard, read_card
from tfvid.models.loading import load_model
from tfvid.network.classifier import Classifier
from tfvid.network.input_range import UNSCALED, agreed, range_of, read_ranges
from tfvid.network.model_format import ModelFormat, declared
from tfvid.network.tracing import trace_calls

SHAPE = (3, 4, 4, 3)
MEANS = np.array([103.9, 116.8, 123.7], np.float32)


def clips_of(num_clips=2):
    return np.random.default_rng(0).random((num_clips, *SHAPE), np.float32)


def network(*first):
    """What `first` does, then a convolution and a classifier of fixed weights."""
    x = clips = keras.Input(SHAPE)
    for layer in first:
        x = layer(x)
    conv, head = layers.Conv3D(2, 1, name="conv"), layers.Dense(3, name="head")
    model = keras.Model(clips, head(layers.GlobalAveragePooling3D()(conv(x))))
    rng = np.random.default_rng(1)
    for layer in (conv, head):
        layer.kernel.assign(rng.normal(size=layer.kernel.shape))
    return model


def read_range(model):
    return agreed(read_ranges(trace_calls(model, SHAPE).clips))


def adapted():
    layer = layers.Normalization()
    layer.adapt(np.random.default_rng(0).uniform(0, 255, (50, 4, 4, 3)).astype(np.float32))
    return layer


UNIT, BYTES, SIGNED = (0.0, 1.0), (0.0, 255.0), (-1.0, 1.0)
FIRST = {
    "nothing": ((), None),
    "Rescaling(1 / 255)": ((layers.Rescaling(1 / 255),), BYTES),
    "Rescaling(1 / 127.5, -1)": ((layers.Rescaling(1 / 127.5, -1),), BYTES),
    "Rescaling(2, -1)": ((layers.Rescaling(2, -1),), UNIT),
    "Rescaling(0.5, 0.5)": ((layers.Rescaling(0.5, 0.5),), SIGNED),
    "up and down again": ((layers.Rescaling(255.0), layers.Rescaling(1 / 255)), UNIT),
    "Normalization": ((layers.Normalization(mean=[114.0, 110.0, 100.0], variance=[3600.0] * 3),), BYTES),
    "Normalization, adapted": ((adapted(),), BYTES),
    "a colour's mean and deviation": (
        (layers.Rescaling([1 / 0.229, 1 / 0.224, 1 / 0.225], [-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225]),),
        UNIT,
    ),
    "in TimeDistributed": ((layers.TimeDistributed(layers.Rescaling(1 / 255)),), BYTES),
    "in a model": ((keras.Sequential([keras.Input(SHAPE), layers.Rescaling(1 / 255)]),), BYTES),
    "an operation": ((lambda clips: clips / 127.5 - 1.0,), BYTES),
    "means taken off, colours turned": ((lambda clips: clips[..., ::-1] - MEANS,), BYTES),
    "padding before": ((layers.ZeroPadding3D(1), layers.Rescaling(1 / 255)), BYTES),
    "pooling before": ((layers.AveragePooling3D((1, 2, 2)), layers.MaxPooling3D(1), layers.Rescaling(1 / 255)), BYTES),
    "shades of grey": ((lambda clips: keras.ops.mean(clips, -1, keepdims=True), layers.Rescaling(1 / 255)), BYTES),
    "clipped": ((lambda clips: keras.ops.clip(clips, 0, 255) / 127.5 - 1,), BYTES),
    "a batch norm": ((layers.BatchNormalization(),), None),
    "mixed precision": ((layers.Rescaling(1 / 255, dtype="mixed_float16"),), BYTES),
}


@pytest.mark.parametrize("first", FIRST)
def test_the_first_layers_say_what_a_model_takes(first):
    made_of, expected = FIRST[first]
    assert read_range(network(*made_of)) == expected


def branches(*scales):
    """A model of parallel branches, each of the clips times a scale; None: a convolution of the unscaled clips."""
    clips = keras.Input(SHAPE)
    sides = [layers.Conv3D(3, 1)(clips if scale is None else layers.Rescaling(scale)(clips)) for scale in scales]
    return keras.Model(clips, layers.Dense(2)(layers.Flatten()(layers.Concatenate()(sides))))


@pytest.mark.parametrize(
    ("scales", "ranges", "expected"),
    [
        ((1 / 255, 2.0), {BYTES, UNIT}, None),
        ((1 / 255, None), {BYTES, UNSCALED}, None),
        ((None, 1 / 255), {BYTES, UNSCALED}, None),
        ((2.0, None), {UNIT, UNSCALED}, UNIT),
        ((1 / 255, 1 / 255), {BYTES}, BYTES),
        ((None, None), {UNSCALED}, None),
    ],
)
def test_branches_have_to_agree(scales, ranges, expected):
    found = read_ranges(trace_calls(branches(*scales), SHAPE).clips)
    assert found == ranges and agreed(found) == expected


def test_an_unscaled_branch_is_seen_behind_a_concatenation_too():
    clips = keras.Input(SHAPE)
    both = layers.Concatenate()([clips, layers.Rescaling(1 / 255)(clips)])
    model = keras.Model(clips, layers.Dense(2)(layers.Flatten()(layers.Conv3D(2, 1)(both))))
    assert read_ranges(trace_calls(model, SHAPE).clips) == {BYTES, UNSCALED}


def test_a_mask_of_the_clips_is_no_branch():
    clips = keras.Input(SHAPE)
    is_black = keras.ops.cast(keras.ops.equal(clips, 0), "float32")
    model = keras.Model(clips, layers.Dense(2)(layers.Flatten()(layers.Rescaling(1 / 255)(clips) + is_black)))
    assert read_range(model) == BYTES


def test_branches_that_disagree_are_warned_of_and_clips_are_given_as_they_are():
    explain, clips = tfvid.GradCAM(branches(1 / 255, None)), clips_of()
    with pytest.warns(RuntimeWarning, match="take 0 to 255; another branch uses the clips unscaled.*=.0, 255.") as seen:
        explain(clips)
    assert seen[0].filename == __file__ and explain.classifier.input_range is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tfvid.GradCAM(branches(1 / 255, None), input_range=(0, 255))(clips)
        tfvid.GradCAM(branches(1 / 255, None), input_range=None)(clips)


def test_a_subclassed_model_is_read_too():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.head = layers.Dense(3)

        def call(self, clips):
            return self.head(tf.reduce_mean(tf.cast(clips, tf.float32) / 255.0, (1, 2, 3)))

    model = Own()
    model(clips_of())
    assert read_range(model) == BYTES


@pytest.mark.parametrize(
    ("scale", "offset", "expected"),
    [
        (1 / 255, 0.0, BYTES),
        (1 / 65535, 0.0, None),  # of 16 bits
        (1.0, 0.0, UNIT),
        (1.0, -0.5, UNIT),
        (1.0, -128.0, BYTES),
        (1.0, -5000.0, None),
        (255.0, 0.0, None),  # whatever comes next is given 0 to 255: it has not said what it makes of them
        (0.0, 0.0, None),
    ],
)
def test_ranges_by_hand(scale, offset, expected):
    assert range_of(np.array(scale), np.array(offset)) == expected


# Clips brought to it --------------------------------------------------------------------------------------------------


SCALED = ("grad_cam", "gradient", "temporal_mask", "occlusion", "integrated_gradients", "excitation_backprop")


@pytest.mark.parametrize("method", SCALED)
def test_clips_in_0_to_1_are_explained_as_by_the_model_without_its_rescaling(method):
    options = {"iterations": 5} if method == "temporal_mask" else {}
    clips = clips_of()
    plain = tfvid.explainer(method, network(), **options)(clips)
    scaled = tfvid.explainer(method, network(layers.Rescaling(1 / 255)), **options)(clips)
    np.testing.assert_array_equal(scaled.predicted, plain.predicted)
    for field in ("attribution", "mask", "score", "original_score"):
        if hasattr(plain, field):
            np.testing.assert_allclose(getattr(scaled, field), getattr(plain, field), atol=2e-5, err_msg=field)


def test_clips_as_the_model_takes_them_are_left_as_they_are_with_a_warning():
    """What callers did before anything was read from the model goes on."""
    model, clips = network(layers.Rescaling(1 / 255)), clips_of()
    in_unit = tfvid.GradCAM(model)(clips)
    with pytest.warns(
        RuntimeWarning, match=r"\[0, 1\], got .* to .*; they are given .*take 0 to 255; input_range=None"
    ):
        as_they_are = tfvid.GradCAM(model)(clips * 255)
    np.testing.assert_allclose(as_they_are.attribution, in_unit.attribution, atol=1e-5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        said = tfvid.GradCAM(model, input_range=None)(clips * 255)
    np.testing.assert_array_equal(said.attribution, as_they_are.attribution)


def test_clips_of_another_range_than_the_first_ones_are_refused():
    explain = tfvid.GradCAM(network(layers.Rescaling(1 / 255)))
    explain(clips_of())
    with pytest.raises(TfvidError, match=r"expected clips in \[0, 1\], which are scaled to the model's 0 to 255, got"):
        explain(clips_of() * 255)
    explain(clips_of() + np.float32(0.3))  # noise, as the measures of sensitivity add it


def test_clips_in_0_to_1_after_others_are_given_as_they_are_with_a_warning():
    explain = tfvid.GradCAM(network(layers.Rescaling(1 / 255)))
    with pytest.warns(RuntimeWarning, match="input_range=None"):
        explain(clips_of() * 255)
    explain(np.zeros((1, *SHAPE), np.float32))  # black in any range
    with pytest.warns(RuntimeWarning, match=r"after clips outside \[0, 1\].*input_range=\(0, 255\) scales such"):
        explain(clips_of())


def test_a_range_that_is_given():
    """logits: 1 x the first pixel's red, as the model sees it."""
    clips = keras.Input((1, 1, 1, 3))
    model = keras.Model(clips, layers.Lambda(lambda x: x[:, 0, 0, 0])(clips))
    pixel = np.array([0.0, 0.5, 1.0], np.float32).reshape(1, 1, 1, 1, 3)
    for given, expected in (((-1, 1), [-1, 0, 1]), ((0, 255), [0, 127.5, 255]), (None, [0, 0.5, 1])):
        classifier = Classifier(model, "logits", input_range=given)
        classifier.prepare(tf.constant(pixel))
        np.testing.assert_allclose(classifier.logits(pixel)[0], expected)
    tfvid.declare(model, input_range=(0, 10), channels="bgr", output="logits")
    classifier = Classifier(model)
    classifier.prepare(tf.constant(pixel))
    np.testing.assert_allclose(classifier.logits(pixel)[0], [10, 5, 0])
    assert classifier.output == "logits"


@pytest.mark.parametrize("given", [(1, 0), (0, 0), 5, "bytes", (0, 1, 2), (0, float("nan")), ("a", "b")])
def test_ranges_that_are_none(given):
    for say in (lambda: tfvid.GradCAM(network(), input_range=given), lambda: ModelFormat(input_range=given)):
        with pytest.raises(
            TfvidError, match="input_range: expected the values that the model expects for black and white"
        ):
            say()


def test_what_is_declared_is_known_everywhere():
    model, clips = network(), clips_of()
    plain = network(layers.Rescaling(255.0))  # a model that is given 0 to 255
    tfvid.declare(model, input_range=(0, 255))
    assert declared(model).input_range == BYTES and declared(plain) == ModelFormat()
    target = np.array([0, 1])
    scores = []
    for net in (model, plain):
        scorer = Scorer(net)
        checked, classes = scorer.checked(clips, target)
        scores.append(scorer(checked, classes))
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-6)
    batches = tf.data.Dataset.from_tensors({"clip": clips, "label": target, "id": ["a", "b"]})
    logits = [predict(net, batches).logits["forward"] for net in (model, plain)]
    np.testing.assert_allclose(logits[0], logits[1], rtol=1e-5)
    assert ClipExplainers(model).settings["model.input_range"] == BYTES
    assert "model.input_range" not in ClipExplainers(plain).settings
    with pytest.raises(TfvidError, match="unknown a model's field 'range'"):
        tfvid.declare(model, range=(0, 1))


def test_a_card_says_it(tmp_path):
    network().save(tmp_path / "net.keras")
    card = ModelCard("net", ("a", "b", "c"), 3, (4, 4), input_range=(0.0, 255.0), channels="bgr", output="logits")
    (tmp_path / "card.json").write_text(card.to_json())
    assert read_card(tmp_path / "card.json") == card
    assert declared(load_model(tmp_path / "net.keras")) == ModelFormat((0, 255), "bgr", "logits")
    (tmp_path / "card.json").write_text(card.to_json().replace("255.0", "-1"))
    with pytest.raises(TfvidError, match=r"'input_range': a value of the wrong type; expected \[lowest, highest\]"):
        load_model(tmp_path / "net.keras")


def test_a_callback_explains_what_fit_is_given(tmp_path):
    """Clips in [0, 1], for a model that takes 0 to 255, and for one that makes 0 to 255 of them itself."""
    clips, labels = clips_of(), np.array([0, 1])
    rows = []
    for model, given in ((network(), {"input_range": (0, 255)}), (network(layers.Rescaling(255.0)), {})):
        model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), optimizer="sgd")
        explainers = {"temporal_mask": {"iterations": 2}}
        logger = ExplanationLogger(explainers, clips, tmp_path / str(len(rows)), labels=labels, **given)
        logger.set_model(model)
        logger.on_train_begin()
        logger.on_epoch_begin(0)
        rows.append(logger.table)
    assert [row["OS"] for row in rows[0]] == pytest.approx([row["OS"] for row in rows[1]], rel=1e-4)
    with pytest.raises(
        TfvidError,
        match=r"floats in \[0, 1\], got .* pass the range that the model expects as input_range=\(low, high\)",
    ):
        ExplanationLogger(["grad_cam"], clips * 255, tmp_path)


def test_a_study_says_it_of_its_models():
    groups = [{"name": "a", "paths": ["x"], "input_range": [0, 255], "channels": "bgr"}, {"name": "b", "paths": ["y"]}]
    first, second = from_dict({"models": groups}, kind=StudyConfig).models
    assert (first.input_range, first.channels, second.input_range) == ((0.0, 255.0), "bgr", None)
    with pytest.raises(ConfigError, match="channels: unknown value 'gbr'"):
        from_dict({"models": [groups[0] | {"channels": "gbr"}, groups[1]]}, kind=StudyConfig)


# What ends in a softmax -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("last", [layers.Activation("linear", dtype="float32"), layers.Identity()])
def test_a_layer_behind_the_softmax_that_only_casts_is_looked_through(last):
    """The mixed-precision guide's pattern; taken for logits, a probability of 1 became .475."""
    clips = keras.Input(SHAPE)
    hidden = layers.Dense(3, activation="softmax", name="head")(layers.Flatten()(clips))
    classifier = Classifier(keras.Model(clips, last(hidden)))
    classifier.prepare(tf.constant(clips_of()))
    assert classifier.output == "probabilities" and classifier.has_logits
    logits, probabilities = classifier.logits(clips_of()), classifier.probabilities(clips_of())
    np.testing.assert_allclose(tf.nn.softmax(logits), probabilities, atol=1e-5)
    assert np.abs(logits - tf.math.log(probabilities)).max() > 1e-3  # the head's own, not logarithms


@pytest.mark.parametrize("last", [layers.Softmax(), layers.Activation("softmax")])
def test_a_softmax_that_the_model_also_uses_elsewhere_stays_there(last):
    """Left out in both places, the attention's too, it gave the logits of another network."""
    clips = keras.Input(SHAPE)
    hidden = layers.Dense(3)(layers.Flatten()(clips))
    model = keras.Model(clips, last(layers.Dense(3)(hidden * last(hidden))))
    classifier = Classifier(model)
    classifier.prepare(tf.constant(clips_of()))
    logits = classifier.logits(clips_of())
    np.testing.assert_allclose(tf.nn.softmax(logits), model(clips_of()), atol=1e-5)


# Guessing -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("right", "clips", "classes", "is_chance"),
    [
        (0, 20, 5, True),
        (7, 20, 5, True),  # 7 or more of 20 at 1 / 5: p = .087
        (8, 20, 5, False),  # p = .032
        (14, 20, 2, True),  # p = .058
        (15, 20, 2, False),  # p = .021
        (0, 19, 5, False),  # too few to tell
    ],
)
def test_chance_by_hand(right, clips, classes, is_chance):
    assert (chance_warning(right, clips, classes) is not None) == is_chance
