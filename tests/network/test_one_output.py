"""Models with one output unit: two classes, and what is explained is what was predicted."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from quick_explainers import METHODS, QUICK

import tfvid
from tfvid.core.errors import ModelError, TfvidError
from tfvid.experiments.evaluation import measure, predict
from tfvid.metrics import deletion
from tfvid.models.loading import load_card
from tfvid.network.classifier import Classifier

SHAPE = (4, 6, 6, 3)
WEIGHTS = np.array([[1.0], [-2.0]], np.float32)


def network(units=1, head="sigmoid", bias=-0.5):
    """z = mean of a ReLU feature - 2 x mean of another + bias; with two units, class 0 has -z."""
    clips = keras.Input(SHAPE)
    features = layers.Conv3D(2, 3, padding="same", activation="relu", name="conv")(clips)
    pooled = layers.GlobalAveragePooling3D()(features)
    model = keras.Model(clips, layers.Dense(units, activation=head, name="head")(pooled))
    conv, last = model.get_layer("conv"), model.get_layer("head")
    conv.kernel.assign(np.random.default_rng(0).normal(0, 0.4, conv.kernel.shape))
    weights, biases = (WEIGHTS, [bias]) if units == 1 else (np.hstack([-WEIGHTS, WEIGHTS]), [-bias, bias])
    last.set_weights([weights, np.array(biases, np.float32)])
    return model


@pytest.fixture(scope="module")
def clips():
    return np.random.default_rng(1).random((2, *SHAPE), np.float32)


def bare(value):
    """A model of a pixel, whose one output is z = `value`."""
    clips = keras.Input((1, 1, 1, 3))
    z = layers.Dense(1, kernel_initializer="zeros", bias_initializer=keras.initializers.Constant(value))
    return clips, z(layers.Flatten()(clips))


def sigmoid_layer(z):
    return layers.Activation("sigmoid", dtype="float32")(z)


class Hidden(layers.Layer):
    """A sigmoid that cannot be left out."""

    def call(self, z):
        return 1 / (1 + tf.exp(-z))


PIXEL = np.zeros((1, 1, 1, 1, 3), np.float32)


@pytest.mark.parametrize(("last", "output"), [(sigmoid_layer, "auto"), (Hidden(), "probabilities"), (None, "logits")])
def test_scores_by_hand(last, output):
    """z = -2.787: p = .0580 for class 1, .9420 for class 0, whose log odds are 2.787."""
    inputs, z = bare(-2.787)
    classifier = Classifier(keras.Model(inputs, z if last is None else last(z)), output)
    classifier.prepare(tf.constant(PIXEL))
    assert (classifier.num_classes, classifier.num_units) == (2, 1)
    np.testing.assert_allclose(classifier.probabilities(PIXEL), [[0.9420, 0.0580]], atol=1e-4)
    np.testing.assert_allclose(classifier.logits(PIXEL), [[2.787, -2.787]], atol=1e-4)


def test_a_logit_is_known_by_the_loss():
    for loss, is_known in (
        (keras.losses.BinaryCrossentropy(from_logits=True), True),
        (keras.losses.BinaryFocalCrossentropy(from_logits=True), True),
        (
            keras.losses.BinaryCrossentropy(),
            False,
        ),  # of a linear unit: mostly a mistake, its outputs are no probabilities
        ("mse", False),
        (None, False),
    ):
        model = keras.Model(*bare(1.0))
        if loss is not None:
            model.compile(loss=loss)
        classifier = Classifier(model)
        if is_known:
            classifier.prepare(tf.constant(PIXEL))
            assert classifier.output == "logits"
        else:
            with pytest.raises(ModelError, match="output='logits' says that it is the logit of class 1"):
                classifier.prepare(tf.constant(PIXEL))


def test_what_is_said_to_be_a_probability_must_be_one():
    """Read as p, an output of 3 would be class 1 with the score 3 and class 0 with -2."""
    with pytest.raises(ModelError, match="expected probabilities, got scores of 3 to 3; output='logits'"):
        Classifier(keras.Model(*bare(3.0)), "probabilities").prepare(tf.constant(PIXEL))
    with pytest.raises(ModelError, match="expected probabilities, got scores of 3 to 3"):
        Classifier(lambda clips: np.full((len(clips), 1), 3.0), "probabilities", any_callable=True).prepare(
            tf.constant(PIXEL)
        )


def test_what_is_explained_is_what_was_predicted():
    """The issue's case: p = .058 is "no", with the score .942."""
    model = network(bias=-2.8)
    model.get_layer("conv").kernel.assign(tf.zeros_like(model.get_layer("conv").kernel))
    result = tfvid.TemporalMask(model, iterations=2)(np.zeros((1, *SHAPE), np.float32))
    assert (result.predicted[0], result.target[0]) == (0, 0)
    assert result.original_score[0] == pytest.approx(1 / (1 + np.exp(-2.8)), abs=1e-5)


