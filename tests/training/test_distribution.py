"""Training on several replicas and in several processes: the same as in one, and what a lost worker leaves."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfvid.core.errors import ConfigError
from tfvid.data.share import Share
from tfvid.training.distribution import cluster, distribution

ROOT = Path(__file__).resolve().parents[2]

# Frames of noise, no two alike: where frames repeat, as moving shapes at rest do, the largest of a max-pool is a matter
# of the last bit, and with it the place that a gradient goes to. For the same reason steps are small: at a rate of 0.02
# I3D's losses differ by 1e-4 between one order of summation and another, in one process too. A wrong factor or a batch
# norm of each half by itself would still show a hundredfold.
DATASET = """
import zlib
import numpy as np
from tfvid.data.base import Clip, Sample, VideoDataset

class Noise(VideoDataset):
    class_names = ("dark", "light")

    def samples(self, split):
        count = {"train": 12, "validation": 5}[split]
        return [Sample(f"{split}-{i}", i % 2) for i in range(count)]

    def read(self, sample, num_frames, size):
        rng = np.random.default_rng(zlib.crc32(sample.id.encode()))
        return Clip(rng.integers(60 * sample.label, 196 + 60 * sample.label, (num_frames, *size, 3), np.uint8))
"""

# A last validation batch that is not full, a part of which falls to one worker only.
CONFIG = """
name: run
data:
  dataset: "{dataset}"
  num_frames: 8
  size: [32, 32]
  batch_size: 4
  workers: 1
model: {model}
train:
  epochs: 3
  optimizer: sgd
  learning_rate: 2e-4
  momentum: 0.5
  weight_decay: 1e-3
  schedule: plateau
  plateau_patience: 1
  mixed_precision: false
  keep: last
"""
MODELS = {
    "i3d": "{name: i3d, options: {width: 0.1, depth: 1, dropout: 0.0}}",  # which draws anew for each replica
    "conv_lstm": "{name: conv_lstm, options: {blocks: 2, filters: 3, kernel: 3}}",
}

# The training command, with two processors for `mirrored`, and with a death in the second step of epoch 2.
COMMAND = """
import os, signal, sys
import tensorflow as tf
from tfvid.cli.train import main
from tfvid.core.errors import command
from tfvid.training.callbacks import Epochs

when = sys.argv.pop(1)
if when == "two devices":
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
if when == "dies":
    def on_train_batch_begin(self, batch, logs=None):
        if len(self.history) == 1 and batch == 1:
            os.kill(os.getpid(), signal.SIGKILL)
    Epochs.on_train_batch_begin = on_train_batch_begin
