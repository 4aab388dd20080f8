"""Exported models: what they return, who can run them, what they refuse."""

import dataclasses
import functools
import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf
import toy_models
from disk import full_disk
from keras import layers
from quick_explainers import arrays
from small_models import tiny_i3d

from tfvid import GradCAM, TemporalMask, export, freeze, reverse
from tfvid.cli.export import main
from tfvid.core.errors import ConfigError, ModelError, TfvidError
from tfvid.data.sources.shapes import MovingShapes
from tfvid.models.card import ModelCard
from tfvid.models.conv_lstm import ConvLSTM
from tfvid.models.i3d import I3D
from tfvid.models.loading import load_card, load_model
from tfvid.network.tracing import named_layers

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "saved_models" / "shapes_i3d"
MASK = {"iterations": 6}
CARD = ModelCard("toy", ("a", "b", "c"), 6, (8, 8))
BUILDS = {
    **{name: lambda name=name: toy_models.build(name) for name in toy_models.BUILDS},
    "i3d": lambda: I3D(3, None, (None, None), width=0.125, depth=1),
    "conv_lstm": lambda: ConvLSTM(3, 6, (8, 8), blocks=1, filters=4),
}


def clips(num_clips=3):
    return toy_models.clips(num_clips)


def assert_same(got, expected, atol=1e-5):
    for field in dataclasses.fields(expected):
        value = getattr(got, field.name)
        assert value.dtype == getattr(expected, field.name).dtype, field.name
        np.testing.assert_allclose(value, getattr(expected, field.name), atol=atol, err_msg=field.name)


@dataclasses.dataclass
class Pair:
    """A model with its explainers, and the folder it was exported to."""

    model: keras.Model
    folder: Path
    mask: TemporalMask
    maps: GradCAM


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Every build of model by name, exported once."""

    @functools.cache
    def pair(name):
        keras.utils.set_random_seed(0)
        model = BUILDS[name]()
        model(clips(1))  # recurrent cells of Keras take on attributes when they first run
        before = fingerprint(model)
        folder = export.save(model, tmp_path_factory.mktemp("exported") / name / "1", card=CARD, mask=MASK)
        assert fingerprint(model) == before
        return Pair(model, folder, TemporalMask(model, **MASK), GradCAM(model))

    return pair


@pytest.fixture(scope="module")
def toy(pairs):
    """One model, and where it was exported to."""
    return pairs("functional").model, pairs("functional").folder


@pytest.fixture(scope="module")
def plain(toy):
    """The exported toy as TensorFlow loads it."""
    return tf.saved_model.load(toy[1])


@pytest.fixture(scope="module")
def loaded(toy):
    """The exported toy as tfvid loads it."""
    return export.load(toy[1])


def fingerprint(model):
    return {
        path: (sorted(vars(layer)), vars(layer).get("call"), [w.numpy().tobytes() for w in layer.weights])
        for path, layer in [("", model), *named_layers(model)]
    }


# --- what comes back ---


# Much like functional, the one in `test_options...`, and conv_lstm.
LONG = {"sequential", "nested", "per_frame", "subclassed", "softmax", "i3d"}


@pytest.mark.parametrize(
    "build", [pytest.param(name, marks=pytest.mark.long) if name in LONG else name for name in BUILDS]
)
def test_results_are_the_explainers(pairs, build):
    pair = pairs(build)
    exported = export.load(pair.folder, batch_size=2)
    atol = 1e-2 if build == "mixed_precision" else 1e-5
    mask, maps = pair.mask, pair.maps
    assert_same(exported.temporal_mask(clips(), labels=[0, 1, -1]), mask(clips(), labels=[0, 1, -1]), atol)
    assert_same(exported.grad_cam(clips(), [2, 1, 0]), maps(clips(), [2, 1, 0]), atol)
    assert exported.card.layer == maps.layer
    probabilities = exported.classify(clips())
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, mask.classifier.probabilities(clips()), atol=atol)


OPTIONS = {
    "mask": {"perturbation": "reverse", "init": "full", "tolerance": 1e-3, "patience": 2, "keep": "best", **MASK},
    "grad_cam": {"layer": "norm", "pool": "clip", "time": "linear", "normalize": "frame"},
}


@pytest.mark.long
def test_options_and_range_travel(tmp_path):
    """Options of both explainers, and a model of pixels in [-1, 1]."""
    model = toy_models.build("nested")
    exported = export.load(export.save(model, tmp_path / "net", input_range=(-1, 1), **OPTIONS))
    signed = clips() * 2 - 1
    assert_same(exported.temporal_mask(signed), TemporalMask(model, **OPTIONS["mask"])(signed))
    assert_same(exported.grad_cam(signed), GradCAM(model, **OPTIONS["grad_cam"])(signed))
    assert exported.card == ModelCard("net", ("class 0", "class 1", "class 2"), 6, (8, 8), layer="backbone/norm")
    assert exported.settings["options"]["mask.perturbation"] == "reverse"
    assert exported.settings["options"]["grad_cam.layer"] == "backbone/norm"
    with pytest.raises(TfvidError, match=r"values in \[-1, 1\], got 0.0 to 2.0"):
        exported.classify(np.linspace(0, 2, signed.size, dtype=np.float32).reshape(signed.shape))


@pytest.mark.long
def test_each_clip_takes_its_own_steps(toy, plain, loaded, monkeypatch):
    model, _ = toy
    together = plain.signatures["temporal_mask"](clips=clips(), target=[-1, -1, -1], steps=[0, 2, 5])
    np.testing.assert_array_equal(together["iterations"], [0, 2, 5])
    explain = TemporalMask(model)
    for clip, explain.iterations in enumerate((0, 2, 5)):
        alone = explain(clips()[clip : clip + 1])
        np.testing.assert_allclose(together["mask"][clip], alone.mask[0], atol=1e-5)
    monkeypatch.setattr(loaded.temporal_mask, "iterations", 2)
    np.testing.assert_allclose(loaded.temporal_mask(clips()).mask[1], together["mask"][1], atol=1e-5)


def test_metadata_can_be_read_in_three_ways(toy, plain, loaded):
    _, folder = toy
    said = {name: text.numpy() for name, text in plain.signatures["metadata"]().items()}
    files = {name: (folder / "assets" / f"{name}.json").read_bytes() for name in ("card", "explain")}
    assert said == files == {asset_name(a): Path(asset_name(a, full=True)).read_bytes() for a in plain.assets}
    assert json.loads(said["card"])["class_names"] == ["a", "b", "c"]
    assert json.loads(said["explain"]) == loaded.settings
    assert loaded.settings["clips"] == {"dtype": "float32", "shape": [None, 6, 8, 8, 3], "range": [0.0, 1.0]}
    assert loaded.card == dataclasses.replace(CARD, layer="conv")


def asset_name(asset, full=False):
    path = asset.asset_path.numpy().decode()
    return path if full else Path(path).stem


# --- with TensorFlow alone ---

ALONE = """
import importlib.util
import sys

