"""Shards over http and s3, from small servers of the tests' own."""

import functools
import os
import re
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from tfvid.core.errors import DataError
from tfvid.data import SkipLog, load_dataset
from tfvid.data.records import Records, write_records
from tfvid.data.sources.shapes import MovingShapes

SHAPE = {"num_frames": 4, "size": (16, 24)}


class RangeHandler(SimpleHTTPRequestHandler):
    """A static file server that answers ``Range: bytes=a-b``, as tensorflow-io needs and Python's own does not."""

    def send_head(self):
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        path = Path(self.translate_path(self.path))
        if not wanted or not path.is_file():
            return super().send_head()
        size = path.stat().st_size
        first, last = int(wanted[1]), min(int(wanted[2] or size), size - 1)
        file = path.open("rb")
        if first >= size:
            file.close()
            self.send_error(416)
            return None
        file.seek(first)
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.send_header("Content-Length", str(last - first + 1))
        self.end_headers()
        self.left = last - first + 1
        return file

    def copyfile(self, source, outputfile):
        outputfile.write(source.read(getattr(self, "left", -1)))

    def log_message(self, *_):
        pass


@contextmanager
def serving(folder: Path):
    handler = functools.partial(RangeHandler, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("www") / "shards"
    dataset = MovingShapes(train=10, validation=4)
    for split in dataset.splits:
        write_records(dataset, split, folder, shard_size=4, **SHAPE)
    return folder


def collect(records, split="train", **options):
    batches = list(load_dataset("shapes", split, records=str(records), **SHAPE, **options))
    return {name: np.concatenate([batch[name].numpy() for batch in batches]) for name in batches[0]}


def test_http(shards):
    local = collect(shards)
    with serving(shards.parent) as port:
        address = f"http://127.0.0.1:{port}/shards"
        assert Records(address).splits == ("train", "validation")
        remote = collect(address)
        training = collect(address, training=True)
    for name in local:
        np.testing.assert_array_equal(local[name], remote[name])
    assert sorted(training["id"]) == sorted(local["id"])


def test_http_without_shards(shards):
    with serving(shards.parent) as port, pytest.raises(DataError, match="/none: no <split>/manifest.json in it"):
        Records(f"http://127.0.0.1:{port}/none")


def test_http_missing_shard(shards):
    name = "shard-00001-of-00003.tfrecord"
    hidden = (shards / "train" / name).rename(shards / "train" / "hidden")
    log = SkipLog()
    try:
        with serving(shards.parent) as port:
            clips = collect(f"http://127.0.0.1:{port}/shards", skipped=log, max_bad_share=0.5)
    finally:
        hidden.rename(shards / "train" / name)
    assert len(clips["id"]) == 6 and len(log.reasons) == 4
    assert all(name in reason for reason in log.reasons.values())


def test_s3(shards):
    """From moto's S3 server; in a process of its own, since the plug-in reads its settings once.

    That process' exit code is not looked at: tensorflow-io 0.37.1 aborts at exit once s3 was used ("pure virtual
    method called").
    """
    moto = pytest.importorskip("moto.server")
    boto3 = pytest.importorskip("boto3")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        address = "http://{}:{}".format(*server.get_host_and_port())
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
        bucket = boto3.resource("s3", endpoint_url=address, **keys).create_bucket(Bucket="bucket")
        for file in shards.rglob("*.*"):
            bucket.upload_file(str(file), f"shards/{file.relative_to(shards)}")
        settings = {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "S3_ENDPOINT": address,
            "S3_USE_HTTPS": "0",
            "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
        }
        code = (
            "from tfvid.data.pipeline import load_dataset\n"
            "options = {'records': 's3://bucket/shards', 'num_frames': 4, 'size': (16, 24)}\n"
            "for batch in load_dataset('shapes', 'train', **options):\n"
            "    print(*(id.decode() for id in batch['id'].numpy()), flush=True)\n"
        )
        command = [sys.executable, "-c", code]
        result = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, timeout=200)
    finally:
        server.stop()
    assert result.stdout.split() == [f"train-{i:06d}" for i in range(10)], result.stderr[-2000:]
