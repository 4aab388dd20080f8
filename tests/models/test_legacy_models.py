"""Models that Keras 2 saved, and models with layers of their own: loaded, or refused in one line that says why."""

import json
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from keras import layers

import tfvid
from tfvid.core.errors import ModelError
from tfvid.experiments.evaluation import stream
from tfvid.models.custom import load_custom
from tfvid.models.legacy import readable
from tfvid.models.loaded import load_model_as
from tfvid.models.loading import load_model

SHARED = Path("../shared/data/models")
SHAPE = (3, 6, 6, 3)


def lrcn():
    return keras.Sequential(
        [
            keras.Input(SHAPE),
            layers.TimeDistributed(layers.Conv2D(2, 3, activation="relu"), name="frames"),
            layers.TimeDistributed(layers.Flatten()),
            layers.LSTM(4, recurrent_activation="hard_sigmoid", name="lstm"),
            layers.Dense(3, activation="softmax"),
        ]
    )


def changed(file, change, version="2.13.1"):
    """The HDF5 model with its configuration changed, and as if Keras `version` had saved it."""
    with h5py.File(file, "r+") as h5:
        config = json.loads(h5.attrs["model_config"])
        change({layer["config"]["name"]: layer for layer in config["config"]["layers"]})
        h5.attrs["model_config"] = json.dumps(config)
        h5.attrs["keras_version"] = version
    return file


def as_keras_2(layers_of):
    """What Keras 2 wrote and Keras 3 does not take."""
    layers_of["lstm"]["config"] |= {"time_major": False}
    frames = layers_of["frames"]["config"]
    frames["batch_input_shape"] = [None, *SHAPE]
    policy = {"class_name": "Policy", "config": {"name": "float32"}}
    frames["layer"] = {
        "class_name": "Conv2D",
        "config": frames["layer"]["config"] | {"dtype": policy, "activation": "relu"},
    }


@pytest.fixture
def model():
    keras.utils.set_random_seed(0)
    return lrcn()


@pytest.fixture
def file(tmp_path, model):
    model.save(tmp_path / "lrcn.h5")
    return tmp_path / "lrcn.h5"


@pytest.fixture(scope="module")
def clips():
    return np.random.default_rng(0).random((2, *SHAPE), np.float32)


def with_gates_of_keras_2(model):
    from tfvid.network.activations import keras2_hard_sigmoid

    model.get_layer("lstm").cell.recurrent_activation = keras2_hard_sigmoid
    return model


@pytest.mark.parametrize("name", ["lrcn.h5", "lrcn.hdf5", "lrcn.keras", "lrcn"])
def test_hdf5_whatever_it_is_called(file, model, clips, name):
    file = file.rename(file.with_name(name))
    np.testing.assert_allclose(load_model(file)(clips), model(clips), atol=1e-6)


def test_what_keras_2_wrote(file, model, clips):
    before = changed(file, as_keras_2).read_bytes()
    loaded = load_model(file)
    expected = with_gates_of_keras_2(model)(clips)
    np.testing.assert_allclose(loaded(clips), expected, atol=1e-6)
    assert file.read_bytes() == before


def test_the_hard_sigmoid_of_a_file_is_that_of_the_keras_that_saved_it(file, model, clips):
    """They are two functions: clip(0.2 x + 0.5, 0, 1) and clip(x / 6 + 0.5, 0, 1)."""
    new = np.asarray(model(clips))
    old = np.asarray(with_gates_of_keras_2(model)(clips))
    assert np.abs(new - old).max() > 1e-4
    np.testing.assert_allclose(load_model(changed(file, lambda layers: None, "3.5.0"))(clips), new, atol=1e-6)
    np.testing.assert_allclose(load_model(changed(file, lambda layers: None, "2.9.0"))(clips), old, atol=1e-6)


