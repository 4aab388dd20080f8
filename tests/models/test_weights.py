"""Import of DeepMind's Kinetics I3D, on checkpoints written here with its names and shapes."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfvid.config import from_dict
from tfvid.core.errors import ModelError
from tfvid.models.build import load_initial_weights
from tfvid.models.i3d import I3D, MODULES
from tfvid.models.weights import load_kinetics

WIDTH = 0.05


def narrow(filters):
    return max(4, int(filters * WIDTH + 0.5))


def i3d(num_classes=400, **options):
    return I3D(num_classes, 8, (32, 32), width=WIDTH, **options)


def deepmind_variables(num_classes=400, seed=0):
    """The variables of the published checkpoint by name, as its authors' code makes them, but narrow.

    Written from the published i3d.py, not from ours: unit by unit, with the odd name in Mixed_5b.
    """
    rng = np.random.default_rng(seed)
    variables = {}

    def unit(name, kernel, inputs, outputs):
        scope = f"RGB/inception_i3d/{name}"
        variables[f"{scope}/conv_3d/w"] = rng.normal(0, 0.2, (*[kernel] * 3, inputs, outputs))
        variables[f"{scope}/batch_norm/beta"] = rng.normal(0, 0.2, (1, 1, 1, 1, outputs))
        variables[f"{scope}/batch_norm/moving_mean"] = rng.normal(0, 0.2, (1, 1, 1, 1, outputs))
        variables[f"{scope}/batch_norm/moving_variance"] = rng.uniform(0.5, 2, (1, 1, 1, 1, outputs))
        return outputs

    x = unit("Conv3d_1a_7x7", 7, 3, narrow(64))
    x = unit("Conv3d_2b_1x1", 1, x, narrow(64))
    x = unit("Conv3d_2c_3x3", 3, x, narrow(192))
    for module, filters in MODULES.items():
        b0, b1a, b1b, b2a, b2b, b3 = map(narrow, filters)
        unit(f"{module}/Branch_0/Conv3d_0a_1x1", 1, x, b0)
        unit(f"{module}/Branch_1/Conv3d_0b_3x3", 3, unit(f"{module}/Branch_1/Conv3d_0a_1x1", 1, x, b1a), b1b)
        second = "Conv3d_0a_3x3" if module == "Mixed_5b" else "Conv3d_0b_3x3"
        unit(f"{module}/Branch_2/{second}", 3, unit(f"{module}/Branch_2/Conv3d_0a_1x1", 1, x, b2a), b2b)
        unit(f"{module}/Branch_3/Conv3d_0b_1x1", 1, x, b3)
        x = b0 + b1b + b2b + b3
    variables["RGB/inception_i3d/Logits/Conv3d_0c_1x1/conv_3d/w"] = rng.normal(0, 0.2, (1, 1, 1, x, num_classes))
    variables["RGB/inception_i3d/Logits/Conv3d_0c_1x1/conv_3d/b"] = rng.normal(0, 0.2, (num_classes,))
    return {name: value.astype(np.float32) for name, value in variables.items()}


def write(path, variables):
    prefix = str(path / "model.ckpt")
    tf.raw_ops.SaveV2(
        prefix=prefix,
        tensor_names=list(variables),
        shape_and_slices=[""] * len(variables),
        tensors=[tf.constant(value) for value in variables.values()],
    )
    return prefix


@pytest.fixture(scope="module")
def variables():
    return deepmind_variables()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, variables):
    return write(tmp_path_factory.mktemp("kinetics"), variables)


def set_by_hand(model, variables):
    """What the import should do, through the layers of one unit at a time."""
    for name, value in variables.items():
        unit, kind, attribute = name.removeprefix("RGB/inception_i3d/").rsplit("/", 2)
        layer = unit.replace("/", ".").replace("Mixed_5b.Branch_2.Conv3d_0a_3x3", "Mixed_5b.Branch_2.Conv3d_0b_3x3")
        if unit == "Logits/Conv3d_0c_1x1":
            target = {"w": "kernel", "b": "bias"}[attribute]
            getattr(model.get_layer(layer), target).assign(np.squeeze(value))
        elif kind == "conv_3d":
            model.get_layer(f"{layer}.conv_3d").kernel.assign(value)
        else:
            getattr(model.get_layer(f"{layer}.batch_norm"), attribute).assign(np.squeeze(value))


def test_there_are_as_many_variables_as_in_the_published_network(variables):
    """57 units of a kernel and three batch-norm variables, and the classifier's two."""
    assert len(variables) == 57 * 4 + 2


def test_logits_are_those_of_the_same_weights_set_by_hand(checkpoint, variables):
    loaded, by_hand = (i3d(temporal_strides=(2, 2, 2)) for _ in range(2))
    for layer in loaded.layers:  # a trained gamma has to go back to 1
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.gamma.assign(tf.fill(layer.gamma.shape, 3.0))
    assert load_kinetics(loaded, checkpoint) == f"loaded 230 variables of {checkpoint} with its classifier"
    set_by_hand(by_hand, variables)
    clips = np.random.default_rng(1).random((2, 8, 32, 32, 3), np.float32)
    expected = by_hand(clips).numpy()
    assert expected.std() > 1e-3
    np.testing.assert_allclose(loaded(clips).numpy(), expected, rtol=1e-4, atol=1e-5)


