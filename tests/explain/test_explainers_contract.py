"""What holds for every explainer in the registry, on every build of Keras model."""

import dataclasses
import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
import toy_models
from keras import layers
from quick_explainers import METHODS, OF_CONV3D, POOLED, QUICK, arrays

from tfvid.core.errors import ModelError, TfvidError
from tfvid.explain import EXPLAINERS, explainer
from tfvid.explain.base import Explainer
from tfvid.network.classifier import Classifier
from tfvid.network.tracing import named_layers
from tfvid.testing import check_explainer

COUNTS = {
    "target",
    "predicted",
    "iterations",
    "forward_passes",
    "backward_passes",
    "window",
    "segments",
}  # whole numbers in results
FLAGS = {"still", "keeps", "reached", "kernels"}  # bool
NOT_KNOWN = {"true_score", "window_loss", "kept_score"}  # NaN where nothing was asked that tells
MODELS = list(toy_models.BUILDS)


def build(name, model, **options):
    return explainer(name, model, **QUICK.get(name, {}), **options)


def toy(method, model_name):
    return toy_models.build(model_name, pooled=method in POOLED)


def scores_only(method):
    return EXPLAINERS.find(method).scores_only


def rounding(model_name):
    """How far two runs of one computation may lie apart: threads add in no fixed order, and bfloat16 shows it."""
    return 1e-2 if model_name == "mixed_precision" else 1e-4


def assert_same(first, second, atol):
    for name, value in arrays(first).items():
        relative = atol if atol > 1e-3 else 1e-7  # the steps of bfloat16 grow with the value
        absolute = 5 * atol if name == "completeness_gap" else atol  # a difference of two scores
        np.testing.assert_allclose(arrays(second)[name], value, atol=absolute, rtol=relative, err_msg=name)


def assert_close(first, second, model_name):
    """Of two batch sizes, whose kernels round differently in bfloat16: 15 % of the largest value, 1 % on average."""
    if model_name != "mixed_precision":
        return assert_same(first, second, atol=rounding(model_name))
    for name in arrays(first).keys() - NOT_KNOWN:
        value = arrays(first)[name]
        largest = np.abs(first.score if name == "completeness_gap" else value).max()  # a gap is a difference of scores
        difference = np.abs(arrays(second)[name] - value.astype(np.float32))
        assert difference.max() <= 0.15 * largest and difference.mean() <= 0.01 * largest, name


def fingerprint(model):
    """Everything of a model that an explainer could leave changed."""
    return {
        path: (
            layer.trainable,
            sorted(vars(layer)),
            vars(layer).get("call"),
            vars(layer).get("activation"),
            layer.dtype_policy.name,
            [w.numpy().tobytes() for w in layer.weights],
        )
        for path, layer in [("", model), *named_layers(model)]
    }


def on(*models, but=("functional",)):
    """A test on each of these builds of model, marked long but for some."""
    return pytest.mark.parametrize(
        "model_name", [name if name in but else pytest.param(name, marks=pytest.mark.long) for name in models]
    )


@functools.lru_cache(maxsize=len(METHODS))
def shared(method, model_name="functional"):
    """A model, its `fingerprint`, and an explainer of it, which tests share: tracing takes most of their time."""
    keras.utils.set_random_seed(0)
    model = toy(method, model_name)
    return model, fingerprint(model), build(method, model, batch_size=2)


@pytest.mark.parametrize("method", METHODS)
def test_the_public_contract(method):
    check_explainer(method, **QUICK.get(method, {}))


@on(*MODELS, but=())
@pytest.mark.parametrize("method", METHODS)
def test_contract(method, model_name):
    """Shapes, dtypes, batch independence, determinism, one trace, the model unchanged."""
    (model, before, explain), clips = shared(method, model_name), toy_models.clips(3)
    if method in OF_CONV3D and model_name == "per_frame":
        with pytest.raises(ModelError, match="no rule for its operation Conv2D"):
            explain(clips)
        return
    result = explain(clips)

    assert len(result) == 3
    for name, value in arrays(result).items():
        assert isinstance(value, np.ndarray) and len(value) == 3, name
        assert value.dtype == (np.int32 if name in COUNTS else bool if name in FLAGS else np.float32), name
        assert name in NOT_KNOWN or np.isfinite(value).all(), name
    for name, shape in {"attribution": (3, 6, 8, 8), "mask": (3, 6), "window": (3, 2)}.items():
        assert getattr(result, name, np.empty(shape)).shape == shape

    scores = model(clips, training=False).numpy()
    np.testing.assert_array_equal(result.predicted, scores.argmax(-1))
    np.testing.assert_array_equal(result.target, result.predicted)

    assert_same(result, explain(clips), atol=rounding(model_name))
    assert_close(result, build(method, model, batch_size=3)(clips), model_name)
    assert explain.traces == 1  # chunks of 2 and of 1 share it
    assert fingerprint(model) == before


