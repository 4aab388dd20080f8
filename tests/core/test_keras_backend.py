"""Keras on another backend than TensorFlow is refused in one line, before Keras is imported."""

import os
import subprocess
import sys

import pytest

from tfvid.core.keras_backend import check_backend

USES = (
    "tfvid.GradCAM",
    "tfvid.load_model",
    "tfvid.adapt",
    "from tfvid.explain.cam.grad_cam import GradCAM",
    "tfvid.metrics.insertion",
)


def run(code, **variables):
    lines = "import sys, tfvid", "try:", f"    {code}", "except tfvid.ConfigError as error:"
    code = "\n".join((*lines, "    print(error, 'keras' in sys.modules)"))
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | variables, capture_output=True, text=True, timeout=300
    )
    return done.stdout, done.stderr


@pytest.mark.parametrize("use", USES)
def test_another_backend_is_refused_without_importing_keras(use):
    out, err = run(use, KERAS_BACKEND="jax")
    assert out.startswith(
        "tfvid needs Keras on TensorFlow, and the environment variable KERAS_BACKEND says 'jax'; set"
    ), err
    assert out.endswith("False\n") and out.count("\n") == 1


def test_the_file_of_keras_counts(tmp_path):
    (tmp_path / "keras.json").write_text('{"backend": "torch"}')
    environment = {"KERAS_HOME": str(tmp_path), "KERAS_BACKEND": ""}
    out, err = run("tfvid.GradCAM", **environment)
    assert "keras.json says 'torch'; set the environment variable KERAS_BACKEND=tensorflow" in out, err


def test_tensorflow_is_accepted():
    check_backend()
    import keras  # noqa: F401

    check_backend()


def test_import_tfvid_and_reading_clips_need_no_keras():
    out, err = run("print(tfvid.read_clip.__name__)", KERAS_BACKEND="jax")
    assert out == "read_clip\n", err
