"""Models and cards from disk: every form is found, everything that is wrong is one line."""

import json
import re
import shutil
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from tfvid.config import RunConfig, to_yaml
from tfvid.core.errors import ModelError
from tfvid.models.card import ModelCard, read_card
from tfvid.models.conv_lstm import ConvLSTM
from tfvid.models.loading import load_card, load_model, load_weights, stable_names
from tfvid.training.export import write_saved_model

CARD = ModelCard("tiny", ("a", "b"), 4, (8, 8), "shapes", "conv_lstm_1", {0: 1, 1: 0}, {"top_1": 0.5})


def tiny(num_classes=2, **options):
    return ConvLSTM(num_classes, 4, (8, 8), blocks=1, **{"filters": 2, "kernel": 3, **options})


def another(num_classes=2):
    """With other weights than `model` has, which is as random as a test's first."""
    keras.utils.set_random_seed(1)
    return tiny(num_classes)


@pytest.fixture(scope="module")
def model():
    return tiny()


@pytest.fixture(scope="module")
def clips():
    return np.random.default_rng(0).random((2, 4, 8, 8, 3), np.float32)


@pytest.fixture
def file(tmp_path, model):
    model.save(tmp_path / "net.keras")
    return tmp_path / "net.keras"


@pytest.fixture
def folder(tmp_path, model):
    """A saved_models/<name> folder."""
    write_saved_model(tmp_path / "saved" / "tiny", model, CARD, to_yaml(RunConfig()))
    return tmp_path / "saved" / "tiny"


def message(path, load=load_model):
    with pytest.raises(ModelError) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)
    return str(caught.value)


def test_a_keras_file(file, model, clips):
    np.testing.assert_allclose(load_model(file)(clips), model(clips), atol=1e-6)


def test_a_saved_model_folder(folder, model, clips):
    np.testing.assert_allclose(load_model(folder)(clips), model(clips), atol=1e-6)
    assert load_card(folder) == CARD
    assert load_card(folder, load_model(folder)) == CARD


def test_a_saved_model_is_one_for_tensorflow_too(folder, model, clips):
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder))
    np.testing.assert_allclose(loaded.serve(clips), model(clips), atol=1e-6)


def test_a_run_folder(tmp_path, file, model, clips):
    run = tmp_path / "runs" / "tiny"
    run.mkdir(parents=True)
    shutil.copy(file, run / "model.keras")
    (run / "card.json").write_text(CARD.to_json())
    np.testing.assert_allclose(load_model(run)(clips), model(clips), atol=1e-6)
    assert load_card(run) == CARD


def cross_entropy(scores, labels):
    """Mean over the clips, in float64."""
    scores = np.asarray(scores, np.float64)
    return np.mean(np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(len(labels)), labels])


def test_a_trained_model_can_be_trained_further(folder, model, clips):
    """By what tfvid trains with; its weights, variables and answers are those of the model that is not compiled."""
    labels = np.array([0, 1])
    loaded, plain = load_model(folder), load_model(folder, compile=False)
    assert loaded.compiled and not plain.compiled
    assert [(v.name, v.shape) for v in loaded.variables] == [(v.name, v.shape) for v in plain.variables]
    np.testing.assert_array_equal(loaded(clips), plain(clips))
    measured = loaded.evaluate(clips, labels, verbose=0, return_dict=True)
    assert measured["loss"] == pytest.approx(cross_entropy(model(clips), labels), rel=1e-5)
    assert measured["top_5"] == 1 and measured["accuracy"] in (0, 0.5, 1)
    assert isinstance(loaded.optimizer, keras.optimizers.Adam)
    loaded.fit(clips, labels, epochs=1, verbose=0)
    assert any(not np.array_equal(a, b) for a, b in zip(loaded.weights, plain.weights, strict=True))


@pytest.mark.parametrize("last", [keras.layers.Softmax(), keras.layers.Activation("softmax")])
def test_a_card_beside_a_model_of_probabilities(tmp_path, model, clips, last):
    keras.Sequential([model, last]).save(tmp_path / "model.keras")
    (tmp_path / "card.json").write_text(CARD.to_json())
    loss = load_model(tmp_path).evaluate(clips, np.array([0, 1]), verbose=0)[0]
    assert loss == pytest.approx(cross_entropy(model(clips), [0, 1]), rel=1e-5)


def test_a_card_beside_a_model_of_several_labels(tmp_path, model):
    """Whose loss is not that of classes that exclude each other."""
    keras.Sequential([model, keras.layers.Activation("sigmoid")]).save(tmp_path / "model.keras")
    (tmp_path / "card.json").write_text(CARD.to_json())
    assert not load_model(tmp_path).compiled


@pytest.mark.parametrize("name", ["shapes_i3d", "shapes_conv_lstm"])
def test_models_that_come_with_tfvid_are_compiled(name):
    saved = Path(__file__).resolve().parents[2] / "saved_models"
    config = load_model(saved / name).get_compile_config()
    assert config["loss"]["class_name"] == "SparseCategoricalCrossentropy" and config["loss"]["config"]["from_logits"]


