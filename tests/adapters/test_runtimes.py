"""ONNX Runtime and OpenVINO give scores, and say that they give no gradients."""

import numpy as np
import pytest

import tfvid

onnx = pytest.importorskip("onnx", reason="needs onnx")
SHAPE = (6, 8, 8, 3)
WEIGHTS = np.random.default_rng(1).normal(size=(int(np.prod(SHAPE)), 3)).astype(np.float32)


def clips(num_clips=2, seed=0):
    return np.random.default_rng(seed).random((num_clips, *SHAPE), np.float32)


def expected(values):
    return values.reshape(len(values), -1) @ WEIGHTS


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A linear model, ``scores = flatten(clips) @ WEIGHTS``, in an ONNX file."""
    helper, tensor = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["clips"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["scores"])],
        "linear",
        [helper.make_tensor_value_info("clips", tensor, ["batch", *SHAPE])],
        [helper.make_tensor_value_info("scores", tensor, ["batch", 3])],
        [onnx.numpy_helper.from_array(WEIGHTS, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path = tmp_path_factory.mktemp("onnx") / "linear.onnx"
    onnx.save(model, path)
    return str(path)


@pytest.fixture(params=["onnxruntime", "openvino"])
def net(request, file):
    package = pytest.importorskip(request.param, reason="needs it: pip install tfvid[makes]")
    if request.param == "onnxruntime":
        return package.InferenceSession(file)
    return package.compile_model(file, "CPU")


def test_scores_are_its_own(net):
    values = clips()
    np.testing.assert_allclose(tfvid.adapt(net)(values), expected(values), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(tfvid.adapt(net).predict(values, verbose=0), expected(values), rtol=1e-4, atol=1e-3)


def test_methods_of_scores(net):
    values = clips()
    options = {"output": "logits", "window": (2, 4, 4), "stride": (2, 4, 4)}
    found = tfvid.explainer("occlusion", net, **options)(values, 0)
    function = tfvid.explainer("occlusion", expected, **options)(values, 0)
    np.testing.assert_allclose(found.attribution, function.attribution, rtol=1e-3, atol=1e-4)
    assert tfvid.TemporalMask(net, method="search", output="logits")(values).mask.shape == (2, 6)


def test_gradients_and_layers_are_refused_in_one_line(net):
    with pytest.raises(tfvid.ModelError, match="gives scores, no gradients; use a method that needs scores only"):
        tfvid.Gradient(net, output="logits")(clips())
    with pytest.raises(tfvid.ModelError, match="its layers are not to be had; use a method that needs no layer"):
        tfvid.GradCAM(net, output="logits")(clips())


def test_inputs_by_name(net):
    values = clips()
    np.testing.assert_allclose(tfvid.adapt(net)({"clips": values}), expected(values), rtol=1e-4, atol=1e-3)
    with pytest.raises(tfvid.ModelError, match="with the inputs clips got video; see tfvid.VideoModel"):
        tfvid.adapt(net)({"video": values})
