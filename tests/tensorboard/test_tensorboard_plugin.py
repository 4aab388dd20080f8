"""The plugin in a real TensorBoard, asked over HTTP: what was logged comes back, anything else is refused in a line."""

import importlib.util
import json
import struct
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from board import ALONE, ROOT, started
from tensorboard.compat.proto import summary_pb2
from werkzeug.test import Client

from tfvid.tensorboard import metadata, summary
from tfvid.tensorboard.plugin import VideoExplanations

CLIP = np.random.default_rng(0).random((1, 3, 8, 8, 3), np.float32)
MARKUP = '<img src=x onerror="alert(1)"> & 100 % \\ "quotes"/../é\n'
LAST = 11  # of the steps of the run "long"

CONTENT = metadata.create(metadata.Clip("theirs", "0"))
JSON = json.dumps({"version": 1, "num_frames": 2, "map": None, "perturbed_frames": False}).encode()
THEIRS = {  # what others may write under our plugin's name, and what the plugin says to it
    "not json": ([b"<script>alert(1)</script>", b"", b""], "expected a clip that begins with a JSON object"),
    "json of something else": ([b"[1, 2]", b"", b""], "expected a clip that begins with a JSON object"),
    "no blobs": (tf.constant([], tf.string), "expected a clip that begins with a JSON object"),
    "a newer version": ([b'{"version": 2}'], "expected a clip of version 1, got 2"),
    "no number of frames": ([b'{"version": 1}'], "expected None blobs as the clip's JSON says, got 1"),
    "too few blobs": ([JSON, b"frame"], "expected 3 blobs as the clip's JSON says, got 2"),
    "too many blobs": ([JSON, b"1", b"2", b"3"], "expected 3 blobs as the clip's JSON says, got 4"),
    "numbers": (np.ones(3), ""),
    "a table of blobs": ([[JSON, b"1"], [b"2", b"3"]], ""),
}


NOT_STRINGS = ("numbers", "a table of blobs")  # the data server does not even list them


def write(folder, steps, name="mask", ids=("0",), score=0.0, **options):
    writer = tf.summary.create_file_writer(str(folder))
    with writer.as_default():
        for step in steps:
            clips = np.repeat(CLIP, len(ids), axis=0)
            scores = {"OS": np.full(len(ids), score + step)}
            summary.explanation(name, clips, step, scores=scores, ids=ids, **options)
    writer.close()
    return max(Path(folder).glob("events.*"), key=lambda file: file.stat().st_ctime_ns)


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("logs")
    write(folder / "train", [0, 5], ids=("clip 10", "clip 9"), description="**how** <b>it</b> works")
    write(folder / "train", [0], name="cam/deep", attribution=np.ones((1, 2, 3, 4)))
    write(folder / "long", range(LAST + 1))
    write(folder / "resumed", [0, 1, 2, 3])
    later = write(folder / "resumed", [1, 2], score=100)  # a killed run that went on from an older checkpoint
    later.rename(later.with_name("events.out.tfevents.9999999999.host"))  # files are read in the order of their names
    write(folder / "markup", [0], name=MARKUP, ids=(MARKUP,), method=MARKUP, labels={"target": [MARKUP]})

    file = write(folder / "cut", [0, 1], plain=False)  # a file of which a disk lost the end
    file.write_bytes(file.read_bytes()[:-700])
    file = write(folder / "damaged", [0, 1], plain=False)  # and one with some bytes of something else
    content = file.read_bytes()
    file.write_bytes(content[:-500] + b"garbage" * 20 + content[-360:])
    (folder / "noise").mkdir()
    (folder / "noise" / "events.out.tfevents.1.host").write_bytes(np.random.default_rng(1).bytes(5000))

    for name, (blobs, _) in THEIRS.items():
        writer = tf.summary.create_file_writer(str(folder / "theirs" / name))
        with writer.as_default():
            tf.summary.write("theirs/0", tf.constant(blobs), step=0, metadata=CONTENT)
        writer.close()
    writer = tf.summary.create_file_writer(str(folder / "theirs"))
    with writer.as_default():
        for content in (b"", b"\xff", b'{"version": 1}', b'{"version": 2, "name": "a", "clip": "0"}'):
            plugin_data = summary_pb2.SummaryMetadata.PluginData(plugin_name="tfvid", content=content)
            made = summary_pb2.SummaryMetadata(plugin_data=plugin_data, data_class=summary_pb2.DATA_CLASS_BLOB_SEQUENCE)
            tf.summary.write(f"a/{content!r}", tf.constant([JSON]), step=0, metadata=made)
    writer.close()
    return folder


READERS = {  # of the logs, and the steps they keep; 0 asks for all
    "python": {"load_fast": False, "samples": 0},
    "data server": {"load_fast": True, "samples": LAST, "program": (sys.executable, "-c", ALONE)},
}