class NotHere:
    def find_spec(self, name, path=None, target=None):
        return importlib.util.spec_from_loader(name, self) if name.partition(".")[0] in ("keras", "tfvid") else None

    def create_module(self, spec):
        raise ImportError(f"{spec.name} is not here")

    def exec_module(self, module):
        pass

sys.meta_path.insert(0, NotHere())
import numpy as np
import tensorflow as tf

inputs = dict(np.load("inputs.npz"))

def some(name, tensors, batch):
    return {key: value[:batch] for key, value in inputs.items() if key in tensors}

def results_of(folder):
    results = {}
    exported = tf.saved_model.load(folder)
    for name, function in exported.signatures.items():
        names = function.structured_input_signature[1]
        for batch in (1, 3):
            outputs = function(**{key: tf.constant(value) for key, value in some(name, names, batch).items()})
            results |= {f"{name}/{batch}/{key}": value.numpy() for key, value in outputs.items()}

    # As TensorFlow Serving does: a session, the graph by its tensors' names.
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        signatures = tf.compat.v1.saved_model.load(session, ["serve"], folder).signature_def
        for name in exported.signatures:
            feed = some(name, signatures[name].inputs, 3)
            feed = {signatures[name].inputs[key].name: value for key, value in feed.items()}
            fetch = {key: tensor.name for key, tensor in signatures[name].outputs.items()}
            results |= {f"{name}/session/{key}": value for key, value in session.run(fetch, feed).items()}
        try:
            feed = {"clips": inputs["clips"] * 255, "target": inputs["target"]}
            feed = {signatures["grad_cam"].inputs[key].name: value for key, value in feed.items()}
            session.run(signatures["grad_cam"].outputs["score"].name, feed)
        except tf.errors.InvalidArgumentError as error:
            results["refused"] = error.message
    return results

