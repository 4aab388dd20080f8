"""Files of other makes, by their path: SavedModel folders, ONNX, OpenVINO and TorchScript files."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_videos import write_video
from toy_models import SHAPE, build, clips

import tfvid
from tfvid.cli.explain import main
from tfvid.core.errors import ConfigError, ModelError
from tfvid.experiments.record_settings import model_settings, weights_digest
from tfvid.models.foreign_files import file_digest
from tfvid.models.loading import load_card
from tfvid.network.stated import input_shape
from tfvid.results.result_store import read_results


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A Keras model and the folder of its SavedModel."""
    model, folder = build("functional"), tmp_path_factory.mktemp("saved") / "two_colours"
    model.export(str(folder), verbose=False)
    return model, folder


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("videos") / "plain.mp4", 8)


def test_a_saved_model_is_loaded_from_its_folder(exported):
    model, folder = exported
    loaded = tfvid.load_model(folder)
    np.testing.assert_allclose(loaded(clips()), model(clips()), rtol=1e-5, atol=1e-6)
    assert input_shape(loaded) == (None, *SHAPE)
    card = load_card(folder)
    assert (card.name, card.num_frames, card.size) == ("two_colours", 6, (8, 8))
    assert card.class_names == ("class 0", "class 1", "class 2")


def test_the_card_in_the_folder_is_read(exported, tmp_path):
    folder = tmp_path / "copy"
    tf.saved_model.save(tf.saved_model.load(str(exported[1])), str(folder))
    known = {"name": "own", "class_names": ["a", "b", "c"], "num_frames": 6, "size": [8, 8], "input_range": [0, 255]}
    (folder / "card.json").write_text(json.dumps(known))
    found = tfvid.Gradient(tfvid.load_model(folder), output="logits")(clips())
    np.testing.assert_allclose(found.score, exported[0](255 * clips()).numpy().max(axis=1), rtol=1e-4)
    assert load_card(folder).class_names == ("a", "b", "c")


def explain(folder, video, out, *arguments):
    main(
        ["--model", str(folder), "--video", str(video), "--out", str(out), "--films", "--output", "logits", *arguments]
    )


@pytest.mark.parametrize("method", ["gradient", "occlusion"])
def test_explain_takes_a_saved_model(exported, video, tmp_path, method):
    explain(exported[1], video, tmp_path, "--maps", method, "mask.method=search")
    (record,) = read_results(tmp_path)
    assert (record.model, record.map_method, record.map_layer) == ("two_colours", method, "")
    clip = tfvid.read_clip(video, 6, (8, 8))[None]
    expected = tfvid.explainer(method, exported[0])(clip)
    np.testing.assert_allclose(record.map, expected.attribution[0], rtol=1e-3, atol=1e-5)
    assert record.predicted == expected.predicted[0]
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert f'["clip","{method}","frozen"]' in page.replace(", ", ",")
    with pytest.raises(ConfigError, match=f"maps was {method}, is smooth_grad"):
        explain(exported[1], video, tmp_path, "--maps", "smooth_grad", "mask.method=search")


def test_what_a_saved_model_lacks_is_refused_in_one_line(exported, video, tmp_path):
    with pytest.raises(ModelError, match="it is a graph without layers; use a method that needs no layer") as error:
        explain(exported[1], video, tmp_path, "mask.method=search")
    assert "\n" not in str(error.value)
    with pytest.raises(ConfigError, match="makes a map for each frame, such as 'gradient', got 'crop_search'"):
        explain(exported[1], video, tmp_path, "--maps", "crop_search")
    with pytest.raises(ConfigError, match="option grad_cam.layer=conv: no method 'grad_cam' in this run"):
        explain(exported[1], video, tmp_path, "--maps", "gradient", "grad_cam.layer=conv")


@pytest.mark.parametrize("name", ["net.onnx", "net.xml", "net.pt"])
def test_a_file_that_cannot_be_read_is_refused_in_one_line(tmp_path, name):
    (tmp_path / name).write_bytes(b"no model")
    with pytest.raises(ModelError, match=rf"{name}: (cannot be loaded as|an? .* needs \w+: pip install)") as error:
        tfvid.load_model(tmp_path / name)
    assert "\n" not in str(error.value)


