"""What commands show of TensorFlow's messages: nothing without a GPU, one line where a GPU is not used."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf

from tfvid.cli import tensorflow_log
from tfvid.cli.tensorflow_log import VARIABLE, gpu_devices, hide_start_up_messages, load_tensorflow

ROOT = Path(__file__).resolve().parents[2]


def test_device_files_of_gpus(tmp_path):
    for name in ("nvidiactl", "nvidia-uvm", "null"):
        (tmp_path / name).touch()
    assert gpu_devices(tmp_path) == []
    for name in ("nvidia1", "nvidia0", "dxg"):
        (tmp_path / name).touch()
    assert gpu_devices(tmp_path) == [tmp_path / "nvidia0", tmp_path / "nvidia1", tmp_path / "dxg"]


@pytest.mark.parametrize(("devices", "level"), [([], "3"), ([Path("/dev/nvidia0")], "2")])
def test_the_level_is_set_unless_the_user_set_it(monkeypatch, devices, level):
    monkeypatch.setattr(tensorflow_log, "gpu_devices", lambda: devices)
    monkeypatch.setattr(tensorflow_log, "_is_quiet", False)
    monkeypatch.setenv(VARIABLE, "0")
    hide_start_up_messages()
    assert os.environ[VARIABLE] == "0" and not tensorflow_log._is_quiet
    monkeypatch.delenv(VARIABLE)
    hide_start_up_messages()
    assert os.environ[VARIABLE] == level and tensorflow_log._is_quiet


def test_a_gpu_that_tensorflow_does_not_find_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(tensorflow_log, "gpu_devices", lambda: [Path("/dev/nvidia0")])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    load_tensorflow()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: this machine has a GPU (/dev/nvidia0), but TensorFlow cannot use it")


@pytest.mark.parametrize("hidden, found", [("-1", []), ("", []), ("0", ["GPU:0"])])
def test_no_line_where_the_gpu_is_used_or_hidden_by_the_user(monkeypatch, capsys, hidden, found):
    monkeypatch.setattr(tensorflow_log, "gpu_devices", lambda: [Path("/dev/nvidia0")])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: found)
    load_tensorflow()
    assert capsys.readouterr().err == ""


def test_other_messages_are_kept(capfd):
    """Only TensorFlow's remarks are left out, and what else was written comes at the end."""
    with tensorflow_log._without_remarks():
        for line in (
            "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
            "I0000 00:00:1795831781.754158   27548 port.cc:153] oneDNN custom operations are on.",
            "W0000 00:00:1795831781.754158   27548 gpu_device.cc:2342] Cannot dlopen some GPU libraries.",
            "E0000 00:00:1795831781.754158   27548 a.cc:1] an error",
            "a library's warning",
        ):
            os.write(2, f"{line}\n".encode())
    assert capfd.readouterr().err.splitlines() == [
        "E0000 00:00:1795831781.754158   27548 a.cc:1] an error",
        "a library's warning",
    ]


@pytest.mark.long
@pytest.mark.skipif(
    bool(gpu_devices()), reason="this machine has a GPU, about which TensorFlow may have to say something"
)
def test_a_commands_error_is_all_that_it_prints(tmp_path):
    """One that comes after TensorFlow was loaded."""
    environment = {name: value for name, value in os.environ.items() if name not in (VARIABLE, "CUDA_VISIBLE_DEVICES")}
    command = [sys.executable, ROOT / "scripts" / "export.py", "--model", "gone", "--out", tmp_path / "out"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    (line,) = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (1, "") and line.startswith("error: gone: no such model")
