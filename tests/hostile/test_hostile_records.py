"""Shards and manifests by strangers: nothing outside the folder, no picture larger than said, one line each time."""

import json

import numpy as np
import pytest
import tensorflow as tf
from broken_files import broken, refused_or_read

from tfvid.core.errors import DataError, VideoError
from tfvid.data import SkipLog, load_dataset
from tfvid.data.records import Records, write_records
from tfvid.data.records.read import jpeg_size
from tfvid.data.sources.shapes import MovingShapes

SHAPE = {"num_frames": 4, "size": (16, 24)}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared")
    write_records(MovingShapes(train=2), "train", folder, **SHAPE)
    return folder


@pytest.fixture
def folder(prepared, tmp_path):
    """A copy that a test may break."""
    for file in (prepared / "train").iterdir():
        (tmp_path / "train").mkdir(exist_ok=True)
        (tmp_path / "train" / file.name).write_bytes(file.read_bytes())
    return tmp_path


def change(folder, *path, to):
    """Sets a value of the manifest, or takes it away where `to` is `change`."""
    file = folder / "train" / "manifest.json"
    manifest = json.loads(file.read_text())
    place = manifest
    for key in path[:-1]:
        place = place[key]
    if to is change:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    file.write_text(json.dumps(manifest))
    return file


def test_the_copy_is_good(folder):
    assert len(list(load_dataset("shapes", "train", records=str(folder), **SHAPE))) == 1


@pytest.mark.parametrize("name", ["../../x.tfrecord", "/etc/passwd", "s3://evil/x.tfrecord", "x.tfrecord", 5, None])
def test_no_shard_lies_elsewhere(folder, name):
    file = change(folder, "shards", 0, "file", to=name)
    assert "expected the note of a shard called" in refused_or_read(lambda: Records(folder), file)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        *[(("settings",), value) for value in ([], "x", None, {"format": 1}, change)],
        *[(("settings", "dataset"), value) for value in ([], None, {})],
        *[(("settings", "dataset", "class_names"), value) for value in ("abc", None, [1], {}, ["only one"])],
        *[
            (("settings", "dataset", "flip_labels"), value)
            for value in ([], {"a": 1}, {"0": 99}, {"0": "1"}, {"99": 0})
        ],
        *[(("settings", "dataset", "max_boxes"), value) for value in (-1, None, 1e3, True, 2**40)],
        *[(("settings", "num_frames"), value) for value in (0, -1, "2", None, 2**40)],
        *[(("settings", "size"), value) for value in ([16], [16, 0], "ab", [16, 2**40], None)],
        *[(("shards",), value) for value in ({}, None, "x", [5], [None])],
        *[(("shards", 0, "clips"), value) for value in ({}, [5], [["a"]], [[1, 1]], [["a", "1"]], [["a", 99]], None)],
        *[(("shards", 0, key), None) for key in ("skipped", "damaged", "asked", "bytes")],
        *[(("shards", 0, "damaged"), value) for value in ([1], {"a": 1}, "x")],
    ],
)
def test_a_manifest_of_other_things(folder, path, value):
    file = change(folder, *path, to=value)
    assert refused_or_read(lambda: Records(folder), file)


def test_a_manifest_of_brackets(folder):
    file = folder / "train" / "manifest.json"
    file.write_text("[" * 100_000)
    assert "cannot be read" in refused_or_read(lambda: Records(folder), file)


def example(**changes) -> tf.train.Example:
    jpeg = tf.io.encode_jpeg(np.zeros((16, 24, 3), np.uint8)).numpy()
    shapes = MovingShapes(train=2)
    values = {"frames": [jpeg] * 4, "label": [0], "id": [b"a"], "event": [0, 1]}
    values["boxes"] = [0.0] * (4 * shapes.max_boxes * 4)
    kinds = {bytes: ("bytes_list", tf.train.BytesList), int: ("int64_list", tf.train.Int64List)}
    kinds[float] = ("float_list", tf.train.FloatList)
    made = tf.train.Example()
    for name, value in (values | changes).items():
        field, of = kinds[type(value[0])]
        made.features.feature[name].CopyFrom(tf.train.Feature(**{field: of(value=value)}))
    return made


