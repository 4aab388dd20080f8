"""``explain.log_every``: a run that explains clips while it trains, through a kill, and none the worse for it."""

import csv

import numpy as np
import pytest
from small_models import DROPOUT_NETWORK
from small_videos import write_video

from tfvid import config as cfg
from tfvid.cli import prepare
from tfvid.core.errors import ConfigError, DataError, TfvidError
from tfvid.data.pipeline import make_dataset
from tfvid.models.card import ModelCard
from tfvid.training import train
from tfvid.training.callbacks import Epochs
from tfvid.training.explain import explanation_logger, first_clips

CLASSES = ["Something appearing", "Something disappearing", "Something colliding with something"]
DATA = {
    "options": {"classes": CLASSES, "train": 9, "validation": 9},
    "num_frames": 4,
    "size": [8, 8],
    "batch_size": 3,
    "workers": 1,
}


def tiny(log_every=1, log_clips=2, mixed_precision=False, data=DATA, **explain):
    return cfg.from_dict(
        {
            "name": "tiny",
            "data": data,
            "model": {"name": DROPOUT_NETWORK},
            "train": {"epochs": 3, "mixed_precision": mixed_precision},
            "explain": {"mask": {"iterations": 2}, "log_every": log_every, "log_clips": log_clips} | explain,
        }
    )


def start(folder, config):
    return train(config, folder / "runs", folder / "saved_models", verbose=0)


