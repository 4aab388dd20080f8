"""Results that go to an object store: the same as in a folder, and a run that goes on there."""

import uuid
from contextlib import contextmanager

import pyarrow.parquet as pq
import pytest
from small_models import TINY_CLASSES, tiny_network

from tfvid.cli.explain import main
from tfvid.core.errors import DataError
from tfvid.core.remote import RemoteFolder, is_remote
from tfvid.results.result_store import ResultStore


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_network(tmp_path_factory.mktemp("model"))


def explain(model, out, clips, *arguments):
    words = ["--model", model, "--out", out, "--dataset", "shapes", "--limit", clips, "--shard-size", 2]
    words += ["--classes", *TINY_CLASSES, "mask.iterations=2", "data.workers=1", *arguments]
    main([str(word) for word in words])


@contextmanager
def s3(monkeypatch):
    """A small S3 of this machine's own."""
    server = pytest.importorskip("moto.server", reason="moto is not installed: pip install 'moto[s3,server]'")
    thread = server.ThreadedMotoServer(port=0)
    thread.start()
    _, port = thread.get_host_and_port()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    try:
        import boto3

        boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1").create_bucket(
            Bucket="clips"
        )
        yield f"s3://clips/run?endpoint_override=127.0.0.1:{port}&scheme=http&region=us-east-1"
    finally:
        thread.stop()


@contextmanager
def in_memory(monkeypatch):
    pytest.importorskip("fsspec", reason="fsspec is not installed")
    yield f"memory://{uuid.uuid4()}/run"


@pytest.mark.long
@pytest.mark.parametrize("store", [in_memory, pytest.param(s3, marks=pytest.mark.long)])
def test_a_run_in_a_store_goes_on_there(model, tmp_path, monkeypatch, capsys, store):
    with store(monkeypatch) as uri:
        explain(model, uri, 3, "--films", "gif")
        remote = RemoteFolder(uri)
        assert "results.parquet" in remote.names() and "index.html" in remote.names() and not remote.parts()
        assert sum(name.endswith(".gif") for name in remote.names("films")) == 3
        explain(model, uri, 5, "--films", "gif")
        assert "3/5" in capsys.readouterr().err  # the second run starts with what is there
        remote.fetch(tmp_path)
        there = pq.read_table(tmp_path / "results.parquet")
        explain(model, tmp_path / "here", 5, "--films", "gif")
        here = pq.read_table(tmp_path / "here" / "results.parquet")
        assert there["id"].to_pylist() == here["id"].to_pylist() and there["gif"].to_pylist() == here["gif"].to_pylist()
        assert sum(name.endswith(".gif") for name in remote.names("films")) == 5


@pytest.mark.long
def test_a_part_is_the_last_to_come(model, tmp_path, monkeypatch):
    """Of a shard whose upload broke off before its part, nothing counts."""
    with in_memory(monkeypatch) as uri:
        put = RemoteFolder.put

        def broken(self, file, name):
            if "results.parts" in name:
                raise DataError("the line is dead")
            put(self, file, name)

        monkeypatch.setattr(RemoteFolder, "put", broken)
        with pytest.raises(DataError, match="the line is dead"):
            explain(model, uri, 1, "--films", "gif")
        remote = RemoteFolder(uri)
        assert any(name.startswith("films/") for name in remote.names())
        remote.fetch(tmp_path)
        assert ResultStore(tmp_path).done("tiny") == set()


def test_what_is_a_uri():
    assert is_remote("s3://bucket/run") and not is_remote("runs/explain")
    with pytest.raises(DataError, match="nosuch://x: no file system for this address"):
        RemoteFolder("nosuch://x")
