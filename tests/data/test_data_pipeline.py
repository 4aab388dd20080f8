"""From a dataset to batches: order, augmentation, bad clips, and the same whatever the number of workers."""

import gc
import os
import warnings
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf
from small_videos import damaged_dataset, frame_numbers, write_video

from tfvid.core.errors import ConfigError, DataError, TfvidError
from tfvid.data.pipeline import as_supervised, load_dataset, make_dataset
from tfvid.data.records import write_records
from tfvid.data.settings import AugmentConfig, DataConfig
from tfvid.data.share import Share
from tfvid.data.skipped import SkipLog, damage_line
from tfvid.data.sources.kth import KTH
from tfvid.data.sources.shapes import MovingShapes

# One decode process is quicker to start than two; tests of the order start two and compare.
SHAPES = {"num_frames": 4, "size": (12, 16), "batch_size": 4, "workers": 1}
CLIPS = 11


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Nine videos in two classes; video i starts at grey level i."""
    root = tmp_path_factory.mktemp("videos")
    for i in range(9):
        write_video(root / "train" / "ab"[i % 2] / f"{i}.avi", 6, first=i)
    return root


def shapes(**options):
    return MovingShapes(train=CLIPS, validation=6, **options)


def collect(dataset) -> dict:
    batches = list(dataset)
    return {name: np.concatenate([batch[name].numpy() for batch in batches]) for name in batches[0]}


def same(a: dict, b: dict) -> bool:
    return all(np.array_equal(a[name], b[name], equal_nan=a[name].dtype.kind == "f") for name in a)


def test_elements(folder):
    dataset = load_dataset("folder", "train", root=folder, **SHAPES)
    assert {name: (spec.shape.as_list(), spec.dtype) for name, spec in dataset.element_spec.items()} == {
        "clip": ([None, 4, 12, 16, 3], tf.float32),
        "label": ([None], tf.int32),
        "id": ([None], tf.string),
        "event": ([None, 2], tf.int32),
        "boxes": ([None, 4, 0, 4], tf.float32),
        "damage": ([None], tf.string),
    }
    clips = collect(dataset)
    assert clips["id"].tolist() == [f"train/{c}/{i}.avi".encode() for c in "ab" for i in range(9) if "ab"[i % 2] == c]
    assert clips["label"].tolist() == [0] * 5 + [1] * 4
    assert (clips["event"] == -1).all()
    assert clips["clip"].min() >= 0 and clips["clip"].max() <= 1
    assert frame_numbers(clips["clip"][1] * 255) == [2, 4, 5, 7]  # frames 0, 2, 3, 5 of video 2
    assert [len(batch["label"]) for batch in dataset] == [4, 4, 1]


def test_events_and_boxes_come_along():
    dataset = shapes()
    clips = collect(load_dataset(dataset, "train", **SHAPES))
    for i, sample in enumerate(dataset.samples("train")):
        expected = dataset.read(sample, 4, (12, 16))
        np.testing.assert_array_equal(clips["event"][i], expected.event)
        np.testing.assert_array_equal(clips["boxes"][i], expected.boxes)
        np.testing.assert_allclose(clips["clip"][i] * 255, expected.frames, atol=1e-4)


def test_supervised(folder):
    pairs = as_supervised(load_dataset("folder", "train", root=folder, **SHAPES))
    clip, label = next(iter(pairs))
    assert clip.shape == (4, 4, 12, 16, 3) and label.numpy().tolist() == [0, 0, 0, 0]


def test_a_pure_function_of_seed_and_epoch():
    def run(epoch, seed=0, workers=1):
        variable = tf.Variable(epoch, dtype=tf.int64)
        options = SHAPES | {"training": True, "epoch": variable, "seed": seed, "workers": workers}
        return collect(load_dataset(shapes(), "train", **options))

    first = run(0)
    assert sorted(first["id"]) == sorted(sample.id.encode() for sample in shapes().samples("train"))
    assert first["id"].tolist() != sorted(first["id"])
    assert same(first, run(0))
    assert same(first, run(0, workers=2))
    assert first["id"].tolist() != run(1)["id"].tolist()
    assert first["id"].tolist() != run(0, seed=1)["id"].tolist()


def test_each_new_iterator_reads_the_epoch():
    epoch = tf.Variable(0, dtype=tf.int64)
    dataset = load_dataset(shapes(), "train", training=True, epoch=epoch, **SHAPES)
    passes = []
    for value in (0, 1, 0):
        epoch.assign(value)
        passes.append(collect(dataset))
    assert same(passes[0], passes[2])
    assert passes[0]["id"].tolist() != passes[1]["id"].tolist()
    # The same clip is changed differently in another epoch.
    clips = [dict(zip(p["id"], p["clip"], strict=True)) for p in passes[:2]]
    assert any(not np.array_equal(clips[0][id], clips[1][id]) for id in clips[0])


def test_the_epoch_is_that_of_the_iterators_start():
    epoch = tf.Variable(0, dtype=tf.int64)
    dataset = load_dataset(shapes(), "train", training=True, epoch=epoch, **SHAPES)
    expected = collect(dataset)
    batches = iter(dataset)
    first = next(batches)
    epoch.assign(1)  # while it runs
    rest = list(batches)
    ids = np.concatenate([batch["id"].numpy() for batch in (first, *rest)])
    clips = np.concatenate([batch["clip"].numpy() for batch in (first, *rest)])
    np.testing.assert_array_equal(ids, expected["id"])
    np.testing.assert_array_equal(clips, expected["clip"])


def test_each_new_iterator_is_the_next_epoch():
    """Without a variable: pass after pass, repeated, cut short, at once; and from a number on."""

    def epochs(first, count):
        variable = tf.Variable(0, dtype=tf.int64)
        dataset = load_dataset(shapes(), "train", training=True, epoch=variable, **SHAPES)
        for number in range(first, first + count):
            variable.assign(number)
            yield collect(dataset)

    expected = list(epochs(0, 6))
    assert len({tuple(clips["id"]) for clips in expected}) == 6
    dataset = load_dataset(shapes(), "train", training=True, **SHAPES)
    assert same(collect(dataset), expected[0])
    assert same(collect(dataset), expected[1])
    repeated = collect(dataset.repeat(2))
    for name in repeated:
        both = np.concatenate([expected[2][name], expected[3][name]])
        np.testing.assert_array_equal(repeated[name], both)
    assert collect(dataset.take(1))["id"].tolist() == expected[4]["id"][:4].tolist()
    asked_for, made = iter(dataset), iter(dataset)
    assert next(asked_for)["id"].numpy().tolist() == expected[5]["id"][:4].tolist()
    del made  # nothing was asked of it: it does not count
    dataset = load_dataset(shapes(), "train", training=True, epoch=6, **SHAPES)
    for clips in epochs(6, 2):
        assert same(collect(dataset), clips)


def test_a_cache_repeats_the_first_epoch():
    """As docs/data.md says, also of shuffling what is cached: batches change places, and no clip its crop."""
    options = {"training": True, **SHAPES, "batch_size": 2}
    expected = list(load_dataset(shapes(), "train", **options))
    dataset = load_dataset(shapes(), "train", **options).cache()
    passes = [collect(dataset) for _ in range(3)]
    assert passes[0]["id"].tolist() == [id for batch in expected for id in batch["id"].numpy()]
    assert same(passes[0], passes[1]) and same(passes[0], passes[2])
    batches = {tuple(batch["id"].numpy()): batch["clip"].numpy() for batch in expected}
    shuffled = list(dataset.shuffle(100, seed=1))
    assert [tuple(batch["id"].numpy()) for batch in shuffled] != list(batches)
    for batch in shuffled:
        np.testing.assert_array_equal(batch["clip"], batches[tuple(batch["id"].numpy())])


@pytest.mark.long
@pytest.mark.parametrize("steps", [None, 3])
def test_fit_trains_every_epoch_on_all_clips(steps):
    """Epochs of one length, each in an order of its own, with `steps_per_epoch` and without."""
    orders = []
    for number in range(3):
        clips = collect(load_dataset(shapes(), "train", training=True, epoch=number, **SHAPES))
        orders.append(clips["label"].tolist())
    assert orders[0] != orders[1] != orders[2]
    dataset = load_dataset(shapes(), "train", training=True, **SHAPES)
    assert len(dataset) == len(as_supervised(dataset)) == 3
    model = keras.Sequential([keras.Input((4, 12, 16, 3)), keras.layers.Flatten(), keras.layers.Dense(14)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), run_eagerly=True)
    seen, begun = [], []

    def train_step(batch):
        seen[-1] += batch[1].numpy().tolist()
        return keras.Sequential.train_step(model, batch)

    class Begins(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            begun.append(self.params["steps"])
            seen.append([])

    model.train_step = train_step
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "Your input ran out of data")
        model.fit(
            as_supervised(dataset), epochs=3, steps_per_epoch=steps, shuffle=False, verbose=0, callbacks=[Begins()]
        )
    assert seen == orders
    assert begun == [3, 3, 3]  # which the progress bar shows, in the first epoch too


@pytest.mark.parametrize("epoch", [-1, 0.5, True, None, tf.constant(1), tf.Variable([1, 2]), tf.Variable(1.0)])
def test_an_epoch_that_is_none(epoch):
    with pytest.raises(
        ConfigError, match="epoch must be a whole number, 0 or more, or a tf.Variable of one, got"
    ) as caught:
        load_dataset(shapes(), "train", training=True, epoch=epoch, **SHAPES)
    assert "\n" not in str(caught.value)


def test_evaluation_is_in_order_and_untouched():
    variable = tf.Variable(5, dtype=tf.int64)
    clips = collect(load_dataset(shapes(), "validation", epoch=variable, augment=AugmentConfig(0.5, True), **SHAPES))
    plain = collect(load_dataset(shapes(), "validation", **SHAPES))
    assert same(clips, plain)
    assert plain["id"].tolist() == sorted(plain["id"])


def test_mirroring_moves_the_label():
    dataset = MovingShapes(
        train=12, classes=["Moving something from left to right", "Moving something from right to left"]
    )
    options = {"training": True, "augment": AugmentConfig(min_scale=1.0, flip=True), **SHAPES}
    clips = collect(load_dataset(dataset, "train", **options))
    plain = {clip_id: i for i, clip_id in enumerate(collect(load_dataset(dataset, "train", **SHAPES))["id"])}
    original = collect(load_dataset(dataset, "train", **SHAPES))
    mirrored = 0
    for clip, label, clip_id in zip(clips["clip"], clips["label"], clips["id"], strict=True):
        before = original["clip"][plain[clip_id]]
        if label != original["label"][plain[clip_id]]:
            mirrored += 1
            before = before[:, :, ::-1]
        np.testing.assert_allclose(clip, before, atol=1e-6)
    assert 2 <= mirrored <= 10


def test_mirroring_is_refused_where_it_may_change_a_label(folder):
    with pytest.raises(ConfigError, match="augment.flip: this data set does not declare flip_labels"):
        load_dataset("folder", "train", root=folder, training=True, augment={"flip": True})


@pytest.fixture
def with_bad_files(tmp_path):
    for i in range(10):
        write_video(tmp_path / "train" / "a" / f"{i}.avi", 6, first=i)
    (tmp_path / "train" / "a" / "3.avi").write_bytes(b"not a video")
    (tmp_path / "train" / "a" / "7.avi").write_bytes(b"")
    return tmp_path


def test_bad_clips_are_skipped_counted_and_listed(with_bad_files):
    log = SkipLog()
    dataset = load_dataset("folder", "train", root=with_bad_files, skipped=log, max_bad_share=0.2, **SHAPES)
    assert [len(batch["label"]) for batch in dataset] == [4, 4]
    assert log.seen == 10
    assert log.reasons == {
        "train/a/3.avi": "no video stream that can be opened (not a video, audio only, or a broken header)",
        "train/a/7.avi": "the file is empty",
    }
    # Bad once is bad for good: the second epoch does not spend its time on them, and nothing counts twice.
    write_video(with_bad_files / "train" / "a" / "7.avi", 6)
    assert len(collect(dataset)["id"]) == 8
    assert log.seen == 20 and len(log.reasons) == 2 and log.fatal is None


def test_bad_clips_of_training_are_replaced(with_bad_files):
    """All epochs have the length that the dataset says; the clips in the place of bad ones are of the same epoch."""
    options = SHAPES | {"root": with_bad_files, "training": True, "max_bad_share": 0.2, "workers": 2}
    log = SkipLog()
    dataset = load_dataset("folder", "train", skipped=log, **options)
    assert len(dataset) == 3
    for number in range(2):
        clips = collect(dataset)
        assert len(clips["id"]) == 10 and len(set(clips["id"])) == 8
        assert clips["id"][8:].tolist() == clips["id"][:2].tolist()
        np.testing.assert_array_equal(clips["clip"][8:], clips["clip"][:2])
        assert same(clips, collect(load_dataset("folder", "train", epoch=number, **options)))
    assert sorted(log.reasons) == ["train/a/3.avi", "train/a/7.avi"] and log.fatal is None


def test_training_without_a_good_clip_is_one_line(tmp_path):
    for i in range(3):
        (tmp_path / "train" / "a").mkdir(parents=True, exist_ok=True)
        (tmp_path / "train" / "a" / f"{i}.avi").write_bytes(b"")
    log = SkipLog()
    options = {"root": tmp_path, "skipped": log, "max_bad_share": 1.0} | SHAPES
    dataset = load_dataset("folder", "train", training=True, **options)
    none = "none of the 3 training clips can be read; the first: train/a/.*is empty"
    with pytest.raises(DataError, match=none), log.plain_errors():
        list(dataset)
    assert list(load_dataset("folder", "train", **options | {"skipped": SkipLog()})) == []


def test_too_many_bad_clips_stop_the_run_with_one_line(with_bad_files):
    log = SkipLog()
    dataset = load_dataset("folder", "train", root=with_bad_files, skipped=log, max_bad_share=0.1, **SHAPES)
    with pytest.raises(DataError) as caught, log.plain_errors():
        collect(dataset)
    message = str(caught.value)
    assert message.startswith("2 of 10 clips cannot be read, more than the allowed share of 0.1 (max_bad_share); ")
    assert "the first: train/a/" in message and "\n" not in message


def test_damaged_clips_are_used_counted_and_listed(tmp_path):
    log, epoch = SkipLog(), tf.Variable(0, dtype=tf.int64)
    options = {"skipped": log, "training": True, "epoch": epoch}
    source = damaged_dataset(tmp_path, ["train-2", "train-4"], 6)
    dataset = load_dataset(source, "train", **options, **SHAPES)
    for number in range(2):
        epoch.assign(number)
        clips = collect(dataset)
        found = dict(zip(clips["id"].tolist(), clips["damage"].tolist(), strict=True))
        assert found == {f"train-{id}".encode(): b"ends early" if id in (2, 4) else b"" for id in range(6)}
    assert log.damaged == {"train-2": "ends early", "train-4": "ends early"}
    assert not log.reasons and log.seen == 12


def test_too_many_damaged_clips_stop_the_run_with_one_line(tmp_path):
    source = damaged_dataset(tmp_path, ["train-2", "train-4"], 6)
    assert len(collect(load_dataset(source, "train", max_damaged_share=0.34, **SHAPES))["id"]) == 6
    log = SkipLog()
    with pytest.raises(DataError) as caught, log.plain_errors():
        collect(load_dataset(source, "train", skipped=log, max_damaged_share=0.3, **SHAPES))
    assert str(caught.value) == (
        "2 of 6 clips come from damaged files, more than the allowed share of 0.3 (max_damaged_share); "
        f"the first: {next(iter(log.damaged))}: ends early"
    )


def test_a_worker_that_sees_all_damaged_clips_in_time_is_not_stopped(tmp_path):
    """A third of the clips is damaged; over the epochs each of two workers reads them all, half of them at a time."""
    log, epoch = SkipLog(), tf.Variable(0, dtype=tf.int64)
    options = {"skipped": log, "training": True, "epoch": epoch, "share": Share(0, 2), "max_damaged_share": 0.4}
    source = damaged_dataset(tmp_path, ["train-2", "train-4"], 6)
    dataset = load_dataset(source, "train", **options, **SHAPES | {"batch_size": 6})
    while len(log.damaged) < 2:
        assert len(collect(dataset)["id"]) == 3
        epoch.assign_add(1)
    assert int(epoch) <= 20


@pytest.mark.long
def test_a_worker_compares_its_bad_clips_with_all_clips(with_bad_files):
    """Two of ten clips are bad, the allowed share. Each worker reads five clips in an epoch, in time all ten."""
    log, epoch = SkipLog(), tf.Variable(0, dtype=tf.int64)
    options = {"root": with_bad_files, "training": True, "share": Share(0, 2), "skipped": log, "epoch": epoch}
    options |= SHAPES | {"batch_size": 2}
    dataset = load_dataset("folder", "train", max_bad_share=0.2, **options)
    while len(log.reasons) < 2:
        assert len(collect(dataset)["id"]) == 5
        epoch.assign_add(1)
    assert log.total == 10 and log.fatal is None and int(epoch) <= 20
    log = options["skipped"] = SkipLog()
    dataset = load_dataset("folder", "train", max_bad_share=0.1, **options)
    with pytest.raises(DataError, match="^2 of 10 clips cannot be read"), log.plain_errors():
        for number in range(20):
            epoch.assign(number)
            collect(dataset)


def test_one_of_several_workers_without_a_good_clip_is_one_line(tmp_path):
    for i in range(4):
        (tmp_path / "train" / "a").mkdir(parents=True, exist_ok=True)
        (tmp_path / "train" / "a" / f"{i}.avi").write_bytes(b"")
    log = SkipLog()
    options = {"root": tmp_path, "skipped": log, "max_bad_share": 1.0, "share": Share(1, 2)} | SHAPES
    dataset = load_dataset("folder", "train", training=True, **options)
    with pytest.raises(DataError, match="^none of the 2 training clips can be read; the first: "), log.plain_errors():
        list(dataset)


def test_the_line_of_damaged_clips_names_three():
    assert damage_line({}) == ""
    assert damage_line({"a": "ends early"}) == "1 clip comes from a damaged file: a (ends early)"
    many = {name: "ends\nearly" for name in "abcde"}
    said = "5 clips come from damaged files: a (ends early); b (ends early); c (ends early); and 2 more"
    assert damage_line(many) == said


def test_other_errors_pass_plain_errors_unchanged():
    with pytest.raises(ZeroDivisionError), SkipLog().plain_errors():
        print(1 / 0)


def test_a_user_dataset_that_returns_the_wrong_shape(tmp_path):
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n"
        "from tfvid.data.base import Clip, Sample, VideoDataset\n"
        "class Mine(VideoDataset):\n"
        "    class_names = ('a',)\n"
        "    def samples(self, split): return [Sample('x', 0)]\n"
        "    def read(self, sample, num_frames, size): return Clip(np.zeros((1, 2, 3, 3), np.uint8))\n"
    )
    log = SkipLog()
    dataset = load_dataset(f"{tmp_path / 'mine.py'}:Mine", "train", skipped=log, **SHAPES)
    with (
        pytest.raises(DataError, match=r"returned frames \(1, 2, 3, 3\) and .* expected \(4, 12, 16, 3\)"),
        log.plain_errors(),
    ):
        collect(dataset)


@pytest.mark.long
def test_shards_give_the_same_elements(tmp_path):
    dataset = shapes()
    for split in dataset.splits:
        write_records(dataset, split, tmp_path, num_frames=4, size=(12, 16), shard_size=4, quality=100)
    videos = collect(load_dataset(dataset, "train", **SHAPES))
    shards = collect(load_dataset(DataConfig(records=str(tmp_path)), "train", **SHAPES))
    for name in ("id", "label", "event", "boxes"):
        np.testing.assert_array_equal(videos[name], shards[name])
    frames = (videos["clip"] * 255).round().astype(np.uint8).reshape(-1, 12, 16, 3)
    through_jpeg = [
        cv2.imdecode(cv2.imencode(".jpg", f, [cv2.IMWRITE_JPEG_QUALITY, 100])[1], -1) for f in frames[..., ::-1]
    ]
    through_jpeg = np.stack(through_jpeg)[..., ::-1].reshape(shards["clip"].shape)
    np.testing.assert_allclose(shards["clip"] * 255, through_jpeg, atol=3)

    def training(**options):
        return collect(load_dataset("shapes", "train", records=str(tmp_path), training=True, **SHAPES | options))

    first = training()
    assert sorted(first["id"]) == sorted(videos["id"]) and first["id"].tolist() != videos["id"].tolist()
    assert same(first, training(workers=2))
    assert first["id"].tolist() != training(seed=1)["id"].tolist()
    assert first["id"].tolist() != training(epoch=tf.Variable(1, dtype=tf.int64))["id"].tolist()
    # A clip is cropped alike, wherever it is read from.
    cropped = collect(load_dataset(dataset, "train", training=True, **SHAPES))
    order = [cropped["id"].tolist().index(clip_id) for clip_id in first["id"]]
    np.testing.assert_array_equal(cropped["boxes"][order], first["boxes"])


def test_make_dataset(folder, shared_data, tmp_path):
    config = DataConfig(dataset="kth", root=str(shared_data / "kth_sample"), options={"whole_files": True})
    dataset = make_dataset(config)
    assert isinstance(dataset, KTH) and len(dataset.samples("validation")) == 6
    assert make_dataset("folder", folder).class_names == ("a", "b")
    with pytest.raises(TfvidError, match="unknown dataset 'shape'; did you mean 'shapes'"):
        make_dataset("shape")
    with pytest.raises(ConfigError, match="dataset 'kth' needs the folder that it lies in"):
        make_dataset("kth")
    with pytest.raises(ConfigError, match="dataset kth: unknown option 'whole_file'; did you mean 'whole_files'"):
        make_dataset("kth", tmp_path, whole_file=True)
    with pytest.raises(ConfigError, match="dataset kth: one of its options has the wrong type: train_subjects=5 "):
        make_dataset("kth", shared_data / "kth_sample", train_subjects=5)
    with pytest.raises(ConfigError, match="train must be a whole number, 0 or more, got 'abc'"):
        make_dataset("shapes", train="abc")


def test_errors_before_anything_is_read(folder):
    with pytest.raises(ConfigError, match="unknown split 'trian'; did you mean 'train'"):
        load_dataset("folder", "trian", root=folder)
    with pytest.raises(ConfigError, match="unknown setting 'bach_size'; did you mean 'batch_size'"):
        load_dataset("folder", "train", root=folder, bach_size=3)
    with pytest.raises(TfvidError, match="unknown decoder 'ffmpeg'; valid: pyav, tfio"):
        load_dataset("folder", "train", root=folder, decoder="ffmpeg")
    with pytest.raises(ConfigError, match="expected the name of a data set, a VideoDataset or a DataConfig, got int"):
        load_dataset(3, "train")
    with pytest.raises(ConfigError, match="split 'train' has no clips"):
        load_dataset(MovingShapes(train=0), "train")


@pytest.mark.long
@pytest.mark.parametrize("training", [False, True])
def test_no_process_is_left_when_the_dataset_is_gone(folder, training):
    def children():
        tasks = Path(f"/proc/{os.getpid()}/task").glob("*/children")
        return {pid for task in tasks for pid in task.read_text().split()}

    before = children()
    dataset = load_dataset("folder", "train", root=folder, training=training, **SHAPES | {"workers": 2})
    assert children() == before  # nothing is started before it is needed
    collect(dataset)
    assert len(children() - before) == 2
    batches = iter(dataset)
    del dataset
    gc.collect()
    assert len(list(batches)) == 3  # an iterator keeps what it reads from
    del batches
    gc.collect()
    assert children() <= before


# A limit ------------------------------------------------------------------------------------------------------


def test_a_limit_takes_classes_in_turn(folder):
    """Videos 0, 2, 4, 6, 8 are of class a, 1, 3, 5, 7 of class b; five clips are three of a and two of b."""
    log = SkipLog()
    clips = collect(load_dataset("folder", "train", root=folder, limit=5, skipped=log, **SHAPES))
    assert clips["id"].tolist() == [f"train/{name}.avi".encode() for name in ("a/0", "a/2", "a/4", "b/1", "b/3")]
    assert log.total == 5
    everything = collect(load_dataset("folder", "train", root=folder, limit=99, **SHAPES))
    assert len(everything["id"]) == 9


def test_a_limit_reads_the_same_clips_of_shards(tmp_path):
    dataset = shapes()
    write_records(dataset, "train", tmp_path, num_frames=4, size=(12, 16), shard_size=4)
    drawn = collect(load_dataset(dataset, "train", limit=3, **SHAPES))
    stored = collect(load_dataset("shapes", "train", records=str(tmp_path), limit=3, **SHAPES))
    assert stored["id"].tolist() == drawn["id"].tolist() and len(drawn["id"]) == 3


# Options of shards --------------------------------------------------------------------------------------------


def test_options_that_shards_were_not_made_with_are_refused(tmp_path):
    kept = ["Something appearing", "Something disappearing"]
    write_records(MovingShapes(train=4, classes=kept), "train", tmp_path, num_frames=4, size=(12, 16))

    def config(**options):
        return DataConfig(records=str(tmp_path), options=options)

    assert make_dataset(config(train=4, classes=kept)).class_names == tuple(kept)
    assert make_dataset(config()).class_names == tuple(kept)
    for options, had in (({"train": 56}, "train=4"), ({"seed": 1}, "no seed"), ({"classes": kept[:1]}, "classes=")):
        name, value = next(iter(options.items()))
        with pytest.raises(ConfigError) as caught:
            make_dataset(config(**options))
        said = str(caught.value)
        assert said.startswith(f"data.options.{name}={value} has no effect: clips are read from {tmp_path}/train, ")
        assert f"made with {had}" in said and "data.records=null reads the dataset" in said