for folder, out in zip(sys.argv[1::2], sys.argv[2::2]):
    np.savez(out, **{k: np.array(v, None if np.ndim(v) else str) for k, v in results_of(folder).items()})
assert not {"keras", "tfvid"} & set(sys.modules)
"""


TARGET, MASKS = np.array([-1, 2, 0], np.int32), np.linspace(0, 1, 18, dtype=np.float32).reshape(3, 6)


@pytest.fixture(scope="module")
def alone(pairs, tmp_path_factory):
    """What every signature of an exported model returns, in a process without Keras and tfvid, by model."""

    def results(build):
        folder = tmp_path_factory.mktemp("alone")
        frames = np.array([[jpeg(frame) for frame in clip] for clip in as_bytes(clips())])
        steps = np.full(3, 6, np.int32)
        np.savez(folder / "inputs.npz", clips=clips(), target=TARGET, steps=steps, mask=MASKS, frames=frames)
        (folder / "alone.py").write_text(ALONE)
        command = [sys.executable, "alone.py", pairs(build).folder, "out.npz"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return dict(np.load(folder / "out.npz"))

    return results


@pytest.mark.long
@pytest.mark.parametrize("build", ["conv_lstm", pytest.param("i3d", marks=pytest.mark.long)])
def test_runs_with_tensorflow_alone(pairs, alone, build):
    """Every signature, eagerly and in a session, in a process that cannot import Keras or tfvid."""
    pair, out = pairs(build), alone(build)
    expected = {"serving_default/probabilities": tf.nn.softmax(pair.model(clips())).numpy()}
    predicted = expected["serving_default/probabilities"].argmax(-1)
    classes = np.where(TARGET < 0, predicted, TARGET)
    for name, explain in (("grad_cam", pair.maps), ("temporal_mask", pair.mask)):
        expected |= {f"{name}/{key}": value for key, value in arrays(explain(clips(), classes)).items()}
    for name in (
        "true_score",
        "probabilities",
        "still",
        "keeps",
        "kept_score",
        "reached",
    ):  # which `tfvid.export.load` adds
        del expected[f"temporal_mask/{name}"]
    expected |= {"freeze/clips": freeze(clips(), MASKS), "reverse/clips": reverse(clips(), MASKS)}
    for key, value in expected.items():
        name, output = key.split("/")
        for way, rows in (("1", 1), ("3", 3), ("session", 3)):
            np.testing.assert_allclose(out[f"{name}/{way}/{output}"], value[:rows], atol=1e-5, err_msg=f"{key} {way}")
    for way in ("1", "3", "session"):
        assert out[f"serving_jpeg/{way}/probabilities"].shape[1] == 3
        assert json.loads(str(out[f"metadata/{way}/card"]))["name"] == "toy"
    assert "clips: expected values in [0, 1]" in str(out["refused"])


# --- JPEG frames ---


def as_bytes(clips):
    return np.rint(clips * 255).astype(np.uint8)


def jpeg(frame, quality=95):
    return cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


@pytest.mark.parametrize("size", [(8, 8), (48, 64), (4, 4)])
def test_jpeg_frames_are_read_as_videos_are(toy, plain, size):
    """Decoded and resized as `tfvid.read_clip` does, up to one grey level in the rounding."""
    model, _ = toy
    frames = np.stack([cv2.resize(frame, size[::-1]) for frame in as_bytes(clips(1))[0]])
    files = [jpeg(frame) for frame in frames]
    decoded = [cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR)[..., ::-1] for file in files]
    read = np.stack([cv2.resize(frame, (8, 8), interpolation=cv2.INTER_AREA) for frame in decoded])
    got = export.graph.decoded(tf.constant([files]), (6, 8, 8, 3), (0.0, 255.0))[0]
    np.testing.assert_allclose(got, read, atol=1)
    probabilities = plain.signatures["serving_jpeg"](frames=tf.constant([files]))["probabilities"]
    np.testing.assert_allclose(probabilities, tf.nn.softmax(model(got[tf.newaxis] / 255)), atol=1e-5)


@pytest.mark.parametrize(
    "file, message",
    [
        (b"", "frames: expected JPEG files, got one that is none"),
        (cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes(), "frames: expected JPEG files"),
        (jpeg(np.zeros((64, 64, 3), np.uint8))[:-200], "Invalid JPEG"),
        # A header that asks for 65,000 x 65,000 pixels.
        (
            jpeg(np.zeros((8, 8, 3), np.uint8)).replace(b"\x00\x08\x00\x08\x03", b"\xfd\xe8\xfd\xe8\x03"),
            "at most 67108864",
        ),
    ],
)
def test_bad_jpeg(plain, file, message):
    frames = [jpeg(frame) for frame in as_bytes(clips(1))[0]]
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        plain.signatures["serving_jpeg"](frames=tf.constant([[*frames[:-1], file]]))


def test_frames_of_one_channel(tmp_path):
    inputs = keras.Input((4, 8, 8, 1))
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(layers.Conv3D(2, 3, name="conv")(inputs))))
    exported = export.load(export.save(model, tmp_path / "grey"))
    assert exported.temporal_mask.iterations == 300  # that of no options at all
    frame = np.arange(64, dtype=np.uint8).reshape(8, 8)
    file = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
    clip = np.tile(frame[np.newaxis, np.newaxis, :, :, np.newaxis] / np.float32(255), (1, 4, 1, 1, 1))
    got = exported.signatures["serving_jpeg"](frames=tf.constant([[file] * 4]))["probabilities"]
    np.testing.assert_allclose(got, exported.classify(clip), atol=1e-2)


# --- what the graph refuses ---

CLASSES, STEPS = [-1, -1, -1], [1, 1, 1]
REFUSED = {
    "a class too high": ("grad_cam", {"target": [0, 3, 0]}, r"target: expected classes 0 to 2, or -1 .*, got \[3\]"),
    "a class too low": ("temporal_mask", {"target": [-2, 0, 0], "steps": STEPS}, r"or -1 .*, got \[-2\]"),
    "too few classes": ("grad_cam", {"target": [1]}, "target: expected one a clip, 3, got 1"),
    "one class, no list": ("grad_cam", {"target": 1}, r"expected shape \[\?\]"),
    "steps below 0": (
        "temporal_mask",
        {"target": CLASSES, "steps": [1, -4, 1]},
        r"steps: expected 0 or more, got \[-4\]",
    ),
    "too few steps": ("temporal_mask", {"target": CLASSES, "steps": [1]}, "steps: expected one a clip, 3, got 1"),
    "no clips": ("grad_cam", {"clips": clips(0), "target": []}, "clips: expected 1 or more, got none"),
    "no files": ("serving_jpeg", {"frames": np.empty((0, 6), bytes)}, "frames: expected those of 1 clip or more"),
    "a frame too few": (
        "serving_default",
        {"clips": clips()[:, 1:]},
        r"\[3,5,8,8,3\] .* expected shape \[\?,6,8,8,3\]",
    ),
    "another size": ("grad_cam", {"clips": clips()[:, :, 1:], "target": CLASSES}, r"expected shape \[\?,6,8,8,3\]"),
    "bytes as floats": (
        "serving_default",
        {"clips": clips() * 255},
        r"clips: expected values in \[0, 1\], got .* to 25",
    ),
    "a NaN": ("freeze", {"clips": clips() * [1, 1, np.nan], "mask": np.ones((3, 6))}, r"clips: expected values in"),
    "a mask above 1": ("freeze", {"mask": np.full((3, 6), 2.0)}, r"mask: expected values in \[0, 1\], got 2 to 2"),
    "a mask too short": ("reverse", {"mask": np.ones((3, 5))}, r"\[3,5\] .* expected shape \[\?,6\]"),
    "a mask too few": ("reverse", {"mask": np.ones((2, 6))}, "mask: expected one a clip, 3, got 2"),
    "a frame's file too few": (
        "serving_jpeg",
        {"frames": [[jpeg(np.zeros((8, 8, 3)))] * 5]},
        r"expected shape \[\?,6\]",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_the_graph_refuses(plain, case):
    name, inputs, message = REFUSED[case]
    function = plain.signatures[name]
    specs = function.structured_input_signature[1]
    given = {"clips": clips()} | inputs
    tensors = {
        key: tf.cast(given[key], s.dtype) if s.dtype != tf.string else tf.constant(given[key])
        for key, s in specs.items()
    }
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        function(**tensors)


def test_rounding_does_not_leave_the_range(plain):
    """What one signature returns, another takes."""
    functions = plain.signatures
    white = tf.ones((1, 6, 8, 8, 3))
    frozen = functions["freeze"](clips=white, mask=tf.fill((1, 6), 0.3))["clips"]
    assert functions["serving_default"](clips=frozen)["probabilities"].shape == (1, 3)


# --- what Python refuses ---


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda e: e.grad_cam(clips(), 3), "target: expected classes 0 to 2, got 3"),
        (lambda e: e.grad_cam(clips(), [0, 1]), r"target: expected an int or ints of shape \(3,\)"),
        (lambda e: e.temporal_mask(clips(), labels=[0, 1, 7]), "labels: expected classes -1 to 2, got 7"),
        (
            lambda e: e.temporal_mask(clips()[:, 1:]),
            r"takes clips of shape \(None, 6, 8, 8, 3\), got \(3, 5, 8, 8, 3\)",
        ),
        (lambda e: e.classify(as_bytes(clips())), "expected float clips"),
        (lambda e: e.classify(clips() * 255), r"clips: expected values in \[0.0, 1.0\], got 0.0\d* to 25"),
        (lambda e: e.grad_cam(clips() * np.nan), "clip 0 has NaN or infinite pixels"),
    ],
)
def test_a_loaded_model_refuses(loaded, call, message):
    with pytest.raises(TfvidError, match=message) as caught:
        call(loaded)
    assert "\n" not in str(caught.value)


@keras.saving.register_keras_serializable("toys")
class Python(layers.Layer):
    def call(self, x):
        return tf.ensure_shape(tf.numpy_function(lambda x: x, [x], tf.float32), x.shape)

    def compute_output_shape(self, shape):
        return shape


@keras.saving.register_keras_serializable("toys")
class Table(layers.Layer):
    """Looks numbers up in a table that nothing tracks."""

    def call(self, x):
        with tf.init_scope():
            table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer([0], [1.0]), 0.0)
            self.__dict__["kept"] = table
        return x + table.lookup(tf.zeros((), tf.int32))

    def compute_output_shape(self, shape):
        return shape


def with_layer(layer):
    inputs = keras.Input(toy_models.SHAPE)
    x = layers.Flatten()(layer(layers.Conv3D(2, 3, name="conv")(inputs)))
    return keras.Model(inputs, layers.Dense(3)(x))


def no_maps():
    return keras.Sequential([keras.Input(toy_models.SHAPE), layers.Flatten(), layers.Dense(3)])


@pytest.mark.parametrize(
    "build, options, message",
    [
        (lambda: "model", {"card": CARD}, "expected a Keras model, got str"),
        (no_maps, {"card": CARD}, "no layer that makes a feature map"),
        (lambda: with_layer(Python()), {"card": CARD}, "the model runs Python code when it predicts"),
        (lambda: with_layer(Table()), {"card": CARD}, "the model cannot be exported: .*untracked"),
        (
            toy_models.subclassed,
            {},
            "a subclassed model does not say what it takes and returns; give it a card: ModelCard in Python",
        ),
        (BUILDS["i3d"], {}, r"got \(None, None, None, 3\): pass a card"),
        (toy_models.functional, {"card": ModelCard("x", ("a",), 6, (8, 8))}, "1 class names for a model of 3 classes"),
        (
            toy_models.functional,
            {"card": ModelCard("x", ("a", "b", "c"), 6, (9, 8))},
            r"takes clips \(6, 8, 8, 3\), .* \(6, 9, 8\)",
        ),
        (toy_models.functional, {"grad_cam": {"layer": "cnv"}}, "unknown layer 'cnv'; did you mean 'conv'"),
        (
            toy_models.functional,
            {"mask": {"iteration": 3}},
            "unknown option 'mask.iteration'; did you mean 'mask.iterations'",
        ),
        (toy_models.functional, {"mask": {"perturbation": freeze}}, "must be plain values"),
        (toy_models.functional, {"mask": {"method": "search"}}, "supports method 'gradient' only, got 'search'"),
        (
            toy_models.functional,
            {"input_range": (1, 0)},
            "input_range: expected the values that the model expects for black and white",
        ),
    ],
)
def test_a_model_that_cannot_be_exported(tmp_path, build, options, message):
    with pytest.raises(TfvidError, match=message) as caught:
        export.save(build(), tmp_path / "net", **options)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.long
def test_a_path_that_exists(toy, tmp_path):
    model = toy[0]
    folder = shutil.copytree(toy[1], tmp_path / "net")
    before = contents(tmp_path)
    with pytest.raises(TfvidError, match=r"net: exists already; overwrite=True"):
        export.save(model, folder)
    with pytest.raises(TfvidError, match="net: cannot write the exported model") as caught, full_disk(20000):
        export.save(model, folder, overwrite=True)
    assert "\n" not in str(caught.value)
    assert contents(tmp_path) == before
    export.save(model, folder, overwrite=True)
    assert export.load(folder).card.class_names == ("class 0", "class 1", "class 2")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net"]


def test_what_is_no_saved_model_is_not_overwritten(toy, tmp_path):
    (tmp_path / "holiday.jpg").write_bytes(b"")
    for path in (tmp_path, tmp_path / "holiday.jpg"):
        with pytest.raises(TfvidError, match="is no SavedModel, so it is not overwritten"):
            export.save(toy[0], path, overwrite=True)
    with pytest.raises(TfvidError, match="holiday.jpg/net: cannot write the exported model"):
        export.save(toy[0], tmp_path / "holiday.jpg" / "net")
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]


def test_what_cannot_be_loaded(toy, tmp_path):
    with pytest.raises(ModelError, match="nowhere: no exported model"):
        export.load(tmp_path / "nowhere")
    with pytest.raises(ModelError, match="a SavedModel without explanations; tfvid.export.save"):
        export.load(SHIPPED)
    with pytest.raises(TfvidError, match="batch_size must be 1 or more, got 0"):
        export.load(toy[1], batch_size=0)
    damaged = shutil.copytree(toy[1], tmp_path / "damaged")
    pb = damaged / "saved_model.pb"
    pb.write_bytes(pb.read_bytes()[:1000])
    with pytest.raises(ModelError, match="damaged: cannot load the exported model") as caught:
        export.load(damaged)
    assert "\n" not in str(caught.value)
    settings = damaged / "assets" / "explain.json"
    settings.write_text(settings.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(ModelError, match="explain.json: format 2, this version of tfvid reads 1"):
        export.load(damaged)


# --- the command ---


@pytest.mark.long
@pytest.mark.parametrize("shipped", [False, pytest.param(True, marks=pytest.mark.long)])
def test_command(tmp_path, capsys, shipped):
    """A small I3D, and the one that comes with tfvid, on drawn clips: as its own explainers explain them."""
    path, out = SHIPPED if shipped else tiny_i3d(tmp_path), tmp_path / "shapes" / "1"
    main(["--model", str(path), "--out", str(out), "mask.iterations=5"])
    printed = capsys.readouterr().out
    assert "RGB, values 0 to 1;" in printed
    assert f"exported: {out}" in printed and f"--model_base_path={out.parent}" in printed

    card = load_card(path)
    dataset = MovingShapes(classes=card.class_names)
    samples = dataset.samples("validation")[:2]
    drawn = np.stack([dataset.read(sample, card.num_frames, card.size).frames for sample in samples]) / np.float32(255)
    labels = [sample.label for sample in samples]
    model, exported = load_model(path), export.load(out)
    assert exported.card.layer == ("Mixed_3c" if shipped else "Mixed_3b")
    expected = TemporalMask(model, iterations=5)(drawn, labels=labels)
    assert_same(exported.temporal_mask(drawn, labels=labels), expected)
    assert_same(exported.grad_cam(drawn), GradCAM(model, exported.card.layer)(drawn))


@pytest.mark.long
def test_command_says_what_values_the_exported_model_takes(tmp_path, capsys):
    path = tiny_i3d(tmp_path)
    main(["--model", str(path), "--out", str(tmp_path / "out"), "--input-range", "0", "255"])
    assert "RGB, values 0 to 255;" in capsys.readouterr().out


def test_command_says_what_is_wrong(tmp_path):
    arguments = ["--model", str(SHIPPED), "--out", str(tmp_path / "out")]
    with pytest.raises(ConfigError, match="unknown key 'explain.masks'; did you mean 'explain.mask'"):
        main([*arguments, "masks.iterations=5"])
    with pytest.raises(ModelError, match="no such model"):
        main(["--model", str(tmp_path / "nothing"), "--out", str(tmp_path / "out")])
    assert not list(tmp_path.iterdir())
