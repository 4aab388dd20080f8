"""A run that is killed or stopped within an epoch, or while it writes a checkpoint, ends as an undisturbed one."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent

# Dropout, momenta, augmentation, a shuffled order and a rate that depends on the history: all have to go on.
CONFIG = """
name: run
data:
  options: {classes: [Something appearing, Something disappearing], train: 10, validation: 2}
  num_frames: 4
  size: [16, 16]
  batch_size: 2
  workers: 1
  augment: {min_scale: 0.6, flip: true}
model: {name: conv_lstm, options: {blocks: 2, filters: 3, kernel: 3, dropout: 0.5}}
train:
  epochs: 4
  optimizer: adam
  schedule: plateau
  plateau_patience: 1
  weight_decay: 1e-3
  mixed_precision: false
  keep: last
  deterministic: true
"""

# The training command, with a SIGKILL set up for one moment of it.
COMMAND = """
import os, signal, sys
import numpy as np
from tfvid.commands.train import main
from tfvid.training.callbacks import Epochs

when = sys.argv.pop(1)

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

if when == "in epoch 3":
    class Dying:
        def on_train_batch_begin(self, batch, logs=None):
            if len(self.history) == 2 and batch == 3:
                die()
    Epochs.on_train_batch_begin = Dying.on_train_batch_begin
elif when.startswith("stop"):
    epoch, last = (1, 4) if "last" in when else (2, 1)

    class Stopping:
        def on_train_batch_begin(self, batch, logs=None):
            if len(self.history) == epoch and batch == last:
                os.kill(os.getpid(), signal.SIGINT if "last" in when else signal.SIGTERM)
    Epochs.on_train_batch_begin = Stopping.on_train_batch_begin
elif when == "writing epoch 3":
    savez = np.savez
    np.savez = lambda path, *arrays: die() if "epoch-0003" in str(path) else savez(path, *arrays)
main(sys.argv[1:])
"""


def start(folder: Path, when: str) -> int:
    """Runs the command to its end, or to the kill; returns its exit code."""
    folder.mkdir(exist_ok=True)
    (folder / "config.yaml").write_text(CONFIG)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1"}
    arguments = [sys.executable, "-c", COMMAND, when, "--config", "config.yaml"]
    result = subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode in (0, -signal.SIGKILL), result.stderr[-2000:]
    return result.returncode


def epochs(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "runs" / "run" / "checkpoints").iterdir())


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """One run that was never disturbed, one that was killed twice, and one that was stopped twice."""
    root = tmp_path_factory.mktemp("resume")
    whole, killed = root / "whole", root / "killed"
    assert start(whole, "never") == 0

    assert start(killed, "in epoch 3") == -signal.SIGKILL
    assert "epoch-0002" in epochs(killed) and "epoch-0003" not in epochs(killed)
    assert not (killed / "runs" / "run" / "metrics.json").exists()

    assert start(killed, "writing epoch 3") == -signal.SIGKILL
    assert ".epoch-0003" in epochs(killed) and "epoch-0003" not in epochs(killed)

    assert start(killed, "never") == 0

    stopped = root / "stopped"
    assert start(stopped, "stop in the last batch of epoch 2") == 0
    assert epochs(stopped) == ["epoch-0001", "within-0002"]
    assert start(stopped, "stop in epoch 3") == 0
    assert "within-0003" in epochs(stopped) and not (stopped / "runs" / "run" / "metrics.json").exists()
    assert start(stopped, "never") == 0
    return whole, killed, stopped


def test_history_is_equal(folders):
    whole, killed, stopped = (json.loads((f / "runs" / "run" / "metrics.json").read_text()) for f in folders)
    assert len(whole["history"]) == 4
    assert whole == killed == stopped


def test_the_run_was_a_hard_one(folders):
    """The rate was halved, and no epoch was like another: else equality would prove little."""
    history = json.loads((folders[0] / "runs" / "run" / "metrics.json").read_text())["history"]
    assert len({record["loss"] for record in history}) == 4
    assert history[-1]["learning_rate"] < history[0]["learning_rate"]


def test_weights_are_bit_equal(folders):
    from tfvid.models.loading import load_model

    whole, *others = (load_model(folder / "saved_models" / "run") for folder in folders)
    for other in others:
        for ours, theirs in zip(whole.weights, other.weights, strict=True):
            assert ours.numpy().tobytes() == theirs.numpy().tobytes()


def test_optimizer_and_dropout_states_are_bit_equal(folders):
    states = [
        np.load(f / "runs" / "run" / "checkpoints" / "epoch-0004" / "training.npz", allow_pickle=False) for f in folders
    ]
    assert states[0].files == states[1].files == states[2].files and len(states[0].files) > 20
    for name in states[0].files:
        assert states[0][name].tobytes() == states[1][name].tobytes() == states[2][name].tobytes()


def test_no_epoch_is_missing_from_the_logs(folders):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for folder in folders:
        logs = EventAccumulator(str(folder / "runs" / "run" / "logs" / "validation")).Reload()
        assert {event.step for event in logs.Tensors("epoch_loss")} == {0, 1, 2, 3}


def test_nothing_temporary_is_left(folders):
    for folder in folders:
        assert not list(folder.rglob(".*"))
        assert epochs(folder)[-1] == "epoch-0004"
