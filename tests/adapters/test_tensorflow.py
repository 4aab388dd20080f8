"""SavedModels, their signatures and TensorFlow functions have scores and gradients, and no layers."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from toy_models import build, clips

import tfvid

KEPT = []


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A Keras model and the folder of its SavedModel."""
    model, folder = build("functional"), str(tmp_path_factory.mktemp("saved") / "model")
    model.export(folder, verbose=False)
    return model, folder


class Module(tf.Module):
    """Half the mean of each colour."""

    def __init__(self):
        super().__init__()
        self.scale = tf.Variable(0.5)

    def __call__(self, x):
        return self.scale * tf.reduce_mean(x, (1, 2, 3))


def forms(folder):
    loaded = tf.saved_model.load(folder)
    KEPT.append(loaded)  # its functions do not keep its variables
    return {
        "loaded": loaded,
        "signature": loaded.signatures["serving_default"],
        "serve": loaded.serve,
        "layer": keras.layers.TFSMLayer(folder, call_endpoint="serving_default"),
    }


@pytest.mark.parametrize("form", ["loaded", "signature", "serve", "layer"])
def test_scores_and_gradients_of_a_saved_model(exported, form):
    model, folder = exported
    net, values = forms(folder)[form], clips()
    expected = tfvid.Gradient(model, reduce="sum")(values, 1)
    found = tfvid.Gradient(net, reduce="sum", output="logits")(values, 1)
    np.testing.assert_allclose(found.attribution, expected.attribution, atol=1e-5)
    np.testing.assert_allclose(found.score, model.predict(values, verbose=0)[:, 1], atol=1e-5)
    assert tfvid.TemporalMask(net, method="search")(values).mask.shape == (3, 6)


def test_a_module_and_a_function():
    for net in (Module(), tf.function(Module()), lambda x: 0.5 * x.mean((1, 2, 3))):
        found = tfvid.explainer("occlusion", net, output="logits", window=(6, 8, 8), stride=(6, 8, 8))(clips())
        assert found.attribution.shape == (3, 6, 8, 8)
    found = tfvid.Gradient(Module(), output="logits")(clips(), 0)
    np.testing.assert_allclose(found.attribution, 0.5 / (6 * 8 * 8), atol=1e-7)


def test_layers_are_refused_in_one_line(exported):
    for layer in (None, "conv"):
        with pytest.raises(tfvid.ModelError, match="SavedModel: it is a graph without layers; use a method"):
            tfvid.GradCAM(tf.saved_model.load(exported[1]), layer=layer)(clips())
    with pytest.raises(tfvid.ModelError, match="a ReLU runs inside|a loop or a tf.function|no ReLU"):
        tfvid.GuidedBackprop(tf.saved_model.load(exported[1]))(clips())


def test_signatures_of_several_inputs_and_outputs(tmp_path):
    module = Module()

    @tf.function(input_signature=[tf.TensorSpec((None, *clips().shape[1:]), name=name) for name in ("rgb", "flow")])
    def two(rgb, flow):
        return {"scores": module(rgb) - module(flow), "features": rgb[:, 0]}

    numbers = tf.function(lambda n: {"n": n}, input_signature=[tf.TensorSpec((None,), tf.int32, name="n")])
    tf.saved_model.save(module, str(tmp_path), {"two": two, "numbers": numbers})
    loaded = tf.saved_model.load(str(tmp_path))
    with pytest.raises(
        tfvid.ModelError, match="the signatures two, numbers: choose|the signatures numbers, two: choose"
    ):
        tfvid.adapt(loaded)
    with pytest.raises(tfvid.ModelError, match="unknown signature 'tow'; did you mean 'two'"):
        tfvid.adapt(loaded, signature="tow")
    with pytest.raises(tfvid.ModelError, match="input 'n' is int32, which has no gradient"):
        tfvid.adapt(loaded, signature="numbers")(tf.zeros(2))
    net = tfvid.adapt(loaded, signature="two")
    with pytest.raises(tfvid.ModelError, match=r"say what the inputs (rgb, flow|flow, rgb) get: tfvid.VideoModel"):
        tfvid.Gradient(net)(clips())
    model = tfvid.VideoModel(net, clip="rgb", inputs={"flow": np.zeros(clips().shape[1:], np.float32)}, head="scores")
    found = tfvid.Gradient(model, output="logits")(clips(), 2)
    np.testing.assert_allclose(found.attribution, 0.5 / (6 * 8 * 8), atol=1e-7)


def test_the_inputs_that_are_stated(exported):
    loaded = tf.saved_model.load(exported[1])
    KEPT.append(loaded)
    for net in (loaded, loaded.serve, keras.layers.TFSMLayer(exported[1], call_endpoint="serving_default")):
        (stated,) = tfvid.adapt(net).inputs
        assert tuple(stated.shape) == (None, 6, 8, 8, 3) and stated.dtype == tf.float32
    unknown = tf.function(lambda x: x).get_concrete_function(tf.TensorSpec(None, tf.float32))
    assert tfvid.adapt(unknown).inputs == [] and tfvid.adapt(Module()).inputs == []


def test_one_thread_for_operations_suffices(exported, forks, tmp_path):
    """A TensorFlow function inside `tf.numpy_function` waits for ever for the thread that waits for it."""
    code = (
        "import sys, tfvid, numpy as np, tensorflow as tf\n"
        "tf.config.threading.set_inter_op_parallelism_threads(1)\n"
        "net = tf.saved_model.load(sys.argv[1])\n"
        "clips = np.random.default_rng(0).random((1, 6, 8, 8, 3), np.float32)\n"
        "for model in (net, tf.function(lambda x: net.serve(x))):\n"
        "    print(tfvid.explainer('occlusion', model, window=(6, 8, 8))(clips).attribution.shape)"
    )
    done = forks.run(code, exported[1], cwd=tmp_path)
    assert done.stdout.splitlines() == ["(1, 6, 8, 8)"] * 2, done.stderr
