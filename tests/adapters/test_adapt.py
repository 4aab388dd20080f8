"""Which models `tfvid.adapt` knows, by their class alone."""

import subprocess
import sys

import keras
import pytest

import tfvid


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


def test_no_other_package_is_imported():
    code = (
        "import sys, tfvid, keras; tfvid.adapt(keras.Sequential([]))\n"
        "try: tfvid.adapt(object())\n"
        "except tfvid.ModelError: pass\n"
        "print(sorted({'torch', 'tf_keras', 'onnxruntime', 'openvino', 'tensorflow_hub'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.stdout.split() == ["[]"], done.stderr
