"""A signal within an epoch: no further batch begins, and the state is saved."""

import json
import os
import signal

import pytest
from small_models import DROPOUT_NETWORK

from tfvid import config as cfg
from tfvid.core.stopping import Stopped, stoppable
from tfvid.training import train
from tfvid.training.callbacks import Epochs

BATCHES, LAST = 30, 7  # of an epoch; the batch, counted from 0, in which the signal arrives


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_no_batch_begins_after_a_signal(number, tmp_path, monkeypatch, capfd):
    """That a stopped run ends as an undisturbed one is tested in test_resume.py."""
    options = {"classes": ["Something appearing", "Something disappearing"], "train": BATCHES, "validation": 2}
    config = cfg.from_dict(
        {
            "name": "run",
            "data": {"options": options, "num_frames": 4, "size": [8, 8], "batch_size": 1, "workers": 1},
            "model": {"name": DROPOUT_NETWORK},
            "train": {"epochs": 1, "mixed_precision": False},
        }
    )
    begun = []

    def on_train_batch_begin(self, batch, logs=None):
        begun.append(batch)
        if batch == LAST:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(Epochs, "on_train_batch_begin", on_train_batch_begin)
    with pytest.raises(Stopped) as stopped, stoppable():
        train(config, tmp_path / "runs", tmp_path / "saved_models", verbose=0)
    assert stopped.value.code == 0 and begun == list(range(LAST + 1))
    checkpoints = tmp_path / "runs" / "run" / "checkpoints"
    assert [path.name for path in checkpoints.iterdir()] == ["within-0001"]
    assert json.loads((checkpoints / "within-0001" / "state.json").read_text())["batches"] == LAST + 1
    assert "finishing the current step" in capfd.readouterr().err