def linear(folder):
    """Weights of a linear model of clips, and its ONNX file."""
    onnx = pytest.importorskip("onnx", reason="needs onnx")
    weights = np.random.default_rng(1).normal(size=(int(np.prod(SHAPE)), 3)).astype(np.float32)
    helper, tensor = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["clips"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["scores"])],
        "linear",
        [helper.make_tensor_value_info("clips", tensor, ["batch", *SHAPE])],
        [helper.make_tensor_value_info("scores", tensor, ["batch", 3])],
        [onnx.numpy_helper.from_array(weights, "w")],
    )
    file = folder / "linear.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(file))
    return weights, file


def as_openvino(file):
    openvino = pytest.importorskip("openvino", reason="needs openvino: pip install tfvid[makes]")
    openvino.save_model(openvino.convert_model(str(file)), file.with_suffix(".xml"), compress_to_fp16=False)
    return file.with_suffix(".xml")


@pytest.mark.parametrize("kind", [".onnx", ".xml"])
def test_runtimes_files(tmp_path, video, kind):
    pytest.importorskip("onnxruntime" if kind == ".onnx" else "openvino", reason="needs it: pip install tfvid[makes]")
    weights, file = linear(tmp_path)
    file = file if kind == ".onnx" else as_openvino(file)
    loaded = tfvid.load_model(file)
    np.testing.assert_allclose(loaded(clips()), clips().reshape(3, -1) @ weights, rtol=1e-4, atol=1e-3)
    assert input_shape(loaded) == (None, *SHAPE)
    explain(file, video, tmp_path / "out", "--maps", "occlusion", "mask.method=search")
    (record,) = read_results(tmp_path / "out")
    scores = tfvid.read_clip(video, 6, (8, 8)).reshape(-1) @ weights
    assert record.predicted == scores.argmax()
    with pytest.raises(ModelError, match="gives scores, no gradients; use a method that needs scores only"):
        explain(file, video, tmp_path / "refused", "--maps", "gradient", "mask.method=search")


def test_torchscript_files(tmp_path):
    torch = pytest.importorskip("torch", reason="needs torch: pip install tfvid[makes]")
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(int(np.prod(SHAPE)), 3))
    torch.jit.save(torch.jit.script(net), str(tmp_path / "net.pt"))
    loaded = tfvid.load_model(tmp_path / "net.pt")
    expected = net(torch.from_numpy(clips())).detach().numpy()
    np.testing.assert_allclose(loaded(clips()), expected, rtol=1e-4, atol=1e-5)
    weight = net[1].weight.detach().numpy()[1].reshape(SHAPE)
    found = tfvid.Gradient(loaded, output="logits")(clips(), 1)
    np.testing.assert_allclose(found.attribution[0], np.abs(weight).max(-1), rtol=1e-4)
    with pytest.raises(ModelError, match="the size of its clips is unknown; say it in a card.json"):
        load_card(tmp_path / "net.pt")
    torch.save(net.state_dict(), str(tmp_path / "weights.pt"))
    with pytest.raises(ModelError, match=r"weights.pt: cannot be loaded as a TorchScript module \(torch.jit.save\)"):
        tfvid.load_model(tmp_path / "weights.pt")


def test_records_depend_on_the_files_of_a_model(exported, tmp_path):
    digest = weights_digest(tfvid.load_model(exported[1]))
    assert digest == file_digest(exported[1] / "saved_model.pb")
    other = build("functional")
    other.get_layer("head").kernel.assign_add(tf.ones_like(other.get_layer("head").kernel))
    other.export(str(tmp_path / "other"), verbose=False)
    assert weights_digest(tfvid.load_model(tmp_path / "other")) != digest


def test_records_depend_on_the_description_of_a_model():
    model = build("functional")
    plain = tfvid.VideoModel(model)
    assert weights_digest(plain) == weights_digest(model)
    assert model_settings(plain) == model_settings(model) == {}
    given = keras.Input((3, 6, 8, 8))
    other = tfvid.VideoModel(
        keras.Model(given, model(keras.layers.Permute((2, 3, 4, 1))(given))),
        layout="CTHW",
        input_range=(0, 255),
        preprocess=tfvid.preprocess.normalize(0.5, 2),
        inputs={},
    )
    assert model_settings(other) == {
        "model.layout": "CTHW",
        "model.input_range": (0, 255),
        "model.preprocess": "normalize.<locals>.<lambda>",
    }