def huge_jpeg() -> bytes:
    """A hundred bytes that say they are 65,500 x 65,500 pixels, 13 GB."""
    jpeg = bytearray(tf.io.encode_jpeg(np.zeros((16, 24, 3), np.uint8)).numpy())
    place = jpeg.index(b"\xff\xc0")
    jpeg[place + 5 : place + 9] = b"\xff\xdc\xff\xdc"
    return bytes(jpeg)


RECORDS = {
    "no example": (b"\xff\xff\xff", "not a tf.train.Example"),
    "an example of something else": (b"\n\x0b\n\t\n\x01x\x12\x04\n\x02\n\x00", "expected \\(4, "),
    "too few frames": (example(frames=[b"x"]), "expected \\(4, "),
    "numbers for frames": (example(frames=[1.0, 2.0]), "expected \\(4, "),
    "a label of no class": (example(label=[99]), "label 99 of 14 classes"),
    "frames that are no JPEG": (example(frames=[b"\x89PNG\r\n", b""] * 2), r"frames of \[\(\)\], expected \[16, 24\]"),
    "a decompression bomb": (example(frames=[huge_jpeg()] * 4), r"frames of \[\(65500, 65500\)\], expected \[16, 24\]"),
}


@pytest.mark.parametrize("what", RECORDS)
def test_a_record_with_a_good_checksum_that_is_no_clip(folder, what):
    record, said = RECORDS[what]
    [file] = (folder / "train").glob("*.tfrecord")
    good = [good.numpy() for good in tf.data.TFRecordDataset(str(file))]
    with tf.io.TFRecordWriter(str(file)) as writer:
        writer.write(record if isinstance(record, bytes) else record.SerializeToString())
        writer.write(good[1])
    log = SkipLog()
    [batch] = load_dataset("shapes", "train", skipped=log, max_bad_share=0.5, records=str(folder), **SHAPE)
    assert batch["id"].numpy().tolist() == [b"train-000001"]
    with pytest.raises(VideoError, match=said):
        raise VideoError(file, log.reasons["train-000000"])
    dataset = Records(folder)
    with pytest.raises(VideoError, match=said):
        dataset.read(dataset.samples("train")[0], **SHAPE)
    served = [clip for clip, _ in dataset.served("train", 0, seed=0).take(2)]
    assert {clip["id"].numpy().decode(): bool(clip["whole"]) for clip in served} == {
        "train-000000": False,
        "train-000001": True,
    }


def test_broken_records_read_one_by_one(folder):
    """Random damage under a right checksum: a clip, or one line."""
    [file] = (folder / "train").glob("*.tfrecord")
    [good, _] = [good.numpy() for good in tf.data.TFRecordDataset(str(file))]
    refused = 0
    for record in broken(good, 60):
        with tf.io.TFRecordWriter(str(file)) as writer:
            writer.write(record)
        dataset = Records(folder)
        sample = dataset.samples("train")[0]
        refused += refused_or_read(lambda: dataset.read(sample, **SHAPE), file) is not None  # noqa: B023
    assert refused


def test_a_jpegs_size_is_that_of_its_header():
    for size in ((1, 1), (16, 24), (300, 7)):
        pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
        for options in ({}, {"progressive": True}, {"quality": 20, "xmp_metadata": "x" * 5000}):
            assert jpeg_size(tf.io.encode_jpeg(pixels, **options).numpy()) == size
    for data in (b"", b"\xff\xd8", b"\xff\xd8\xff\xe0\x00\x00" + bytes(50), b"\xff\xd8" + b"\xff\xe0\x00\x02" * 1000):
        assert jpeg_size(data) == ()


def test_notes_of_an_interrupted_run(folder, tmp_path):
    """A note beside a shard is read when a run goes on; its name could have been another file's."""
    note = folder / "train" / "shard-00000-of-00009.json"
    note.write_text('{"file": "../../victim.tfrecord", "bytes": 1}')
    with pytest.raises(DataError, match=r"shard-00000-of-00009.json: expected the note of a shard called"):
        write_records(MovingShapes(train=2), "train", folder, **SHAPE)
