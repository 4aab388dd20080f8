"""Model files by strangers: nothing in them runs, reads another file, or is written outside a temporary folder."""

import io
import json
import zipfile

import h5py
import keras
import numpy as np
import pytest
from broken_files import broken, refused_or_read

from tfvid import export
from tfvid.core.errors import ModelError
from tfvid.models.card import ModelCard, read_card
from tfvid.models.loading import load_model


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> bytes:
    """A model of clips that takes little time to load."""
    file = tmp_path_factory.mktemp("good") / "net.keras"
    model = keras.Sequential([keras.Input((2, 4, 4, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    model.save(file)
    return file.read_bytes()


@pytest.fixture
def file(tmp_path, monkeypatch):
    """Where a bad model goes; what ran in it would leave a file called "ran" beside it."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path / "net.keras"
    assert not (tmp_path / "ran").exists()


def rewritten(good: bytes, change=lambda config: None, **members: bytes) -> bytes:
    """The archive with its ``config.json`` changed, and with members replaced or added."""
    with zipfile.ZipFile(io.BytesIO(good)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    change(config)
    parts["config.json"] = json.dumps(config).encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in (parts | members).items():
            archive.writestr(name, data)
    return out.getvalue()


def test_the_file_rewritten_is_good(file, good):
    file.write_bytes(rewritten(good))
    assert load_model(file)(np.zeros((1, 2, 4, 4, 3), np.float32)).shape == (1, 2)


def system(config):
    config["loss"] = {"module": "os", "class_name": "function", "config": "system", "registered_name": "function"}


def python_code(config):
    config["loss"] = keras.saving.serialize_keras_object(lambda *_: open("ran", "w"))  # noqa: SIM115


def thresholds_without_end(config):
    auc = {"module": "keras.metrics", "class_name": "AUC", "config": {"num_thresholds": 10**12}}
    config["optimizer"]["config"]["learning_rate"] = auc | {"registered_name": None}


def no_optimizer(config):
    config["optimizer"] = 17


@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`")
@pytest.mark.parametrize("change", [system, python_code, thresholds_without_end, no_optimizer])
def test_a_loss_or_optimizer_of_something_else(file, change):
    """The model is loaded, without them and with one line."""
    model = keras.Sequential([keras.Input((2, 4, 4, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    model.compile("sgd", "mean_squared_error")
    model.save(file)
    file.write_bytes(rewritten(file.read_bytes(), lambda config: change(config["compile_config"])))
    with pytest.warns(RuntimeWarning, match="net.keras: loaded without its loss and optimizer") as said:
        loaded = load_model(file)
    assert not loaded.compiled and "\n" not in str(said[0].message)
    assert loaded(np.zeros((1, 2, 4, 4, 3), np.float32)).shape == (1, 2)


def first_layer(config: dict) -> dict:
    return config["config"]["layers"][1]


def lambda_layer(config):
    layer = keras.layers.Lambda(lambda x: open("ran", "w") and x)  # noqa: SIM115
    first_layer(config).update(keras.saving.serialize_keras_object(layer))


def python_function(module: str, name: str):
    def change(config):
        function = {"module": module, "class_name": "function", "config": name, "registered_name": "function"}
        first_layer(config)["config"]["activation"] = function
        first_layer(config).update(class_name="Dense", config=first_layer(config)["config"] | {"units": 2})

    return change


def python_class(module: str, name: str, config: dict):
    def change(whole):
        first_layer(whole).update(module=module, class_name=name, config=config, registered_name=None)

    return change


CODE = {
    "a Lambda": lambda_layer,
    "os.system": python_function("os", "system"),
    "builtins.eval": python_function("builtins", "eval"),
    "a class of Python's": python_class("subprocess", "Popen", {"args": ["touch", "ran"]}),
    "a module that would be imported": python_class("ran_on_import", "Layer", {}),
    "switching the safe mode off": python_class("keras.config", "enable_unsafe_deserialization", {}),
    "fetching a file": python_function("keras.utils", "get_file"),
    "loading another model": python_function("keras.models", "load_model"),
    "a file's words": python_class(
        "keras.layers", "StringLookup", {"vocabulary": "/etc/passwd", "name": "words", "dtype": "string"}
    ),
}


@pytest.mark.parametrize("what", CODE)
def test_code_in_a_model_is_refused(file, good, what):
    (file.parent / "ran_on_import.py").write_text("open('ran', 'w')")
    file.write_bytes(rewritten(good, CODE[what]))
    assert "cannot load the model" in refused_or_read(lambda: load_model(file), file)


@pytest.mark.parametrize("suffix", [".h5", ".hdf5", ".zip", ""])
def test_only_keras_files_are_models(tmp_path, good, suffix):
    """Keras goes by the name: what is called .h5 it would read as HDF5, with a zip archive behind it or not."""
    path = tmp_path / f"net{suffix}"
    path.write_bytes(good)
    assert "not a .keras file" in refused_or_read(lambda: load_model(path), path)


@pytest.mark.parametrize(
    "name", ["../../ran", "/tmp/ran", "assets/../../../ran", "_layer_checkpoint_dependencies/../../ran"]
)
def test_no_member_of_the_archive_is_written_outside(file, good, name):
    file.write_bytes(rewritten(good, **{name: b"x", "assets/words.txt": b"x"}))
    before = {path for path in file.parent.parent.iterdir()}
    refused_or_read(lambda: load_model(file), file)
    assert {path for path in file.parent.parent.iterdir()} == before and list(file.parent.iterdir()) == [file]


def test_weights_that_lie_in_another_file(file, good, tmp_path):
    """HDF5 can name a part of another file as a dataset's values."""
    secret = tmp_path / "secret"
    secret.write_bytes(np.ones(96 * 2 + 2, np.float32).tobytes())
    weights = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(good)) as archive:
        weights.write(archive.read("model.weights.h5"))
    with h5py.File(weights, "a") as h5:
        found = []
        h5.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None)
        name = next(name for name in found if h5[name].shape == (96, 2))
        del h5[name]
        h5.create_dataset(name, (96, 2), "float32", external=[(str(secret), 0, 96 * 2 * 4)])
    file.write_bytes(rewritten(good, **{"model.weights.h5": weights.getvalue()}))
    assert "cannot load the model" in refused_or_read(lambda: load_model(file), file)
    secret.unlink()


@pytest.mark.parametrize("config", [b"[" * 100_000, b"{}", b"[]", b"null", b"\xff", b'{"module": "keras", "a": 1}'])
def test_configurations_that_are_none(file, good, config):
    file.write_bytes(rewritten(good, **{"config.json": config}))
    assert "cannot load the model" in refused_or_read(lambda: load_model(file), file)


def test_a_zip_bomb(file, good):
    """A hundred megabytes of blanks in a hundred kilobytes."""
    file.write_bytes(rewritten(good, **{"config.json": b" " * (100 << 20)}))
    assert file.stat().st_size < 200 << 10
    assert "bytes in this archive, got 1048" in refused_or_read(lambda: load_model(file), file)


def test_broken_models_are_read_or_refused(file, good):
    refused = 0
    for data in broken(good, 40):
        file.write_bytes(data)
        refused += refused_or_read(lambda: load_model(file), file) is not None
    assert refused


CARD = {"name": "net", "class_names": ["a", "b"], "num_frames": 4, "size": [8, 8]}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("name", value) for value in (None, 5, "\ud800")],
        *[("class_names", value) for value in ("ab", [1, 2], {"a": 1}, None)],
        *[("num_frames", value) for value in (0, -1, 1.5, True, "4", 10**30)],
        *[("size", value) for value in ([8], [8, 0], "88", {"0": 8}, 8)],
        *[("layer", value) for value in (5, ["a"])],
        *[("reverse_labels", value) for value in ([1], {"a": 1}, {"0": 2}, {"5": 0}, {"0": "1"}, {"0": 1.5})],
        *[("metrics", value) for value in ([], {"top_1": "x"}, {"top_1": True})],
    ],
)
def test_a_card_of_other_things_names_its_field(tmp_path, field, value):
    path = tmp_path / "card.json"
    path.write_text(json.dumps(CARD))
    assert read_card(path) == ModelCard("net", ("a", "b"), 4, (8, 8))
    path.write_text(json.dumps(CARD | {field: value}))
    assert repr(field) in refused_or_read(lambda: read_card(path), path)