def test_a_keras_archive_of_keras_2(tmp_path, model, clips):
    model.save(tmp_path / "new.keras")
    with zipfile.ZipFile(tmp_path / "new.keras") as new, zipfile.ZipFile(tmp_path / "old.keras", "w") as old:
        for name in new.namelist():
            content = new.read(name)
            if name == "metadata.json":
                content = json.dumps(json.loads(content) | {"keras_version": "2.15.0"}).encode()
            if name == "config.json":
                config = json.loads(content)
                lstm = next(layer for layer in config["config"]["layers"] if layer["config"]["name"] == "lstm")
                lstm["config"]["time_major"] = False
                content = json.dumps(config).encode()
            old.writestr(name, content)
    expected = with_gates_of_keras_2(model)(clips)
    np.testing.assert_allclose(load_model(tmp_path / "old.keras")(clips), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        ("LSTM", {"time_major": False}, {}),
        ("LSTM", {"time_major": True}, {"time_major": True}),  # it means something: Keras says that it takes it not
        ("DepthwiseConv2D", {"groups": 1}, {}),
        ("Conv2D", {"groups": 1}, {"groups": 1}),
        ("BatchNormalization", {"axis": [3], "fused": True}, {"axis": 3}),
        ("SpatialDropout3D", {"noise_shape": None}, {}),
        ("Dropout", {"noise_shape": None}, {"noise_shape": None}),
        ("Dense", {"dtype": {"class_name": "Policy", "config": {"name": "mixed_float16"}}}, {"dtype": "mixed_float16"}),
    ],
)
def test_arguments_by_hand(kind, before, after):
    config = {"class_name": kind, "config": before}
    assert readable(config, "2.11.0", Path("x.h5")) == {"class_name": kind, "config": after}


def test_an_argument_that_means_something_is_named(file):
    def time_major(layers_of):
        layers_of["lstm"]["config"]["time_major"] = True

    with pytest.raises(
        ModelError, match=r"passed to LSTM: \{'time_major': True\}; saved by Keras 2.13.1, this is"
    ) as e:
        load_model(changed(file, time_major))
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("kind", ["Lambda", "TFOpLambda"])
def test_code_and_operations_are_refused_by_name(file, kind):
    def other(layers_of):
        layers_of["lstm"]["class_name"] = kind

    with pytest.raises(ModelError, match=f"layer 'lstm' is .*{kind}"):
        load_model(changed(file, other))


def test_weights_alone_are_no_model(tmp_path, model):
    model.save_weights(tmp_path / "only.weights.h5")
    with pytest.raises(ModelError, match="weights alone .*model.load_weights"):
        load_model(tmp_path / "only.weights.h5")


def links(h5):
    group = h5["model_weights"]
    name = next(iter(group))
    del group[name]
    group[name] = h5py.ExternalLink("/etc/other.h5", "/")


def elsewhere(h5):
    h5["model_weights"].create_dataset("more", (4,), "float32", external=[("secret", 0, 16)])


def bomb(h5):
    h5["model_weights"].create_dataset("more", (1 << 34,), "float32", chunks=(1 << 20,), compression="gzip")


def loop(h5):
    h5["model_weights/again"] = h5["model_weights"]


@pytest.mark.parametrize(
    ("change", "said"),
    [(links, "lies in another file or place"), (elsewhere, "lies in another file"), (bomb, "bytes in up to")],
)
def test_hostile_hdf5(file, change, said):
    with h5py.File(file, "r+") as h5:
        change(h5)
    with pytest.raises(ModelError, match=said):
        load_model(file)


def test_a_group_within_itself_ends(file, clips):
    with h5py.File(file, "r+") as h5:
        loop(h5)
    assert load_model(file)(clips).shape == (2, 3)


@pytest.mark.parametrize("cut", [100, 2000, -500])
def test_cut_off_hdf5(file, cut):
    file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises(ModelError) as error:
        load_model(file)
    assert "\n" not in str(error.value) and "lrcn.h5" in str(error.value)