@pytest.fixture(scope="module", params=[pytest.param("python", marks=pytest.mark.long), "data server"])
def board(request, logs):
    if request.param == "data server" and not importlib.util.find_spec("tensorboard_data_server"):
        pytest.skip("TensorBoard's data server is not installed")
    with started(logs, **READERS[request.param]) as board:
        # The logs are read run by run; with the last step of each there, all of them have been.
        last = {"train": 5, "long": LAST, "resumed": 2 if request.param == "data server" else 3, "cut": 0, "damaged": 0}

        def read():
            tags = board.json("tags") or {}
            listed = {"markup", *(f"theirs/{name}" for name in THEIRS if name not in NOT_STRINGS)}
            return {*last, *listed} <= set(tags) and all(
                board.json("steps", run=run, name="mask", clip=tags[run]["mask"]["clips"][0])[-1]["step"] >= step
                for run, step in last.items()
            )

        board.until(read)
        yield board


def sample(board, **which):
    """A clip's JSON and its other blobs, as the page reads them."""
    status, headers, body = board.get("sample", **which)
    assert (status, headers["Content-Type"]) == (200, "application/octet-stream"), body
    assert headers["X-Content-Type-Options"] == "nosniff"
    (count,) = struct.unpack_from("<I", body)
    lengths = struct.unpack_from(f"<{count}I", body, 4)
    ends = 4 + 4 * count + np.cumsum(lengths)
    assert ends[-1] == len(body)
    blobs = [body[end - length : end] for end, length in zip(ends, lengths, strict=True)]
    return json.loads(blobs[0]), blobs[1:]


def refused(board, status, route, **which):
    """What the plugin says to a request it refuses, checked to be one plain line."""
    got, headers, body = board.get(route, **which)
    assert (got, headers["Content-Type"]) == (status, "text/plain; charset=utf-8"), body
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert b"\n" not in body
    return body.decode()


def test_tags_are_runs_names_and_clips(board):
    tags = board.json("tags")
    assert tags["train"] == {
        "mask": {"description": "**how** <b>it</b> works", "clips": ["clip 9", "clip 10"]},
        "cam/deep": {"description": "", "clips": ["0"]},
    }
    assert "noise" not in tags and "theirs" not in tags


def test_steps_ascend_and_say_when(board):
    steps = board.json("steps", run="train", name="mask", clip="clip 9")
    assert [step["step"] for step in steps] == [0, 5]
    assert steps[0]["wall_time"] <= steps[1]["wall_time"]


def test_as_many_steps_are_kept_as_tensorboard_is_told(board, request):
    steps = [step["step"] for step in board.json("steps", run="long", name="mask", clip="0")]
    kept = READERS[request.node.callspec.params["board"]]["samples"] or LAST + 1
    assert len(steps) == kept and steps == sorted(steps) and steps[-1] == LAST


def test_a_sample_is_what_was_logged(board, logs):
    fields, blobs = sample(board, run="train", name="cam/deep", clip="0", step=0)
    assert fields["map"]["size"] == [3, 4] and len(blobs) == 3 + 2
    logged = [
        list(value.tensor.string_val)
        for file in (logs / "train").glob("events.*")
        for event in tf.compat.v1.train.summary_iterator(str(file))
        for value in event.summary.value
        if value.tag == "cam/deep/0"
    ]
    assert [json.dumps(fields).encode(), *blobs] == logged[0]
    assert sample(board, run="train", name="mask", clip="clip 10", step=5)[0]["scores"]["OS"] == 5


def test_after_a_restart_a_step_is_there_once(board, request):
    steps = [step["step"] for step in board.json("steps", run="resumed", name="mask", clip="0")]
    scores = [sample(board, run="resumed", name="mask", clip="0", step=step)[0]["scores"]["OS"] for step in steps]
    if request.node.callspec.params["board"] == "data server":  # TensorBoard's default: the newest counts
        assert (steps, scores) == ([0, 1, 2], [0, 101, 102])
    else:  # TensorBoard's Python goes by markers that tf.summary does not write, and keeps the first
        assert (steps, scores) == ([0, 1, 2, 3], [0, 1, 2, 3])


def test_markup_comes_back_as_data(board):
    assert board.json("tags")["markup"] == {MARKUP: {"description": "", "clips": [MARKUP]}}
    fields, _ = sample(board, run="markup", name=MARKUP, clip=MARKUP, step=0)
    assert fields["method"] == fields["labels"]["target"] == MARKUP
    refused(board, 404, "sample", run="markup", name=MARKUP, clip=MARKUP, step=1)
    assert "<img src=x" in refused(board, 404, "steps", run="markup", name="x", clip=MARKUP)


def test_a_broken_event_file_hides_nothing_else(board):
    for run in ("cut", "damaged"):
        assert [step["step"] for step in board.json("steps", run=run, name="mask", clip="0")][:1] == [0]
        assert sample(board, run=run, name="mask", clip="0", step=0)[0]["num_frames"] == 3
        assert board.get("sample", run=run, name="mask", clip="0", step=1)[0] in (200, 404, 422)
    refused(board, 404, "steps", run="noise", name="mask", clip="0")


