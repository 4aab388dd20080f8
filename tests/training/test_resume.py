"""A run that is killed or stopped within an epoch, or while it writes a checkpoint, ends as an undisturbed one."""

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from forks import Forks
from small_models import DROPOUT_NETWORK

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[2]

# Dropout, batch norm, momenta, augmentation, a shuffled order, a rate that depends on the history: all have to go on.
CONFIG = f"""
name: run
data:
  options: {{classes: [Something appearing, Something disappearing], train: 10, validation: 2}}
  num_frames: 4
  size: [16, 16]
  batch_size: 2
  workers: 1
  augment: {{min_scale: 0.6, flip: true}}
model: {{name: '{DROPOUT_NETWORK}', options: {{filters: 3, dropout: 0.5, norm: true}}}}
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
from tfvid.cli.train import main
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


ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1"}


def start(forks: Forks, folder: Path, when: str) -> int:
    """Runs the command to its end, or to the kill; returns its exit code."""
    folder.mkdir(exist_ok=True)
    (folder / "config.yaml").write_text(CONFIG)
    done = forks.run(COMMAND, when, "--config", "config.yaml", cwd=folder)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr[-2000:]
    return done.returncode


def python_with_keras() -> Forks:
    return Forks("keras", "tfvid.cli.train", "tfvid.training.loop", environment=ENVIRONMENT)


def epochs(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "runs" / "run" / "checkpoints").iterdir())


@pytest.fixture(scope="module")
def folders(tmp_path_factory, forks):
    """A run that was never disturbed, and one that was stopped twice and killed twice."""
    root = tmp_path_factory.mktemp("resume")
    whole, disturbed = root / "whole", root / "disturbed"
    metrics = disturbed / "runs" / "run" / "metrics.json"
    assert start(forks, whole, "never") == 0
    with python_with_keras() as forks:  # another Python than the undisturbed run's, with another order of sets
        assert start(forks, disturbed, "stop in the last batch of epoch 2") == 0
        assert epochs(disturbed) == ["epoch-0001", "within-0002"]

        assert start(forks, disturbed, "in epoch 3") == -signal.SIGKILL
        assert "epoch-0002" in epochs(disturbed) and "epoch-0003" not in epochs(disturbed)

        assert start(forks, disturbed, "stop in epoch 3") == 0
        assert "within-0003" in epochs(disturbed) and not metrics.exists()

        assert start(forks, disturbed, "writing epoch 3") == -signal.SIGKILL
        assert ".epoch-0003" in epochs(disturbed) and "epoch-0003" not in epochs(disturbed)

        assert start(forks, disturbed, "never") == 0
    return whole, disturbed


def test_history_is_equal(folders):
    whole, disturbed = (json.loads((f / "runs" / "run" / "metrics.json").read_text()) for f in folders)
    assert len(whole["history"]) == 4
    assert whole == disturbed


def test_the_run_was_a_hard_one(folders):
    """The rate was halved, and no epoch was like another: else equality would prove little."""
    history = json.loads((folders[0] / "runs" / "run" / "metrics.json").read_text())["history"]
    assert len({record["loss"] for record in history}) == 4
    assert history[-1]["learning_rate"] < history[0]["learning_rate"]


def test_weights_are_bit_equal(folders):
    from tfvid.models.loading import load_model

    whole, disturbed = (load_model(folder / "saved_models" / "run") for folder in folders)
    for ours, theirs in zip(whole.weights, disturbed.weights, strict=True):
        assert ours.numpy().tobytes() == theirs.numpy().tobytes()


def test_optimizer_and_dropout_states_are_bit_equal(folders):
    states = [
        np.load(f / "runs" / "run" / "checkpoints" / "epoch-0004" / "training.npz", allow_pickle=False) for f in folders
    ]
    # Dropout's generator; of Adam its step, its rate and two moments of six weights.
    assert states[0].files == states[1].files and len(states[0].files) >= 15
    for name in states[0].files:
        assert states[0][name].tobytes() == states[1][name].tobytes()


def test_no_epoch_is_missing_from_the_logs(folders):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for folder in folders:
        logs = EventAccumulator(str(folder / "runs" / "run" / "logs" / "validation")).Reload()
        assert {event.step for event in logs.Tensors("epoch_loss")} == {0, 1, 2, 3}


def test_nothing_temporary_is_left(folders):
    for folder in folders:
        assert not list(folder.rglob(".*"))
        assert epochs(folder)[-1] == "epoch-0004"