@pytest.mark.long
@pytest.mark.parametrize("method", METHODS)
def test_target(method):
    (_, _, explain), clips = shared(method), toy_models.clips(3)
    np.testing.assert_array_equal(explain(clips, 2).target, [2, 2, 2])
    np.testing.assert_array_equal(explain(clips, np.array([2, 0, 1])).target, [2, 0, 1])
    one = explain(clips[1:2], [0])
    assert_same(
        one, dataclasses.replace(one, **{k: v[1:2] for k, v in arrays(explain(clips, [2, 0, 1])).items()}), 1e-4
    )
    for bad in (3, -1, [0, 1], 1.0, "cat"):
        with pytest.raises(TfvidError, match="target: expected"):
            explain(clips, bad)


@pytest.mark.long
@pytest.mark.parametrize("method", METHODS)
def test_model_is_unchanged_after_an_error(method):
    model, clips = toy(method, "subclassed"), toy_models.clips(2)
    before = fingerprint(model)
    model.fail = True
    for _ in range(2):
        with pytest.raises(ModelError, match="cannot be run on one input, clips .*RuntimeError: .*told to fail"):
            build(method, model)(clips)
    model.fail = False
    explain = build(method, model)
    explain.classifier.prepare(tf.constant(clips))
    model.fail = True
    with pytest.raises(RuntimeError, match="told to fail"):
        explain(clips)
    model.fail = False
    assert fingerprint(model) == before
    assert len(explain(clips)) == 2


@on("functional", "nested", "subclassed", "mixed_precision", but=())
@pytest.mark.parametrize("method", METHODS)
def test_saved_and_reloaded_model_gives_the_same(method, model_name, tmp_path):
    model, clips = toy(method, model_name), toy_models.clips(2)
    model.save(tmp_path / "model.keras")
    reloaded = keras.models.load_model(tmp_path / "model.keras")
    assert_same(build(method, model)(clips), build(method, reloaded)(clips), atol=rounding(model_name))


LEARNED = {"temporal_mask", "meaningful_perturbation", "extremal_perturbation", "extremal_perturbation_3d", "step"}


@pytest.mark.parametrize(  # `Classifier` builds it, for all methods alike; masks that are learned take longest
    "method", [pytest.param(name, marks=pytest.mark.long) if name in LEARNED else name for name in METHODS]
)
def test_a_model_that_was_never_built(method):
    """It is built for any number of clips, not for the one or two it happens to see first."""
    body = [layers.Conv3D(4, 3, padding="same", activation="relu"), layers.GlobalAveragePooling3D(), layers.Dense(3)]
    explain = build(method, keras.Sequential(body))
    assert len(explain(toy_models.clips(1))) == 1
    assert len(explain(toy_models.clips(3))) == 3


@pytest.mark.parametrize("method", METHODS)
def test_clips_that_do_not_fit(method):
    (_, _, explain), clips = shared(method), toy_models.clips(3)
    broken = clips.copy()
    broken[1, 2, 3, 4, 0] = np.nan
    for bad, message in [
        (clips[0], r"expected clips of shape \(B, T, H, W, C\), got \(6, 8, 8, 3\)"),
        (clips[:0], "expected clips of shape"),
        (clips[:, :4], r"takes clips of shape \(None, 6, 8, 8, 3\), got \(3, 4, 8, 8, 3\)"),
        (np.uint8(255 * clips), "expected float clips .* got uint8"),
        (broken, "clip 1 has NaN or infinite pixels"),
        (clips + np.float32("inf"), "clip 0 has NaN or infinite"),
    ]:
        with pytest.raises(TfvidError, match=message):
            explain(bad)


@pytest.mark.parametrize("method", METHODS)
def test_models_that_do_not_fit(method):
    clips = toy_models.clips(2)
    inputs, flat = keras.Input(toy_models.SHAPE), layers.Flatten()
    integers = keras.Input(toy_models.SHAPE, dtype="uint8")
    for model, message in [
        (keras.Model([inputs, keras.Input((2,))], layers.Dense(3)(flat(inputs))), "expected a model with one input"),
        (keras.Model(inputs, [layers.Dense(3)(flat(inputs))] * 2), "expected a model with one output"),
        (keras.Model(inputs, layers.Dense(1)(flat(inputs))), "one output and no sigmoid"),
        (keras.Model(integers, layers.Dense(3)(layers.Rescaling(1 / 255)(flat(integers)))), "input is uint8"),
        (keras.Model(x := keras.Input(batch_shape=(2, *toy_models.SHAPE)), layers.Dense(3)(flat(x))), "any batch size"),
    ]:
        with pytest.raises(ModelError, match=message):
            build(method, model)(clips)
    expected = "a Keras model or a function of clips, got str" if scores_only(method) else "a Keras model, got function"
    with pytest.raises(ModelError, match=f"expected {expected}"):
        build(method, "model" if scores_only(method) else lambda clips: clips)


@pytest.mark.parametrize("method", [name for name in METHODS if EXPLAINERS.find(name).scores_only])
def test_any_callable(method):
    """A model from anywhere, NumPy in and out, is explained as the Keras model it stands for."""
    model, clips = toy(method, "functional"), toy_models.clips(3)

    def anywhere(array):
        assert isinstance(array, np.ndarray) and array.dtype == np.float32
        return model(array, training=False).numpy().astype(np.float64)

    assert_same(build(method, anywhere)(clips, 1), build(method, model)(clips, 1), atol=1e-4)
    for bad in (
        lambda clips: np.zeros(len(clips)),
        lambda clips: np.zeros((7, 3)),
        lambda clips: np.zeros((2, 3), int),
    ):
        with pytest.raises(ModelError, match="returns float scores"):
            build(method, bad)(clips[:2])


