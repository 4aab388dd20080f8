"""Which models `tfvid.adapt` knows, by their class alone."""

import ast
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfvid
from tfvid.metrics.cost import cost
from tfvid.network.model_format import declare


def test_a_keras_model_is_returned_unchanged():
    model = keras.Sequential([keras.layers.Dense(2)])
    assert tfvid.adapt(model) is model


@pytest.mark.parametrize("model", [lambda clips: clips, object(), "model.pt"])
def test_other_objects_are_refused(model):
    with pytest.raises(tfvid.ModelError, match="expected a model of Keras, PyTorch .* got builtins|got tests|got "):
        tfvid.adapt(model)


def test_a_function_of_clips_stays_a_function():
    def function(clips):
        return clips.mean((2, 3, 4))[:, :2]

    assert tfvid.explainer("occlusion", function, window=(2, 4, 4)).classifier.model is function


@pytest.mark.long
def test_no_other_package_is_imported(forks, tmp_path):
    code = (
        "import sys, tfvid, keras; tfvid.adapt(keras.Sequential([]))\n"
        "try: tfvid.adapt(object())\n"
        "except tfvid.ModelError: pass\n"
        "print(sorted({'torch', 'tf_keras', 'onnxruntime', 'openvino', 'tensorflow_hub'} & set(sys.modules)))"
    )
    done = forks.run(code, cwd=tmp_path)
    assert done.stdout.split() == ["[]"], done.stderr


def test_every_classifier_is_of_an_adapted_model():
    """Only `classifier_of` makes a `Classifier`, so a model of another make is adapted wherever scores are needed."""
    folder = Path(tfvid.__file__).parent
    made = {
        file.relative_to(folder).as_posix()
        for file in folder.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Classifier"
    }
    assert made == {"adapters/makes.py"}


class Means(tf.Module):
    """The mean of each colour, a model that TensorFlow makes without Keras."""

    def __call__(self, clips):
        return tf.reduce_mean(clips, (1, 2, 3))


def test_everything_takes_a_model_of_another_make():
    clips = np.random.default_rng(0).random((3, 4, 6, 5, 3), np.float32)
    model = declare(Means(), output="logits")
    batch = {"clip": clips, "label": np.argmax(clips.mean((1, 2, 3)), axis=1), "id": np.array([b"a", b"b", b"c"])}
    assert tfvid.evaluate(model, [batch]).measures["forward"]["top_1"] == 1
    names = ["gradient", "grad_cam", "temporal_mask"]
    table = tfvid.methods(model, clips, names=names, measure=False)
    assert [row.applies for row in table] == [True, False, True] and "graph without layers" in table[1].reason
    passes = cost(lambda counted: tfvid.Gradient(counted), model, clips)
    assert (passes.forward_passes, passes.backward_passes) == (1, 1)