@pytest.mark.parametrize("name", THEIRS)
def test_blobs_of_others_are_refused(board, name):
    which = {"run": f"theirs/{name}", "name": "theirs", "clip": "0"}
    if board.json("steps", **which):
        assert THEIRS[name][1] in refused(board, 422, "sample", step=0, **which)
    else:
        assert name in NOT_STRINGS
        refused(board, 404, "sample", step=0, **which)


GOOD = {"run": "train", "name": "mask", "clip": "clip 9", "step": "5"}


@pytest.mark.parametrize("route", ["steps", "sample"])
@pytest.mark.parametrize("missing", ["run", "name", "clip", "step"])
def test_a_missing_parameter_is_named(board, route, missing):
    if (route, missing) == ("steps", "step"):
        assert board.get(route, **{**GOOD, "step": "none"})[0] == 200  # a parameter that it does not take
        return
    which = {key: value for key, value in GOOD.items() if key != missing}
    assert f"expected the parameter '{missing}', got " in refused(board, 400, route, **which)


@pytest.mark.parametrize("step", ["", "last", "1.5", "1e3", "0x5", "٥", "9" * 5000])
def test_a_step_is_a_whole_number(board, step):
    assert "step: expected a whole number" in refused(board, 400, "sample", **{**GOOD, "step": step})


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"run": "trian"}, "unknown run 'trian'; did you mean 'train'? valid: "),
        ({"run": ""}, "unknown run ''; valid: "),
        ({"run": "../train"}, "unknown run '../train'; did you mean 'train'? valid: "),
        ({"name": "cam"}, "unknown name 'cam'; valid: cam/deep, mask"),
        ({"clip": "clip 8"}, "unknown clip 'clip 8'; did you mean 'clip 9'? valid: clip 9, clip 10"),
        ({"clip": "9" * 6000}, "valid: clip 9, clip 10"),
        ({"step": "4"}, "unknown step '4'; valid: 0, 5"),
        ({"step": "-1"}, "unknown step '-1'; valid: 0, 5"),
        ({"step": "9" * 19}, "valid: 0, 5"),
    ],
)
def test_what_is_not_there_is_answered_with_what_is(board, wrong, message):
    assert message in refused(board, 404, "sample", **GOOD | wrong)


def test_unknown_routes_and_files_outside_the_page(board):
    for route in ("nothing", "sample/5", "plugin.py", "../plugin.py", "%2e%2e/plugin.py", "static/index.js"):
        assert board.get(route)[0] == 404


def test_the_tab_is_there_with_its_page(board):
    status, _, body = board.fetch("data/plugins_listing")
    listed = json.loads(body)["tfvid"]
    assert status == 200 and listed["tab_name"] == "Video explanations" and listed["enabled"]
    assert listed["loading_mechanism"]["module_path"] == "/data/plugin/tfvid/index.js"
    shared = Path(metadata.__file__).parents[1] / "report" / "static" / "download.js"
    for file in [*Path(metadata.__file__).with_name("static").iterdir(), shared]:
        kind = {".js": "text/javascript", ".css": "text/css"}[file.suffix]
        status, headers, body = board.get(file.name)
        assert (status, headers["Content-Type"], body) == (200, f"{kind}; charset=utf-8", file.read_bytes())


@pytest.mark.long
def test_the_installed_plugin_is_found_by_tensorboard_itself(logs):
    found = [point for point in entry_points(group="tensorboard_plugins") if point.name == "tfvid"]
    if not found:
        pytest.skip("tfvid is not installed as a package here")
    with started(logs / "train", program=(sys.executable, "-m", "tensorboard.main")) as board:
        board.until(lambda: board.json("tags"))
        assert sample(board, run=".", name="mask", clip="clip 9", step=5)[0]["scores"]["OS"] == 5


def test_the_plugin_needs_nothing_but_tensorboard():
    """Nothing that could fail to import: TensorBoard would not start any more."""
    heavy = ("tensorflow", "keras", "cv2", "PIL", "scipy", "matplotlib", "pyarrow")
    blocked = "; ".join(f"sys.modules[{name!r}] = None" for name in heavy)
    code = f"import sys; {blocked}; from tfvid.tensorboard import plugin; print(plugin.VideoExplanations.plugin_name)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "tfvid", done.stderr


def test_a_tag_listed_before_its_first_value_is_waited_for():
    """As TensorBoard's Python reader does while it reads a new log: the tag is there, asking for its values raises."""
    outcomes = [KeyError("tag"), KeyError("tag"), {}]

    class Reader:
        def list_blob_sequences(self, *args, **kwargs):
            outcome = outcomes.pop(0)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

    plugin = VideoExplanations(SimpleNamespace(data_provider=Reader(), sampling_hints=None))
    answer = Client(plugin.get_plugin_apps()["/tags"]).get("/data/plugin/tfvid/tags")
    assert (answer.status_code, answer.get_json(), outcomes) == (200, {}, [])