def rows(folder):
    with open(folder / "runs" / "tiny" / "logs" / "explanations.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """One run without explanations, one with, and one with that is killed before its second epoch is saved."""
    root = tmp_path_factory.mktemp("explained")
    plain, explained, killed = root / "plain", root / "explained", root / "killed"
    metrics = [start(plain, tiny(log_every=0)), start(explained, tiny())]

    class Killed(Exception):
        pass

    def die(self, epoch, logs=None):
        if epoch == 1:
            raise Killed
        saved(self, epoch, logs)

    saved, Epochs.on_epoch_end = Epochs.on_epoch_end, die
    try:
        with pytest.raises(Killed):
            start(killed, tiny())
    finally:
        Epochs.on_epoch_end = saved
    assert {row["epoch"] for row in rows(killed)} == {"0", "1", "2"}  # the second one's explanation is there already
    assert not (killed / "runs" / "tiny" / "checkpoints" / "epoch-0002").exists()
    metrics.append(start(killed, tiny()))
    return plain, explained, killed, metrics


@pytest.mark.long
def test_a_run_without_has_no_table(runs):
    assert not (runs[0] / "runs" / "tiny" / "logs" / "explanations.csv").exists()
    assert not (runs[0] / "runs" / "tiny" / "logs" / "explain").exists()


@pytest.mark.long
def test_the_metrics_are_the_same(runs):
    plain, *others = runs[3]
    for other in others:
        assert len(other["history"]) == 3
        for one, two in zip(plain["history"], other["history"], strict=True):
            assert one == pytest.approx(two, rel=1e-3)


@pytest.mark.long
def test_the_table_of_a_run(runs):
    table = rows(runs[1])
    keys = [(row["epoch"], row["method"], row["label"]) for row in table]
    expected = [
        (epoch, method, name) for epoch in "0123" for method in ("temporal_mask", "grad_cam") for name in CLASSES
    ]
    assert keys == [key for key in expected if key[2] in CLASSES[:2]]
    assert all(row["target"] == row["label"] and row["predicted"] in CLASSES for row in table)
    masks = [row for row in table if row["method"] == "temporal_mask"]
    assert all(0 <= float(row["temporal_iou"]) <= 1 for row in masks)  # the shapes know when their events are


@pytest.mark.long
def test_a_killed_run_ends_with_the_same_table(runs):
    whole, resumed = rows(runs[1]), rows(runs[2])
    assert len(whole) == len(resumed)
    for one, other in zip(whole, resumed, strict=True):
        assert (one["epoch"], one["method"], one["clip"]) == (other["epoch"], other["method"], other["clip"])
        if one["OS"]:
            assert float(one["OS"]) == pytest.approx(float(other["OS"]), rel=1e-3)


@pytest.mark.long
def test_mixed_precision(tmp_path):
    start(tmp_path, tiny(mixed_precision=True))
    assert len(rows(tmp_path)) == 4 * 2 * 2


def test_clips_are_the_first_of_all_classes_in_turn():
    dataset = make_dataset(tiny().data)
    samples, clips = first_clips(dataset, "validation", 5, tiny().data)
    assert [sample.label for sample in samples] == [0, 1, 2, 0, 1]
    expected = [sample for sample in dataset.samples("validation") if sample.label == 0][:2]
    assert [samples[0].id, samples[3].id] == [sample.id for sample in expected]
    assert all(clip.frames.shape == (4, 8, 8, 3) for clip in clips)


@pytest.mark.parametrize(("steps", "expected"), [(None, 7), (3, 3), (0, 0)])
def test_fewer_steps_while_training(tmp_path, steps, expected):
    config = tiny(log_iterations=steps, mask={"iterations": 7, "batch_size": 2})
    dataset = make_dataset(config.data)
    card = ModelCard("tiny", dataset.class_names, 4, (8, 8))
    logger = explanation_logger(config.explain, config.data, dataset, "validation", card, tmp_path)
    assert logger._wanted["temporal_mask"] == {"name": "temporal_mask", "iterations": expected, "batch_size": 2}


def test_clips_from_shards_are_those_of_the_videos(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(cfg.to_yaml(tiny()))
    prepare.main(
        ["--config", str(config), "--out", str(tmp_path / "shards"), "--size", "8", "8", "--num-frames", "4"]
        + ["--quality", "100", "--option", f"classes={CLASSES}", "--option", "train=9", "--option", "validation=9"]
    )
    (drawn, clips), (stored, read) = (
        first_clips(make_dataset(config.data), "validation", 4, config.data)
        for config in (tiny(), tiny(data=DATA | {"records": str(tmp_path / "shards")}))
    )
    assert [sample.id for sample in drawn] == [sample.id for sample in stored]
    for one, other in zip(clips, read, strict=True):
        assert one.event.tolist() == other.event.tolist()
        assert np.abs(one.frames.astype(int) - other.frames).mean() < 16  # JPEG


def test_clips_that_cannot_be_read(tmp_path):
    """One that is bad is left out; where all are, that is an error before anything is trained."""
    for name in ("a/1.avi", "b/1.avi"):
        (tmp_path / "validation" / name).parent.mkdir(parents=True)
        (tmp_path / "validation" / name).write_bytes(b"no video")
    config = tiny(data={"dataset": "folder", "root": str(tmp_path), "num_frames": 4, "size": [8, 8]})
    dataset = make_dataset(config.data)
    with pytest.raises(DataError, match="none of the clips to explain can be read; the last one: .*b/1.avi"):
        first_clips(dataset, "validation", 4, config.data)
    path = write_video(tmp_path / "validation" / "a" / "1.avi", 6)
    samples, clips = first_clips(dataset, "validation", 4, config.data)
    assert [sample.path for sample in samples] == [str(path)] and len(clips) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"log_every": -1}, "explain.log_every must be 0 or more, got -1"),
        ({"log_clips": 0}, "explain.log_clips must be 1 or more, got 0"),
        ({"log_iterations": -1}, "explain.log_iterations must be 0 or more, got -1"),
    ],
)
def test_settings(settings, message):
    with pytest.raises(ConfigError, match=message):
        tiny(**settings)


def test_a_mistyped_option_stops_the_run_before_the_first_step(tmp_path):
    with pytest.raises(TfvidError, match="explainer 'temporal_mask' cannot be used: .*'iterationz'"):
        start(tmp_path, tiny(mask={"iterationz": 2}))
    assert not list((tmp_path / "runs" / "tiny" / "checkpoints").iterdir())
