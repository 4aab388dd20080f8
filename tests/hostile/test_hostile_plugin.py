"""The plugin asked by strangers, about logs of strangers: it answers, in bounded time, with its own data only.

The same with many more requests and logs: benchmarks/fuzz_requests.py.
"""

import importlib
import json
import logging
import random
from pathlib import Path
from types import SimpleNamespace

import pytest
from board_in_process import served
from tensorboard.data import provider
from werkzeug.test import Client

from tfvid.tensorboard import clip_json, metadata, plugin
from tfvid.tensorboard.plugin import VideoExplanations

BASE = "/data/plugin/tfvid"
GOOD = {
    **{"version": 1, "method": "freeze mask", "num_frames": 2, "size": [8, 8], "perturbation": "freeze"},
    "map": {"frames": 1, "size": [2, 3], "low": 0, "high": 1.5, "signed": False},
    "mask": [0.5, None],
    "mixing": [[[0, 1]], [[0, 0.5], [1, 0.5]]],
    "perturbed_frames": False,
    "scores": {"OS": 0.5, "FS": None},
    "labels": {"target": "left", "predicted": None, "true": None},
    "event": [0, 1],
}


@pytest.fixture(scope="module")
def fuzz():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "benchmarks"))
        yield importlib.import_module("fuzz_requests")


@pytest.fixture(scope="module")
def logs(fuzz, tmp_path_factory):
    folder = tmp_path_factory.mktemp("logs")
    fuzz.write_logs(folder)
    return folder


def test_malformed_requests_are_answered(fuzz, logs, caplog):
    caplog.set_level(logging.CRITICAL, "tensorboard")
    client, chance = served(logs), random.Random(1)
    codes = {fuzz.ask(client, chance) for _ in range(400)}
    assert {200, 400, 404, 405} <= codes


def test_broken_logs_are_served_as_far_as_they_go(fuzz, logs, caplog):
    caplog.set_level(logging.CRITICAL, "tensorboard")
    answers = [fuzz.ask_for_all(served(place)) for place in fuzz.broken_logs(logs, 40)]
    assert sum(answers) > 40


@pytest.mark.parametrize("clip", ["loss", ""])
def test_other_plugins_data_are_not_served(logs, clip):
    client = served(logs)
    assert "numbers" not in client.get(f"{BASE}/tags").get_json()
    which = {"run": "numbers", "name": "loss", "clip": clip, "step": 0}
    for route in ("steps", "sample"):
        assert client.get(f"{BASE}/{route}", query_string=which).status_code == 404


def test_every_answer_is_guarded(logs):
    client = served(logs)
    for path in ("tags", "steps", "sample", "index.js", "page.css"):
        answer = client.get(f"{BASE}/{path}")
        assert answer.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert client.post(f"{BASE}/tags").status_code == 405


class Reader:
    """A data provider of one clip with these blobs, that counts which are read."""

    def __init__(self, blobs: list[bytes]):
        self.blobs, self.read, self.clip = blobs, 0, metadata.Clip("mask", "0")

    def list_blob_sequences(self, context, *, experiment_id, plugin_name, run_tag_filter=None):
        content = metadata.create(self.clip).plugin_data.content
        series = SimpleNamespace(plugin_content=content, description="")
        return {"train": {self.clip.tag: series}}

    def read_blob_sequences(self, context, **which):
        references = [provider.BlobReference(str(place)) for place in range(len(self.blobs))]
        return {"train": {self.clip.tag: [provider.BlobSequenceDatum(0, 0.0, references)]}}

    def read_blob(self, context, *, blob_key):
        self.read += 1
        return self.blobs[int(blob_key)]


def ask(reader: Reader):
    application = VideoExplanations(SimpleNamespace(data_provider=reader, sampling_hints=None))
    client = Client(application.get_plugin_apps()["/sample"])
    return client.get(f"{BASE}/sample", query_string={"run": "train", "name": "mask", "clip": "0", "step": 0})


def test_no_more_is_read_than_a_clip_has():
    reader = Reader([json.dumps(GOOD).encode(), *[b"x"] * 100_000])
    answer = ask(reader)
    assert (answer.status_code, reader.read) == (422, 1)
    assert "expected 4 blobs as the clip's JSON says, got 100001" in answer.get_data(as_text=True)


def test_a_clip_too_large_to_send_is_refused_before_it_is_read(monkeypatch):
    monkeypatch.setattr(plugin, "MOST_BYTES", 1 << 20)
    large = json.dumps(GOOD | {"num_frames": 300, "map": None, "mask": None, "mixing": None, "event": None}).encode()
    reader = Reader([large, *[bytes(1 << 17)] * 300])
    answer = ask(reader)
    assert (answer.status_code, reader.read) == (422, 1 + plugin.BLOBS_AT_ONCE)
    assert "expected a clip of at most 1 MiB" in answer.get_data(as_text=True)


def test_a_good_clip():
    assert clip_json.problem(GOOD) is None
    assert ask(Reader([json.dumps(GOOD).encode(), b"1", b"2", b"3"])).status_code == 200


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("method", value) for value in (None, 5, ["a"])],
        *[("num_frames", value) for value in (0, 1025, True, "2", 2.0)],
        *[("size", value) for value in (None, [8], [8, 0], [8, 1e9], [8, "8"], {"0": 8})],
        *[
            ("map", GOOD["map"] | wrong)
            for wrong in ({"size": [1, 10**6]}, {"low": "0"}, {"high": None}, {"signed": 1})
        ],
        *[("mask", value) for value in ([0.5], "ab", [0.5, "1"], [0.5, float("inf")], {"0": 1, "1": 1})],
        *[("perturbation", value) for value in (5, ["freeze"])],
        *[("mixing", value) for value in ([[[0, 1]]], [[], []], [[[2, 1]], [[0, 1]]], [[[0, "1"]], [[0, 1]]], [0, 1])],
        *[("perturbed_frames", value) for value in (None, 0, "false")],
        *[("scores", value) for value in (None, [0.5], {"OS": "<b>"}, {"OS": float("nan")}, {"OS": True})],
        *[("labels", value) for value in (None, {}, {"target": 1, "predicted": None, "true": None})],
        *[("event", value) for value in ([0], [1, 1], [-1, 2], [0, 3], [0, "1"], "01")],
    ],
)
def test_fields_that_the_page_could_not_draw_are_named(field, value):
    assert repr(field) in clip_json.problem(GOOD | {field: value})