def test_a_card_of_brackets(tmp_path):
    path = tmp_path / "card.json"
    path.write_text("[" * 100_000)
    with pytest.raises(ModelError, match="cannot read the model card"):
        read_card(path)


SETTINGS = {"format": 1, "clips": {"shape": [None, 4, 8, 8, 3], "range": [0, 1]}, "options": {"mask.iterations": 300}}


@pytest.mark.parametrize(
    "settings",
    [
        *("", "{", "[" * 100_000, "null", "5", "[]", "{}"),
        *(
            SETTINGS | wrong
            for wrong in ({"format": 2}, {"format": None}, {"clips": 5}, {"options": []}, {"options": {}})
        ),
        *(SETTINGS | {"clips": clips} for clips in ({"shape": 5, "range": [0, 1]}, {"shape": [None], "range": [0]})),
        SETTINGS | {"options": {"mask.iterations": "300"}},
    ],
    ids=lambda settings: str(settings)[:60],
)
def test_an_exported_models_settings_are_checked_before_its_graph_is_loaded(tmp_path, settings):
    (tmp_path / "assets").mkdir()
    (tmp_path / "saved_model.pb").write_bytes(b"never read")
    file = tmp_path / "assets" / "explain.json"
    file.write_text(settings if isinstance(settings, str) else json.dumps(settings))
    assert refused_or_read(lambda: export.load(tmp_path), file)
