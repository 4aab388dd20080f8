"""Shards: what is written, what is refused, and what a broken shard costs."""

import fcntl
import json
import os
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from small_videos import frame_numbers, write_video

from tfvid.core.errors import DataError, VideoError
from tfvid.data import SkipLog, load_dataset
from tfvid.data.records import Records, shard_names, write_records
from tfvid.data.sources.folder import ClassFolders
from tfvid.data.sources.shapes import MovingShapes

SHAPE = {"num_frames": 4, "size": (16, 24)}
TRAIN = {**SHAPE, "shard_size": 4, "workers": 1}  # decode processes


@pytest.fixture
def videos(tmp_path):
    """Ten videos, two of them bad and one damaged."""
    root = tmp_path / "videos"
    for i in range(10):
        write_video(root / "train" / "ab"[i % 2] / f"{i}.avi", 6, first=i)
    (root / "train" / "b" / "3.avi").write_bytes(b"not a video")
    (root / "train" / "a" / "6.avi").write_bytes(b"")
    whole = (root / "train" / "a" / "8.avi").read_bytes()
    cut = (whole.index(b"movi") + whole.index(b"idx1")) // 2
    (root / "train" / "a" / "8.avi").write_bytes(whole[:cut])
    return ClassFolders(root)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def test_shards_and_manifest(videos, tmp_path):
    calls = []
    options = {"max_bad_share": 0.2, "progress": lambda *call: calls.append(call), "workers": 2}
    manifest = write_records(videos, "train", tmp_path / "out", **TRAIN | options)
    names = [f"train/shard-0000{i}-of-00003.tfrecord" for i in range(3)]
    assert list(contents(tmp_path / "out")) == ["train/manifest.json", *names]
    assert json.loads((tmp_path / "out/train/manifest.json").read_text()) == manifest
    assert manifest["clips"] == 8
    assert manifest["skipped"] == {
        "train/a/6.avi": "the file is empty",
        "train/b/3.avi": "no video stream that can be opened (not a video, audio only, or a broken header)",
    }
    assert list(manifest["damaged"]) == ["train/a/8.avi"] and manifest["damaged"]["train/a/8.avi"]
    assert [shard["asked"] for shard in manifest["shards"]] == [4, 4, 2]
    assert manifest["shards"][2]["clips"] == [["train/b/7.avi", 1], ["train/b/9.avi", 1]]
    assert manifest["settings"]["dataset"]["source"] == "tfvid.data.sources.folder:ClassFolders"
    assert calls[0] == (0, 10, 0) and calls[-1] == (10, 10, 2) and len(calls) == 11


def test_as_a_dataset(tmp_path):
    dataset = MovingShapes(train=6, validation=3)
    for split in ("validation", "train"):
        write_records(dataset, split, tmp_path, **TRAIN, quality=95)
    records = Records(tmp_path)
    assert records.class_names == dataset.class_names and records.splits == ("train", "validation")
    assert records.flip_labels == dataset.flip_labels and records.reverse_labels == dataset.reverse_labels
    assert records.max_boxes == dataset.max_boxes
    for split in records.splits:
        assert [(s.id, s.label) for s in records.samples(split)] == [(s.id, s.label) for s in dataset.samples(split)]
    sample = dataset.samples("train")[5]
    clip, original = records.read(records.samples("train")[5], **SHAPE), dataset.read(sample, **SHAPE)
    np.testing.assert_array_equal(clip.event, original.event)
    np.testing.assert_array_equal(clip.boxes, original.boxes)
    assert np.abs(clip.frames.astype(int) - original.frames).mean() < 8


def test_order_is_a_pure_function_of_seed_and_epoch(tmp_path):
    """TensorFlow's global seed, which initial weights are drawn from, has no say in it."""
    write_records(MovingShapes(train=40), "train", tmp_path, **TRAIN)

    def order(seed, epoch, global_seed):
        tf.random.set_seed(global_seed)
        clips = load_dataset(
            Records(tmp_path), "train", training=True, seed=seed, epoch=tf.Variable(epoch, dtype=tf.int64), **SHAPE
        )
        return [id for batch in clips for id in batch["id"].numpy().tolist()]

    first = order(0, 0, global_seed=0)
    assert sorted(first) == [b"train-%06d" % i for i in range(40)] != first
    assert order(0, 0, global_seed=7) == first
    assert order(0, 1, global_seed=0) != first
    assert order(1, 0, global_seed=0) != first


