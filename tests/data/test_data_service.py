"""Training clips by a tf.data service: the same ones, decoded elsewhere."""

import shutil
from collections import Counter
from contextlib import contextmanager

import numpy as np
import pytest
import tensorflow as tf
from small_models import DROPOUT_NETWORK

from tfvid import config as cfg
from tfvid.core.errors import ConfigError, DataError
from tfvid.data.pipeline import load_dataset
from tfvid.data.records import write_records
from tfvid.data.settings import DataConfig
from tfvid.data.share import Share
from tfvid.data.skipped import SkipLog
from tfvid.data.sources.shapes import MovingShapes
from tfvid.training import train

CLASSES = ["Something appearing", "Something disappearing"]
SHAPE = {"num_frames": 4, "size": (16, 16)}


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    dataset = MovingShapes(classes=CLASSES, train=12, validation=4)
    for split in ("train", "validation"):
        write_records(dataset, split, folder, **SHAPE, shard_size=5, workers=1)
    return folder


@contextmanager
def service(workers: int):
    """A dispatcher and its workers, in this process."""
    dispatcher = tf.data.experimental.service.DispatchServer()
    address = dispatcher.target.partition("://")[2]
    servers = [
        tf.data.experimental.service.WorkerServer(tf.data.experimental.service.WorkerConfig(dispatcher_address=address))
        for _ in range(workers)
    ]
    try:
        yield dispatcher.target
    finally:
        for server in servers:
            server._stop()
        dispatcher._stop()


def ids(batch):
    return [id.decode() for id in batch["id"].numpy()]


def test_one_worker_gives_the_clips_of_this_process(shards):
    settings = {"records": str(shards), **SHAPE, "batch_size": 4, "seed": 3, "workers": 1}
    epoch = tf.Variable(0, dtype=tf.int64)
    expected = []
    for number in (0, 1):
        epoch.assign(number)
        expected += load_dataset("shapes", "train", training=True, epoch=epoch, **settings)
    with service(1) as address:
        served = load_dataset("shapes", "train", training=True, service=address, **settings)
        for ours, theirs in zip(expected, served.take(6), strict=True):
            assert ids(ours) == ids(theirs)
            np.testing.assert_allclose(ours["clip"], theirs["clip"], atol=1e-6)


def copied(shards, folder):
    """A copy of the shards that a test may break, and its three files, of 5, 5 and 2 clips."""
    shutil.copytree(shards, folder)
    return folder, sorted((folder / "train").glob("*.tfrecord"))


def test_broken_shards_cost_their_clips(shards, tmp_path):
    """The second shard is missing, and the third has a record of label 99 under a right checksum."""
    folder, files = copied(shards, tmp_path / "copy")
    files[1].unlink()
    last, other = (record.numpy() for record in tf.data.TFRecordDataset(str(files[2])))
    example = tf.train.Example.FromString(last)
    example.features.feature["label"].int64_list.value[0] = 99
    with tf.io.TFRecordWriter(str(files[2])) as writer:
        writer.write(example.SerializeToString())
        writer.write(other)
    settings = {"records": str(folder), **SHAPE, "batch_size": 4, "workers": 1}
    log, left = SkipLog(), {f"train-{i:06d}" for i in (0, 1, 2, 3, 4, 11)}
    with service(1) as address:
        settings |= {"service": address, "training": True}
        batches = load_dataset("shapes", "train", skipped=log, max_bad_share=0.5, **settings)
        seen = [ids(batch) for batch in batches.take(8)]
        assert set(sum(seen, [])) == left and all(seen)
        assert log.reasons.keys() == {f"train-{i:06d}" for i in range(5, 11)}
        for number, file in ((5, files[1]), (10, files[2])):
            said = log.reasons[f"train-{number:06d}"]
            assert said == f"the shard {file} is truncated, corrupt or not a shard of these clips"
        log = SkipLog()
        with pytest.raises(DataError, match="of 12 clips cannot be read, .* the shard "), log.plain_errors():
            list(load_dataset("shapes", "train", skipped=log, max_bad_share=0.4, **settings).take(8))


def test_a_service_without_a_good_clip_is_one_line(shards, tmp_path):
    folder, files = copied(shards, tmp_path / "copy")
    for file in files:
        file.unlink()
    log = SkipLog()
    with service(1) as address:
        settings = {"records": str(folder), **SHAPE, "service": address, "training": True, "skipped": log}
        batches = load_dataset("shapes", "train", max_bad_share=1.0, **settings)
        with pytest.raises(DataError, match="^none of the 12 training clips can be read"), log.plain_errors():
            next(iter(batches))


def test_two_workers_give_every_clip_as_often(shards):
    settings = {"records": str(shards), **SHAPE, "batch_size": 4, "workers": 1}
    with service(2) as address:
        served = load_dataset("shapes", "train", training=True, service=address, **settings)
        seen = Counter(id for batch in served.take(24) for id in ids(batch))
    assert len(seen) == 12 and sum(seen.values()) == 96
    assert max(seen.values()) - min(seen.values()) <= 4  # two epochs in the making


@pytest.mark.long
def test_a_run_trains_from_it(shards, tmp_path):
    with service(1) as address:
        config = cfg.from_dict(
            {
                "name": "served",
                "data": {
                    "records": str(shards),
                    "num_frames": 4,
                    "size": [16, 16],
                    "batch_size": 4,
                    "service": address,
                },
                "model": {"name": DROPOUT_NETWORK},
                "train": {"epochs": 2, "mixed_precision": False},
            }
        )
        metrics = train(config, tmp_path / "runs", tmp_path / "saved", verbose=0)
    assert metrics["epochs"] == 2 and np.isfinite([record["loss"] for record in metrics["history"]]).all()


def test_what_it_does_not_do(shards):
    with pytest.raises(ConfigError, match="data.service must be used with data.records"):
        DataConfig(service="grpc://localhost:1")
    with pytest.raises(ConfigError, match="data.service needs distribution none"):
        load_dataset(
            "shapes", "train", training=True, records=str(shards), service="grpc://x:1", share=Share(), **SHAPE
        )