def test_first_unit_is_sonnets(checkpoint, variables):
    """Convolution of the clip in [-1, 1], then ``(x - mean) / sqrt(variance + 1e-3) + beta``, then ReLU."""
    model = i3d()
    load_kinetics(model, checkpoint)
    clips = np.random.default_rng(2).random((1, 8, 32, 32, 3), np.float32)
    v = {name.rsplit("/", 1)[1]: value for name, value in variables.items() if "/Conv3d_1a_7x7/" in name}
    x = tf.nn.conv3d(clips * 2 - 1, v["w"], (1, 1, 2, 2, 1), "SAME")
    expected = tf.nn.relu((x - v["moving_mean"]) / np.sqrt(v["moving_variance"] + 1e-3) + v["beta"])
    got = keras.Model(model.input, model.get_layer("Conv3d_1a_7x7").output)(clips)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


def test_the_classifier_is_left_where_classes_differ(checkpoint, variables):
    model = i3d(7)
    kernel = model.get_layer("Logits.Conv3d_0c_1x1").kernel.numpy()
    assert load_kinetics(model, checkpoint).endswith("without its classifier of 400 classes")
    np.testing.assert_array_equal(model.get_layer("Logits.Conv3d_0c_1x1").kernel, kernel)
    w = variables["RGB/inception_i3d/Mixed_5b/Branch_2/Conv3d_0a_3x3/conv_3d/w"]
    np.testing.assert_array_equal(model.get_layer("Mixed_5b.Branch_2.Conv3d_0b_3x3.conv_3d").kernel, w)


def test_the_classifier_can_be_asked_for_or_not(checkpoint):
    with pytest.raises(ModelError, match=r"Logits/Conv3d_0c_1x1/conv_3d/w' has another shape: .*400\) there, .*7\)"):
        load_kinetics(i3d(7), checkpoint, head="load")
    model = i3d(400)
    kernel = model.get_layer("Logits.Conv3d_0c_1x1").kernel.numpy()
    load_kinetics(model, checkpoint, head="skip")
    np.testing.assert_array_equal(model.get_layer("Logits.Conv3d_0c_1x1").kernel, kernel)
    with pytest.raises(ModelError, match="head must be"):
        load_kinetics(model, checkpoint, head="maybe")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda v: v.pop("RGB/inception_i3d/Mixed_4c/Branch_0/Conv3d_0a_1x1/batch_norm/beta"),
            "variable 'RGB/inception_i3d/Mixed_4c/Branch_0/Conv3d_0a_1x1/batch_norm/beta' is missing",
        ),
        (
            lambda v: v.update({"RGB/inception_i3d/Mixed_6a/conv_3d/w": np.zeros(3, np.float32)}),
            "variable 'RGB/inception_i3d/Mixed_6a/conv_3d/w' has no place in 'i3d'",
        ),
        (
            lambda v: v.update({"RGB/inception_i3d/Conv3d_2b_1x1/conv_3d/w": np.zeros((1, 1, 1, 9, 4), np.float32)}),
            "has another shape: (1, 1, 1, 9, 4) there, (1, 1, 1, 4, 4) in 'i3d'",
        ),
        (
            lambda v: v.update({"Flow/inception_i3d/Conv3d_2b_1x1/conv_3d/w": np.zeros(3, np.float32)}),
            "expected one I3D (RGB/inception_i3d/...), found the networks",
        ),
    ],
)
def test_a_checkpoint_that_does_not_fit_changes_nothing(tmp_path, variables, change, said):
    variables = dict(variables)
    change(variables)
    model = i3d()
    before = [weight.numpy() for weight in model.weights]
    with pytest.raises(ModelError) as caught:
        load_kinetics(model, write(tmp_path, variables))
    assert said in str(caught.value) and "\n" not in str(caught.value)
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)


def test_variables_beside_the_network_do_not_matter(tmp_path, variables):
    prefix = write(tmp_path, variables | {"global_step": np.int64(5)})
    assert load_kinetics(i3d(), prefix).startswith("loaded 230 variables")


def test_not_a_checkpoint(tmp_path):
    with pytest.raises(ModelError, match="no such checkpoint"):
        load_kinetics(i3d(), tmp_path / "gone.ckpt")
    (tmp_path / "bad.ckpt.index").write_bytes(b"nonsense")
    with pytest.raises(ModelError, match="cannot read the checkpoint") as caught:
        load_kinetics(i3d(), tmp_path / "bad.ckpt")
    assert "\n" not in str(caught.value)
    with pytest.raises(ModelError, match="found no variable with 'inception_i3d'"):
        load_kinetics(i3d(), write(tmp_path, {"w": np.zeros(3, np.float32)}))


def test_only_an_i3d_takes_it(checkpoint):
    from tfvid.models.conv_lstm import ConvLSTM

    with pytest.raises(ModelError, match="is not an I3D: layer 'conv_lstm_1'"):
        load_kinetics(ConvLSTM(400, 4, (8, 8), blocks=1), checkpoint)


def test_config_key_takes_a_checkpoint_or_a_keras_file(tmp_path, checkpoint, capsys):
    path = from_dict({"model": {"weights": checkpoint}}).model.weights
    model, again = i3d(), i3d()
    load_initial_weights(model, path)
    assert "with its classifier" in capsys.readouterr().out
    model.save(tmp_path / "start.keras")
    load_initial_weights(again, str(tmp_path / "start.keras"))
    for ours, theirs in zip(again.weights, model.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(ModelError, match="no such weights; expected a .keras file or a TensorFlow checkpoint"):
        load_initial_weights(model, str(tmp_path / "gone"))