def test_grey_levels_survive(videos, tmp_path):
    write_records(videos, "train", tmp_path, **TRAIN, max_bad_share=0.2)
    records = Records(tmp_path)
    clip = records.read(records.samples("train")[1], **SHAPE)
    assert frame_numbers(clip.frames) == [2, 4, 5, 7]


def test_the_same_bytes_from_any_number_of_workers(tmp_path):
    dataset = MovingShapes(train=6)
    for workers in (1, 2):
        write_records(dataset, "train", tmp_path / str(workers), **TRAIN | {"workers": workers})
    assert contents(tmp_path / "1") == contents(tmp_path / "2")


def test_an_interrupted_run_goes_on(tmp_path):
    dataset = MovingShapes(train=10)
    write_records(dataset, "train", tmp_path / "whole", **TRAIN)

    def interrupt(done, total, skipped):
        if done == 6:
            raise KeyboardInterrupt

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        write_records(dataset, "train", out, **TRAIN, progress=interrupt)
    first = "train/shard-00000-of-00003"
    assert list(contents(out)) == ["train/settings.json", f"{first}.json", f"{first}.tfrecord"]
    (out / "train" / ".123-shard-00001-of-00003.tfrecord").write_bytes(b"left by a kill -9")
    calls = []
    write_records(dataset, "train", out, **TRAIN, progress=lambda *call: calls.append(call))
    assert calls[0] == (4, 10, 0) and len(calls) == 7
    assert contents(out) == contents(tmp_path / "whole")


def test_only_what_is_missing_is_made_again(tmp_path):
    dataset = MovingShapes(train=10)
    out = tmp_path / "train"
    write_records(dataset, "train", tmp_path, **TRAIN)
    before = contents(tmp_path)
    names = shard_names(10, 4)
    (out / names[0]).unlink()
    (out / names[2]).write_bytes((out / names[2]).read_bytes()[:-1])
    kept = (out / names[1]).stat().st_mtime_ns
    write_records(dataset, "train", tmp_path, **TRAIN)
    assert contents(tmp_path) == before
    assert (out / names[1]).stat().st_mtime_ns == kept


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"quality": 80}, "jpeg_quality was 90, now 80"),
        ({"num_frames": 5}, "num_frames was 4, now 5"),
        ({"size": (16, 16)}, r"size was \[16, 24\], now \[16, 16\]"),
        ({"shard_size": 3}, "shard_size was 4, now 3"),
        (
            {"dataset": MovingShapes(train=5, seed=1)},
            r"dataset arguments was \['train=5'\], now \['seed=1', 'train=5'\]",
        ),
    ],
)
def test_other_settings_are_refused(tmp_path, change, message):
    write_records(MovingShapes(train=5), "train", tmp_path, **TRAIN)
    before = contents(tmp_path)
    options = {"dataset": MovingShapes(train=5), **TRAIN, **change}
    with pytest.raises(DataError, match=f"{tmp_path}/train was made with other settings: {message}; use another"):
        write_records(options.pop("dataset"), "train", tmp_path, **options)
    assert contents(tmp_path) == before


def test_other_files_are_refused(videos, tmp_path):
    write_records(videos, "train", tmp_path / "out", **TRAIN, max_bad_share=0.2)
    write_video(videos.root / "train" / "a" / "new.avi", 6)
    with pytest.raises(DataError, match="samples was 10, now 11"):
        write_records(ClassFolders(videos.root), "train", tmp_path / "out", **TRAIN)


def test_shards_know_their_damaged_clips(videos, tmp_path):
    manifest = write_records(videos, "train", tmp_path, **TRAIN, max_bad_share=0.2)
    ((id, words),) = manifest["damaged"].items()
    dataset, log = Records(tmp_path), SkipLog()
    for sample in dataset.samples("train"):
        assert dataset.read(sample, 4, (16, 24)).damage == (words if sample.id == id else "")
    batches = list(load_dataset("folder", "train", records=str(tmp_path), skipped=log, batch_size=3, **SHAPE))
    ids, damage = (np.concatenate([batch[name].numpy() for batch in batches]).tolist() for name in ("id", "damage"))
    assert {ids[row].decode(): text.decode() for row, text in enumerate(damage) if text} == {id: words}
    assert log.damaged == {id: words} and not log.reasons
    log = SkipLog()
    with pytest.raises(DataError, match=r"1 of 8 clips come from damaged .* 0.1 \(max_dam"), log.plain_errors():
        list(load_dataset("folder", "train", records=str(tmp_path), skipped=log, max_damaged_share=0.1, **SHAPE))