def test_a_model_gets_back_the_loss_and_optimizer_it_was_saved_with(tmp_path, clips):
    before = tiny()
    before.compile(keras.optimizers.SGD(0.5, momentum=0.9), "mean_squared_error", metrics=["mean_absolute_error"])
    before.fit(clips, np.zeros((2, 2), np.float32), verbose=0)
    before.save(tmp_path / "net.keras")
    loaded = load_model(tmp_path / "net.keras")
    assert loaded.loss == "mean_squared_error" and "mean_absolute_error" in loaded.get_compile_config()["metrics"]
    assert len(loaded.optimizer.variables) > 2  # with the momenta
    for ours, theirs in zip(loaded.optimizer.variables, before.optimizer.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for each in (before, loaded):
        each.fit(clips, np.zeros((2, 2), np.float32), verbose=0)
    for ours, theirs in zip(loaded.weights, before.weights, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_a_loss_that_cannot_be_restored_is_said_and_the_model_loaded(tmp_path, clips):
    def own_loss(labels, scores):
        return keras.ops.mean(scores)

    before = tiny()
    before.compile("adam", own_loss)
    before.save(tmp_path / "net.keras")
    with pytest.warns(
        RuntimeWarning, match="net.keras: loaded without its loss .*own_loss.*; call model.compile"
    ) as said:
        loaded = load_model(tmp_path / "net.keras")
    assert not loaded.compiled
    assert said[0].filename == __file__ and "\n" not in str(said[0].message)
    np.testing.assert_allclose(loaded(clips), before(clips), atol=1e-6)


def test_a_file_that_says_nothing_of_training_stays_uncompiled(file, recwarn):
    assert not load_model(file).compiled and not recwarn.list


def test_card_made_from_shapes(file):
    assert load_card(file) == ModelCard("net", ("class 0", "class 1"), 4, (8, 8))


def test_card_of_a_model_that_takes_any_clip(tmp_path):
    clips = keras.Input((None, None, None, 3))
    pooled = keras.layers.GlobalAveragePooling3D()(clips)
    keras.Model(clips, keras.layers.Dense(3)(pooled)).save(tmp_path / "any.keras")
    card = load_card(tmp_path / "any.keras")
    assert (card.num_frames, card.size, len(card.class_names)) == (None, None, 3)


def test_a_model_of_something_else_has_no_card(tmp_path):
    path = tmp_path / "image.keras"
    keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2)]).save(path)
    with pytest.raises(ModelError, match=r"expected a model of clips \(B, T, H, W, C\) to logits"):
        load_card(path)


def test_a_card_for_another_number_of_classes(folder, clips):
    with pytest.raises(ModelError, match="2 class names for 3 logits"):
        load_card(folder, tiny(3))


def test_a_card_for_a_model_of_several_outputs(folder):
    clips = keras.Input((4, 8, 8, 3))
    pooled = keras.layers.GlobalAveragePooling3D()(clips)
    with pytest.raises(
        ModelError, match=r"expected a model of clips to logits \(B, K\), got \[\(None, 2\), \(None, 3\)\]"
    ):
        load_card(folder, keras.Model(clips, [keras.layers.Dense(2)(pooled), keras.layers.Dense(3)(pooled)]))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda card: card.pop("class_names"), "field 'class_names' is missing"),
        (lambda card: card.update(sise=[1, 2]), "unknown field 'sise'; did you mean 'size'?"),
        (lambda card: card.update(size=5), "wrong type"),
        (lambda card: card.update(class_names=5), "wrong type"),
        (lambda card: card.update(reverse_labels=[1]), "wrong type"),
    ],
)
def test_a_broken_card(tmp_path, change, said):
    path = tmp_path / "card.json"
    values = json.loads(CARD.to_json())
    change(values)
    path.write_text(json.dumps(values))
    assert said in message(path, read_card)


def test_a_card_that_is_not_json(tmp_path):
    path = tmp_path / "card.json"
    path.write_text("{")
    assert "cannot read the model card" in message(path, read_card)
    path.write_text("[]")
    assert "one JSON object" in message(path, read_card)