TWINS = (
    *("grad_cam", "temporal_mask", "gradient", "saliency_tubes", "rise"),
    *("excitation_backprop", "contrastive_excitation_backprop"),
)
OF_LOGITS = (
    *("grad_cam", "grad_cam_plus_plus", "layer_cam", "score_cam", "saliency_tubes"),
    *("gradient", "gradient_x_input", "smooth_grad", "smooth_grad_squared", "var_grad", "guided_backprop", "deconv"),
    *(
        "integrated_gradients",
        "blur_ig",
        "expected_gradients",
        "excitation_backprop",
        "contrastive_excitation_backprop",
        "class_feature_pyramids",
        "lrp",
        "deep_lift",
        "deep_shap",
    ),
)


@pytest.mark.parametrize("method", [m if m in TWINS else pytest.param(m, marks=pytest.mark.long) for m in METHODS])
def test_every_method_explains_both_classes_as_of_a_model_with_two_outputs(method, clips):
    """Of logits -z and z; where probabilities are asked for, of -z / 2 and z / 2, whose softmax is sigmoid(z)."""
    explain_one = tfvid.explainer(method, network(), **QUICK.get(method, {}))
    twin = network(2, "softmax")
    if method not in OF_LOGITS:
        head = twin.get_layer("head")
        head.set_weights([weights / 2 for weights in head.get_weights()])
    explain_two = tfvid.explainer(method, twin, **QUICK.get(method, {}))
    for target in (0, 1):
        one, two = explain_one(clips, target=target), explain_two(clips, target=target)
        np.testing.assert_array_equal(one.predicted, two.predicted)
        np.testing.assert_array_equal(one.target, two.target)
        for field in ("attribution", "native", "mask", "score"):
            if hasattr(one, field):
                np.testing.assert_allclose(getattr(one, field), getattr(two, field), atol=1e-4, err_msg=field)


def test_measures_and_evaluation_know_both_classes(clips):
    one, two = network(), network(2, "softmax")
    head = two.get_layer("head")
    head.set_weights([weights / 2 for weights in head.get_weights()])
    maps, target = np.random.default_rng(2).random((2, *SHAPE[:3]), np.float32), np.array([0, 1])
    np.testing.assert_allclose(deletion(one, clips, maps, target), deletion(two, clips, maps, target), atol=1e-5)
    batches = tf.data.Dataset.from_tensors({"clip": clips, "label": target, "id": ["a", "b"]})
    answers = [predict(model, batches) for model in (one, two)]
    np.testing.assert_allclose(answers[0].logits["forward"], 2 * answers[1].logits["forward"], atol=1e-4)
    assert measure(answers[0])["forward"]["top_1"] == measure(answers[1])["forward"]["top_1"]


def test_targets_and_labels_are_0_and_1(clips):
    explain = tfvid.GradCAM(network())
    np.testing.assert_array_equal(explain(clips, target=[0, 1]).target, [0, 1])
    with pytest.raises(TfvidError, match="target: expected classes 0 to 1, got 2"):
        explain(clips, target=2)


def test_the_card_names_two_classes(tmp_path):
    model = network()
    model.save(tmp_path / "net.keras")
    assert load_card(tmp_path / "net.keras", model).class_names == ("class 0", "class 1")
    (tmp_path / "card.json").write_text('{"name": "n", "class_names": ["yes"], "num_frames": 4, "size": [6, 6]}')
    with pytest.raises(ModelError, match="1 class names for 1 logit, which tells class 1 from class 0: 2 names"):
        load_card(tmp_path / "net.keras", model)


def test_it_is_exported_with_both_classes(tmp_path, clips):
    model = network()
    exported = tfvid.export.load(tfvid.export.save(model, tmp_path / "1", mask={"iterations": 2}))
    p = np.asarray(model(clips))[:, 0]
    np.testing.assert_allclose(exported.classify(clips), np.stack([1 - p, p], 1), atol=1e-6)
    ours = tfvid.GradCAM(model)(clips)
    np.testing.assert_array_equal(exported.grad_cam(clips).predicted, ours.predicted)
    np.testing.assert_allclose(exported.grad_cam(clips).attribution, ours.attribution, atol=1e-5)