def test_shards_of_earlier_versions_list_damaged_clips_without_words(videos, tmp_path):
    write_records(videos, "train", tmp_path, **TRAIN, max_bad_share=0.2)
    file = tmp_path / "train" / "manifest.json"
    manifest = json.loads(file.read_text())
    for part in (manifest, *manifest["shards"]):
        part["damaged"] = list(part["damaged"])
    file.write_text(json.dumps(manifest))
    log = SkipLog()
    batches = list(load_dataset("folder", "train", records=str(tmp_path), skipped=log, **SHAPE))
    words = "the shard does not say what is wrong with its file"
    assert log.damaged == {"train/a/8.avi": words}
    assert words.encode() in np.concatenate([batch["damage"].numpy() for batch in batches]).tolist()
    again = write_records(videos, "train", tmp_path, **TRAIN, max_bad_share=0.2)  # all shards are there
    assert again["damaged"] == {"train/a/8.avi": words}


def test_too_many_damaged_clips(videos, tmp_path):
    with pytest.raises(DataError, match=r"1 of 10 clips come from damaged files, more than .* 0 \(max_damaged_share\)"):
        write_records(videos, "train", tmp_path / "out", **TRAIN, max_bad_share=0.2, max_damaged_share=0)
    write_records(videos, "train", tmp_path / "out", **TRAIN, max_bad_share=0.2)
    with pytest.raises(DataError, match="max_damaged_share"):  # also of shards that are there
        write_records(videos, "train", tmp_path / "out", **TRAIN, max_bad_share=0.2, max_damaged_share=0)


def test_too_many_bad_clips(videos, tmp_path):
    with pytest.raises(DataError, match="2 of 10 clips cannot be read, more than the allowed share of 0.1"):
        write_records(videos, "train", tmp_path / "out", **TRAIN, max_bad_share=0.1)
    # The first shard was whole before the second bad file, and is kept; nothing half done is.
    assert not any(name.startswith("train/.") for name in contents(tmp_path / "out"))
    manifest = write_records(videos, "train", tmp_path / "out", **TRAIN, max_bad_share=0.2)
    assert manifest["clips"] == 8