def test_missing(tmp_path):
    assert "no such model" in message(tmp_path / "gone.keras")
    assert "no model.keras in this folder" in message(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    assert "no model.keras yet" in message(tmp_path)


@pytest.mark.parametrize("content", [b"", b"hello"])
def test_not_a_model(tmp_path, content):
    path = tmp_path / "bad.keras"
    path.write_bytes(content)
    assert "not a .keras file and not HDF5, or cut off" in message(path)


def test_an_hdf5_file_that_is_cut_off(tmp_path):
    path = tmp_path / "bad.keras"
    path.write_bytes(b"\x89HDF\r\n\x1a\n")
    assert "cannot load the model" in message(path)


def test_cut_off(file):
    file.write_bytes(file.read_bytes()[:-1000])
    assert "cut off" in message(file)


def test_flipped_bits(file):
    content = bytearray(file.read_bytes())
    for position in range(len(content) // 2, len(content) // 2 + 200):
        content[position] ^= 255
    file.write_bytes(content)
    assert "cannot load the model" in message(file)


def test_what_another_keras_saved_is_called_so(tmp_path, file):
    """A layer that this Keras does not know, from one that did."""
    other = tmp_path / "other.keras"
    with zipfile.ZipFile(file) as good, zipfile.ZipFile(other, "w") as bad:
        for name in good.namelist():
            content = good.read(name)
            if name == "config.json":
                content = content.replace(b'"ConvLSTM2D"', b'"ConvLSTM5D"')
            if name == "metadata.json":
                content = json.dumps(json.loads(content) | {"keras_version": "9.1.0"}).encode()
            bad.writestr(name, content)
    with pytest.raises(ModelError, match=rf"; saved by Keras 9.1.0, this is Keras {re.escape(keras.__version__)}\)$"):
        load_model(other)


class Half(keras.layers.Layer):
    def call(self, clips):
        return clips / 2


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([Half], r"\{'Half': Half\}, got a list"),
        ((Half, np.tanh), r"\{'Half': Half, 'tanh': tanh\}, got a tuple"),
        (Half, r"\{'Half': Half\}, got a type"),
        (Half(), r"\{'Half': Half\}, got a Half"),
    ],
)
def test_custom_objects_that_are_no_dict(file, given, said):
    with pytest.raises(ModelError, match="custom_objects: expected classes and functions by name, " + said):
        load_model(file, custom_objects=given)


def test_code_is_refused(tmp_path):
    path = tmp_path / "lambda.keras"
    keras.Sequential([keras.Input((4, 8, 8, 3)), keras.layers.Lambda(lambda x: x + 1)]).save(path)
    assert "it has a Lambda layer, Python code in a file, which is not run; if you trust the file" in message(path)


def test_load_weights_copies_every_layer(file, model, clips):
    other = another()
    assert not np.array_equal(other(clips), model(clips))
    load_weights(other, file)
    np.testing.assert_allclose(other(clips), model(clips), atol=1e-6)


def test_names_that_keras_made_do_not_matter(tmp_path, clips):
    """The second model of a process has batch_normalization_1 and dense_3 where the first has none and dense_1."""

    def build():
        x = inputs = keras.Input(clips.shape[1:])
        for units in (2, 3):
            x = keras.layers.BatchNormalization()(keras.layers.Dense(units)(x))
        return keras.Model(
            inputs, keras.layers.Dense(2, name="dense_of_mine")(keras.layers.GlobalAveragePooling3D()(x))
        )

    first, second = build(), build()
    assert [a.name for a in first.layers] != [b.name for b in second.layers]
    assert list(stable_names(first).values())[1:] == list(stable_names(second).values())[1:]
    assert list(stable_names(first).values())[1:] == [
        *("dense", "batch_normalization", "dense_1", "batch_normalization_1"),
        *("global_average_pooling3d", "dense_of_mine"),
    ]
    first.save(tmp_path / "first.keras")
    load_weights(second, tmp_path / "first.keras")
    np.testing.assert_array_equal(second(clips), first(clips))


def test_load_weights_names_the_layer_and_both_shapes(file, clips):
    other = another(5)
    before = other(clips)
    with pytest.raises(
        ModelError, match=r"net\.keras: layer 'logits' has weights of shape \(32, 2\), the model \(32, 5\)"
    ):
        load_weights(other, file)
    np.testing.assert_allclose(other(clips), before, atol=1e-6)  # nothing was half loaded


def test_load_weights_may_leave_out_a_classifier_for_other_classes(file, model, clips):
    other = another(5)
    head = [weight.numpy() for weight in other.layers[-1].weights]
    said = load_weights(other, file, other_classifier=True)
    assert said.endswith("net.keras, without its classifier 'logits': (32, 2) there, (32, 5) here")
    inner, outer = (keras.Model(net.input, net.layers[-1].input) for net in (model, other))
    np.testing.assert_allclose(outer(clips), inner(clips), atol=1e-6)
    for ours, before in zip(other.layers[-1].weights, head, strict=True):
        np.testing.assert_array_equal(ours, before)


def test_load_weights_takes_a_classifier_that_fits(file, model, clips):
    other = another()
    assert not np.array_equal(other(clips), model(clips))
    assert "classifier" not in load_weights(other, file, other_classifier=True)
    np.testing.assert_allclose(other(clips), model(clips), atol=1e-6)


def test_load_weights_names_a_layer_that_is_missing(file, tmp_path):
    other = ConvLSTM(2, 4, (16, 16), blocks=2, filters=2, kernel=3)
    with pytest.raises(ModelError, match=r"layer 'conv_lstm_2' is in the model but not in .*net\.keras"):
        load_weights(other, file)
    other.save(tmp_path / "two.keras")
    with pytest.raises(ModelError, match=r"layer 'conv_lstm_2' is in .*two\.keras but not in the model"):
        load_weights(tiny(), tmp_path / "two.keras")