command(main)
"""


def start(folder, model, kind, when="", task=None):
    """The training command as a process; `task` is (number, ports) of one of several workers."""
    config, dataset = folder / "run.yaml", folder / "noise.py"
    dataset.write_text(DATASET)
    config.write_text(CONFIG.format(model=MODELS[model], dataset=f"{dataset}:Noise"))
    # One thread each: sums in another order differ by more than what is looked for.
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "2"}
    if task:
        addresses = [f"127.0.0.1:{port}" for port in task[1]]
        environment["TF_CONFIG"] = json.dumps(
            {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": task[0]}}
        )
    arguments = ["--config", config, "--runs", folder / kind, "--saved-models", folder / f"{kind}_saved"]
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, when, *map(str, arguments), f"distribution={kind}"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ends(*processes):
    """Exit codes and outputs; nobody is left behind."""
    try:
        outputs = [process.communicate(timeout=300)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [process.returncode for process in processes], outputs


def two_workers(folder, model, when=("", "")):
    sockets = [socket.socket() for _ in when]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ends(*(start(folder, model, "multi_worker", moment, (i, ports)) for i, moment in enumerate(when)))


def results(folder, kind):
    """The history of a run, and the weights it ended with."""
    metrics = json.loads((folder / kind / "run" / "metrics.json").read_text())
    model = keras.models.load_model(folder / kind / "run" / "model.keras")
    history = [[record[name] for name in sorted(record)] for record in metrics["history"]]
    return np.array(history), model.get_weights()


def assert_same(folder, kind, other, atol):
    (history, weights), (history_2, weights_2) = results(folder, kind), results(folder, other)
    assert history.shape == (3, 7)
    np.testing.assert_allclose(history, history_2, atol=atol)
    for value, value_2 in zip(weights, weights_2, strict=True):
        np.testing.assert_allclose(value, value_2, atol=atol)


@pytest.mark.long
@pytest.mark.parametrize("model", MODELS)
def test_two_processes_are_as_good_as_one(tmp_path, model):
    """I3D and C-LSTM, batch norm and all, within 1e-5; the chief alone writes; so do two devices of one process."""
    codes, output = ends(start(tmp_path, model, "none"))
    assert codes == [0], output
    codes, output = two_workers(tmp_path, model)
    assert codes == [0, 0], output
    assert_same(tmp_path, "none", "multi_worker", 1e-5)
    codes, output = ends(start(tmp_path, model, "mirrored", "two devices"))
    assert codes == [0], output
    assert_same(tmp_path, "none", "mirrored", 1e-5)
    assert {path.name for path in (tmp_path / "multi_worker" / "run").iterdir()} == {
        path.name for path in (tmp_path / "none" / "run").iterdir()
    }


@pytest.mark.long
def test_a_worker_killed_in_an_epoch(tmp_path):
    """The other one ends too, in one line; started again, both end as if nothing had been."""
    undisturbed = tmp_path / "undisturbed"
    undisturbed.mkdir()
    assert two_workers(undisturbed, "conv_lstm")[0] == [0, 0]
    codes, outputs = two_workers(tmp_path, "conv_lstm", ("", "dies"))
    assert codes == [1, -signal.SIGKILL]
    assert "error: another worker is lost; start all workers again" in outputs[0].splitlines()[-1]
    assert not (tmp_path / "multi_worker" / "run" / "metrics.json").exists()
    codes, outputs = two_workers(tmp_path, "conv_lstm")
    assert codes == [0, 0], outputs
    assert "continues after epoch 1" in outputs[0]
    (tmp_path / "multi_worker").rename(tmp_path / "killed")
    (undisturbed / "multi_worker").rename(tmp_path / "multi_worker")
    assert_same(tmp_path, "killed", "multi_worker", 1e-6)


@pytest.mark.parametrize(
    ("total", "whole", "expected"),
    [
        (10, True, [[0, 1, 4, 5], [2, 3, 6, 7]]),
        (9, False, [[0, 1, 4, 5, 8], [2, 3, 6, 7]]),
        (11, False, [[0, 1, 4, 5, 8, 9], [2, 3, 6, 7, 10]]),
    ],
)
def test_shares_of_batches(total, whole, expected):
    for index in (0, 1):
        share = Share(index, 2)
        clips = share.of(tf.data.Dataset.range(total), 4, whole)
        assert [int(clip) for clip in clips] == expected[index]
        assert share.clips(total, 4, whole) == len(expected[index])


def test_one_share_of_one_is_everything():
    assert [int(clip) for clip in Share().of(tf.data.Dataset.range(5), 2, False)] == [0, 1, 2, 3, 4]
    assert [int(clip) for clip in Share().of(tf.data.Dataset.range(5), 2, True)] == [0, 1, 2, 3]


TF_CONFIG = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}


@pytest.mark.parametrize(
    "bad",
    [
        "worker",
        "{}",
        json.dumps(TF_CONFIG | {"task": {"type": "worker", "index": 2}}),
        json.dumps(TF_CONFIG | {"task": {"type": "ps", "index": 0}}),
        json.dumps(TF_CONFIG | {"cluster": {"worker": "a:1"}}),
        json.dumps({"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "worker", "index": 0}}),
    ],
)
def test_a_bad_tf_config_is_one_line(bad):
    with pytest.raises(ConfigError, match="TF_CONFIG: expected .*cluster"):
        cluster({"TF_CONFIG": bad})


def test_no_cluster():
    with pytest.raises(ConfigError, match="expected the environment variable TF_CONFIG or a SLURM job"):
        cluster({})


def test_the_cluster_of_a_slurm_job(monkeypatch):
    """Three tasks on two nodes without GPUs."""
    slurm = {
        "SLURM_PROCID": "2",
        "SLURM_STEP_NUM_TASKS": "3",
        "SLURM_STEP_NODELIST": "node[07-08]",
        "SLURM_STEP_TASKS_PER_NODE": "2,1",
    }
    for name, value in slurm.items():
        monkeypatch.setenv(name, value)
    resolver = cluster(slurm)
    assert resolver.cluster_spec().as_dict() == {"worker": ["node07:8888", "node07:8889", "node08:8888"]}
    assert (resolver.task_type, resolver.task_id) == ("worker", 2)
    assert "CUDA_VISIBLE_DEVICES" not in os.environ or os.environ["CUDA_VISIBLE_DEVICES"] == "-1"


def test_no_distribution():
    alone = distribution("none", 3)
    assert alone.chief and alone.replicas == 1 and alone.strategy is None
    alone.wait()