def test_two_writers(tmp_path):
    (tmp_path / "train").mkdir()
    handle = os.open(tmp_path / "train", os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with pytest.raises(DataError, match="train: another process is writing to it"):
        write_records(MovingShapes(train=5), "train", tmp_path, **TRAIN)
    os.close(handle)
    write_records(MovingShapes(train=5), "train", tmp_path, **TRAIN)


def test_a_full_disk(tmp_path):
    """/dev/full says ENOSPC to every write; the second shard's temporary file leads there."""
    dataset = MovingShapes(train=10)
    names = shard_names(10, 4)

    def fill(done, total, skipped):
        if done == 0:
            (tmp_path / "train" / f".{os.getpid()}-{names[1]}").symlink_to("/dev/full")

    with pytest.raises(DataError) as caught:
        write_records(dataset, "train", tmp_path, **TRAIN, progress=fill)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}/train/{names[1]}: cannot be written (") and "\n" not in message
    assert "No space left on device" in message
    stem = names[0].removesuffix(".tfrecord")
    assert list(contents(tmp_path)) == ["train/settings.json", f"train/{stem}.json", f"train/{names[0]}"]
    write_records(dataset, "train", tmp_path, **TRAIN)
    assert Records(tmp_path).read(Records(tmp_path).samples("train")[9], **SHAPE).frames.shape == (4, 16, 24, 3)


def break_shard(file: Path, how: str):
    data = bytearray(file.read_bytes())
    if how == "missing":
        file.unlink()
    elif how == "truncated":
        file.write_bytes(data[: len(data) // 2])
    else:
        data[len(data) // 2] ^= 0xFF
        file.write_bytes(data)


@pytest.mark.parametrize("how", ["missing", "truncated", "corrupt"])
@pytest.mark.parametrize("training", [False, True])
def test_a_broken_shard_costs_its_clips(tmp_path, how, training):
    write_records(MovingShapes(train=12), "train", tmp_path, **TRAIN)
    file = tmp_path / "train" / shard_names(12, 4)[1]
    break_shard(file, how)
    log = SkipLog()
    options = {"records": str(tmp_path), "training": training, **SHAPE}
    batches = list(load_dataset("shapes", "train", skipped=log, max_bad_share=0.5, **options))
    ids = [id.decode() for batch in batches for id in batch["id"].numpy()]
    read = set(ids)
    assert len(ids) == 12 if training else len(ids) == len(read) and log.seen == 12  # in training others come again
    assert not read & log.reasons.keys() and len(read) + len(log.reasons) == 12
    assert set(log.reasons.values()) == {f"the shard {file} is truncated or corrupt"}
    lost = {"missing": 4, "truncated": 2, "corrupt": 2}[how]
    assert sorted(log.reasons) == [f"train-{i:06d}" for i in range(8 - lost, 8)]
    with pytest.raises(DataError, match=f"of 12 clips cannot be read.*the shard {file} is"), log.plain_errors():
        list(load_dataset("shapes", "train", skipped=log, max_bad_share=0.1, **options))
    sample = next(sample for sample in Records(tmp_path).samples("train") if sample.id == "train-000006")
    with pytest.raises(VideoError, match="the shard is truncated or corrupt"):
        Records(tmp_path).read(sample, **SHAPE)


def test_refused_folders(tmp_path):
    with pytest.raises(DataError, match=r"no <split>/manifest.json in it"):
        Records(tmp_path)
    write_records(MovingShapes(train=5), "train", tmp_path, **TRAIN)
    with pytest.raises(DataError, match=r"have 4 frames of \(16, 24\), asked for 16 of \(224, 224\)"):
        load_dataset("shapes", "train", records=str(tmp_path))
    with pytest.raises(DataError, match="unknown split 'validation'; valid: train"):
        Records(tmp_path).samples("validation")
    manifest = tmp_path / "train" / "manifest.json"
    manifest.write_text("{")
    with pytest.raises(DataError, match="manifest.json: cannot be read"):
        Records(tmp_path)
    manifest.write_text("[]")
    with pytest.raises(DataError, match="manifest.json: not a manifest of format 1"):
        Records(tmp_path)


CLASSES = ["Something appearing", "Something disappearing", "Turning the camera left"]


@pytest.mark.parametrize(
    ("classes", "difference"),
    [
        (
            [CLASSES[1], CLASSES[0]],
            "the classes are in another order, label 0 is 'Something appearing' in train and 'Something disappearing' "
            "in validation",
        ),
        (CLASSES, "train has 2 classes, validation 3, and only validation has 'Turning the camera left'"),
        (CLASSES[:1], "train has 2 classes, validation 1, and only train has 'Something disappearing'"),
    ],
)
def test_splits_with_other_classes_are_refused(tmp_path, classes, difference):
    """Each split is written to a folder of its own, then both are moved into one, as people join shards."""
    write_records(MovingShapes(classes=CLASSES[:2], train=4), "train", tmp_path / "both", **TRAIN)
    other = MovingShapes(classes=classes, train=4, validation=4)
    line = f"{tmp_path / 'both'}: the shards of train and validation were made from different data sets: {difference}; "
    with pytest.raises(DataError) as refused:
        write_records(other, "validation", tmp_path / "both", **TRAIN)
    assert str(refused.value).startswith(line) and "prepare one of them again" in str(refused.value)
    write_records(other, "validation", tmp_path / "other", **TRAIN)
    (tmp_path / "other" / "validation").rename(tmp_path / "both" / "validation")
    with pytest.raises(DataError) as refused:
        load_dataset("shapes", "validation", records=str(tmp_path / "both"), **SHAPE)
    assert str(refused.value).startswith(line) and "\n" not in str(refused.value)


def test_s3_needs_tensorflow_io(monkeypatch):
    monkeypatch.setattr("tfvid.data.decode.tfio.available", lambda: (False, "tensorflow-io does not load"))
    with pytest.raises(ValueError, match="^tensorflow-io does not load$"):
        Records("s3://bucket/shards")
    if not tf.io.gfile.exists("/nonexistent"):  # gs:// needs no tensorflow-io: nothing is asked of it
        monkeypatch.setattr("tfvid.data.records.read.read_manifest", lambda *_, **__: None)
        with pytest.raises(DataError, match="gs://bucket/shards: no <split>/manifest.json"):
            Records("gs://bucket/shards")