def test_a_broken_saved_model_of_tensorflow_is_refused_in_one_line(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"x")
    with pytest.raises(ModelError, match=r"saved_model.pb: cannot be loaded as a TensorFlow SavedModel \(") as error:
        load_model(tmp_path)
    assert "\n" not in str(error.value)


# Layers of a model's own ----------------------------------------------------------------------------------------------

CUSTOM = """
import keras

class Halved(keras.layers.Layer):
    def call(self, x):
        return x / 2
"""


@pytest.fixture(params=["own.keras", "own.h5"])
def own(tmp_path, request):
    """A model with a layer of its own, and the file that defines it."""
    (tmp_path / "my_layers.py").write_text(CUSTOM)
    layer = load_custom(tmp_path / "my_layers.py")["Halved"]
    keras.Sequential([keras.Input(SHAPE), layer(), layers.Flatten(), layers.Dense(2)]).save(tmp_path / request.param)
    return tmp_path / request.param


def test_a_layer_of_its_own_is_named_and_the_way_out(own):
    with pytest.raises(ModelError, match=r"know 'Halved'.*custom_objects=\{'Halved': Halved\}.*--custom") as error:
        load_model(own)
    assert "\n" not in str(error.value)


def test_it_is_loaded_with_its_class_or_its_file(own, clips):
    custom = load_custom(own.with_name("my_layers.py"))
    by_class = load_model(own, custom_objects=custom)
    by_file, card = load_model_as(own, custom=str(own.with_name("my_layers.py")), input_range=(0, 255))
    np.testing.assert_array_equal(by_class(clips), by_file(clips))
    assert tfvid.GradCAM(by_file)  # any explainer knows of its range
    assert len(card.class_names) == 2


@pytest.mark.parametrize(
    ("content", "said"), [(None, "no such file"), ("1 / 0", "cannot be run"), ("x = 1", "defines no class")]
)
def test_files_of_layers_that_are_none(tmp_path, content, said):
    if content is not None:
        (tmp_path / "mine.py").write_text(content)
    with pytest.raises(ModelError, match=f"mine.py: {said}"):
        load_custom(tmp_path / "mine.py")


# Models as people publish them ----------------------------------------------------------------------------------------

published = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared models are not there")


@published
@pytest.mark.parametrize("name", ["Conv2D+GRU", "Conv2D+LSTM", "Conv3D-32-64-128"])
def test_hdf5_that_is_called_keras(name):
    assert load_model(SHARED / "gestures_5" / f"{name}.keras").output_shape == (None, 5)


UCF50_7 = ("WalkingWithDog", "TaiChi", "Swing", "HorseRace", "Lunges", "Punch", "PushUps")


@published
@pytest.mark.parametrize("name", ["convlstm_model", "LRCN_model"])
def test_a_published_model_knows_its_classes(name):
    """`time_major`, the gates of Keras 2, BGR: with any of them wrong, classes change. Neither knows the dog."""
    cv2 = pytest.importorskip("cv2")
    video, frames = cv2.VideoCapture(str(SHARED / "ucf50_7" / "Test_Video.mp4")), []
    while (read := video.read())[0]:
        frames.append(cv2.resize(read[1], (64, 64))[..., ::-1])
    scenes = {"HorseRace": (224, 504), "Swing": (504, 672), "TaiChi": (672, 866)}
    clips = np.stack(
        [frames[start : start + 20 * ((stop - start) // 20) : (stop - start) // 20] for start, stop in scenes.values()]
    )
    model, _ = load_model_as(SHARED / "ucf50_7" / f"{name}.h5", channels="bgr")
    batch = {"clip": clips.astype(np.float32) / 255, "id": np.array([b"0", b"1", b"2"]), "label": np.arange(3)}
    (answers,) = stream(model, [batch])
    assert [UCF50_7[label] for label in answers.logits["forward"].argmax(axis=1)] == list(scenes)