def test_unknown_names():
    with pytest.raises(TfvidError, match="did you mean 'grad_cam'"):
        explainer("grad_cm", toy_models.build("functional"))
    with pytest.raises(TfvidError, match="unknown output 'logit'; did you mean 'logits'"):
        explainer("grad_cam", toy_models.build("functional"), output="logit")
    with pytest.raises(TfvidError, match="batch_size must be 1 or more"):
        explainer("grad_cam", toy_models.build("functional"), batch_size=0)


def test_an_explainer_of_ones_own(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from tfvid.explain.base import Explainer\n"
        "class Mine(Explainer):\n"
        "    def _compute(self, clips, target):\n"
        "        return {'attribution': clips[..., 0]}\n"
    )
    mine = explainer(f"{tmp_path}/mine.py:Mine", toy_models.build("functional"))
    assert isinstance(mine, Explainer)
    clips = toy_models.clips(2)
    result = mine(clips, 1)
    np.testing.assert_array_equal(result.target, [1, 1])
    np.testing.assert_array_equal(result.attribution, clips[..., 0])
    probabilities = mine.classifier.probabilities(tf.constant(clips)).numpy()
    np.testing.assert_array_equal(result.predicted, probabilities.argmax(-1))
    np.testing.assert_allclose(result.score, probabilities[:, 1], rtol=1e-6)


def test_an_explainer_that_computes_the_wrong_fields_is_refused():
    class Misnamed(Explainer):
        def _compute(self, clips, target):
            return {"map": clips[..., 0]}

    expected = "^Misnamed._compute: expected the fields of Attribution, target, predicted, score, attribution; got map"
    with pytest.raises(TfvidError, match=expected):
        Misnamed(toy_models.build("functional"))(toy_models.clips(2))


# How the classifier finds out what a model returns.


class SoftmaxInCall(toy_models.Subclassed):
    def call(self, inputs):
        return keras.ops.softmax(super().call(inputs))


HEADS = {
    "dense": lambda: [layers.Dense(3, activation="softmax")],
    "activation": lambda: [layers.Dense(3), layers.Activation("softmax", dtype="float32")],
    "softmax layer": lambda: [layers.Dense(3), layers.Softmax()],
    "dropout last": lambda: [layers.Dense(3, activation="softmax"), layers.Dropout(0.5)],
    "nested": lambda: [keras.Sequential([layers.Dense(4), layers.Dense(3), layers.Softmax()])],
    "sigmoid": lambda: [layers.Dense(3, activation="sigmoid")],
}


@pytest.mark.parametrize("head", HEADS)
def test_logits_are_the_values_before_the_last_activation(head):
    model = keras.Sequential([keras.Input(toy_models.SHAPE), layers.Flatten(), *HEADS[head]()])
    clips, before = tf.constant(toy_models.clips(2)), fingerprint(model)
    classifier = Classifier(model)
    classifier.prepare(clips)
    assert classifier.output == ("sigmoid" if head == "sigmoid" else "probabilities")
    logits, probabilities = classifier.logits(clips), classifier.probabilities(clips)
    squash = tf.sigmoid if head == "sigmoid" else tf.nn.softmax
    np.testing.assert_allclose(squash(logits), probabilities, atol=1e-6)
    assert not np.allclose(logits, np.log(probabilities), atol=1e-3)
    np.testing.assert_allclose(model(clips, training=False), probabilities, atol=1e-6)
    assert fingerprint(model) == before


def test_logits_of_a_softmax_in_call_are_log_probabilities():
    model, clips = SoftmaxInCall(), tf.constant(toy_models.clips(2))
    classifier = Classifier(model)
    classifier.prepare(clips)
    assert classifier.output == "probabilities"
    np.testing.assert_allclose(classifier.logits(clips), np.log(model(clips)), atol=1e-6)


@pytest.mark.parametrize("model_name", ["functional", "sequential", "nested", "subclassed", "mixed_precision"])
def test_logits_are_recognised(model_name):
    model, clips = toy_models.build(model_name), tf.constant(toy_models.clips(2))
    classifier = Classifier(model)
    classifier.prepare(clips)
    assert (classifier.output, classifier.num_classes) == ("logits", 3)
    assert classifier.logits(clips).dtype == classifier.probabilities(clips).dtype == tf.float32
    np.testing.assert_allclose(classifier.probabilities(clips), tf.nn.softmax(classifier.logits(clips)), atol=1e-6)


def test_output_can_be_named():
    model, clips = toy_models.build("softmax"), tf.constant(toy_models.clips(2))
    classifier = Classifier(model, "logits")  # a lie, kept to
    classifier.prepare(clips)
    np.testing.assert_allclose(classifier.logits(clips), model(clips), atol=1e-6)
