"""What goes wrong while a command runs: it is killed, asked to stop, or its disk is full, read-only or gone.

Every command ends in one line or goes on; started again, it ends as if nothing had been. The whole campaign of kills is
``benchmarks/kills.py``.
"""

import importlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import yaml
from disk import small_disk
from PIL import Image
from small_models import DROPOUT_NETWORK, TINY_CLASSES, tiny_network

from tfvid.cli import compare, explain, prepare, train
from tfvid.core.errors import command
from tfvid.core.files import remove_folder
from tfvid.core.stopping import Stopped, stop_if_asked, stoppable
from tfvid.data.decode.worker import DecodePool
from tfvid.data.sources.shapes import MovingShapes
from tfvid.explain.masks.temporal_mask import TemporalMask
from tfvid.report.film import save
from tfvid.results.row_store import RowStore

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return tiny_network(tmp_path_factory.mktemp("model"))


def explaining(model: Path, out: Path, *more) -> list[str]:
    which = ["--dataset", "shapes", "--classes", *TINY_CLASSES, "--limit", "8", "--shard-size", "4", "--films", "webp"]
    options = ["mask.iterations=2", "mask.batch_size=2", "data.workers=1"]
    return ["--model", str(model), "--out", str(out), *which, *options, *more]


def preparing(out: Path, *more) -> list[str]:
    shape = ["--num-frames", "4", "--size", "16", "16", "--shard-size", "4", "--workers", "1"]
    return ["--dataset", "shapes", "--split", "train", "--option", "train=20", *shape, "--out", str(out), *more]


def training(out: Path, **changes) -> list[str]:
    settings = {
        "name": "run",
        "data": {
            "options": {"classes": list(TINY_CLASSES), "train": 4, "validation": 2},
            "num_frames": 4,
            "size": [16, 16],
            "batch_size": 2,
            "workers": 1,
        },
        "model": {"name": DROPOUT_NETWORK},
        "train": {"epochs": 3, "mixed_precision": False, "keep": "last"},
    } | changes
    out.mkdir(exist_ok=True)
    (out / "config.yaml").write_text(yaml.safe_dump(settings))
    return ["--config", str(out / "config.yaml"), "--runs", str(out / "runs"), "--saved-models", str(out / "saved")]


def rows(out: Path) -> dict[str, str]:
    """What each record says, by its clip."""
    from tfvid.results.result_store import SCHEMA

    table = RowStore(out, "results", SCHEMA).read().to_pylist()
    assert len(table) == len({row["id"] for row in table})
    return {row["id"]: repr(row) for row in table}


def files(out: Path) -> dict[str, bytes]:
    return {str(file.relative_to(out)): file.read_bytes() for file in sorted(out.rglob("*")) if file.is_file()}


# Killed -----------------------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "kills"),
    [("prepare", 4), ("train", 2), ("explain", 2)],
)
def test_killed_at_random_moments(name, kills):
    """The short form of the campaign; in a process of its own, as TensorFlow must not run where it forks."""
    command = [sys.executable, BENCHMARKS / "kills.py", "--kills", str(kills), "--only", name]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    line = next(line.split() for line in done.stdout.splitlines() if line.startswith(name))
    assert int(line[1]) == kills == int(line[2]) + int(line[3]) and line[-1] == "yes"


@pytest.fixture
def kills(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):  # which it sets, and other tests should not have
        monkeypatch.setenv(name, "1")
    return importlib.import_module("kills")


def test_the_campaign_would_see_half_a_file_and_a_lost_record(kills, tmp_path):
    schema = pa.schema({"model": pa.string(), "id": pa.string()}, metadata={b"tfvid.version": "1"})
    store = RowStore(tmp_path, "results", schema)
    store.append(pa.table({"model": ["m"], "id": ["a"]}).cast(schema))
    known = kills.kept(tmp_path, set())
    assert known == {("results", "m", "a")}
    with pytest.raises(AssertionError, match="lost .*'b'"):
        kills.kept(tmp_path, known | {("results", "m", "b")})
    for name in ("a.json", "a.parquet", "a.tfrecord", "a.npz", "a.keras", "a.png", "a.webp", "a.html", "a.mp4"):
        (tmp_path / name).write_bytes(b"{half of a file")
        with pytest.raises(AssertionError, match=f"{name}: half a file"):
            kills.kept(tmp_path, set())
        (tmp_path / name).rename(tmp_path / f".{name}")  # nobody reads that
    assert kills.kept(tmp_path, known) == known


def test_runs_in_one_folder_never_share_a_part(tmp_path, monkeypatch):
    """In containers their process ids are alike: two of number 7 must not write one file."""
    monkeypatch.setattr(os, "getpid", lambda: 7)
    schema = pa.schema({"model": pa.string(), "id": pa.string()}, metadata={b"tfvid.version": "1"})
    first, second = RowStore(tmp_path, "results", schema), RowStore(tmp_path, "results", schema)
    listed = list(tmp_path.glob("results.parts/*"))
    monkeypatch.setattr(Path, "glob", lambda *_: iter(listed))  # each looks before the other has written
    for store, id in ((first, "a"), (second, "b")):
        store.append(pa.table({"model": ["m"], "id": [id]}).cast(schema))
    monkeypatch.undo()
    assert sorted(first.read()["id"].to_pylist()) == ["a", "b"]


def test_a_folder_that_is_removed_is_gone_at_once(tmp_path, monkeypatch):
    """Killed in the middle of removing a checkpoint or a run, nothing of it is found under its name."""
    folder = tmp_path / "epoch-0001"
    (folder / "inner").mkdir(parents=True)

    def killed(path, **_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "rmdir", killed)
        remove_folder(folder)
    assert not folder.exists() and list(tmp_path.iterdir())
    folder.mkdir()
    remove_folder(folder)
    assert not list(tmp_path.iterdir())


@pytest.mark.long
def test_starting_over_can_be_killed(tmp_path, monkeypatch):
    """--overwrite, killed while it removes the old run: that was refused ever after, its configuration being gone."""
    arguments = training(tmp_path)
    train.main(arguments)

    remove = shutil.rmtree
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("tfvid.core.files.shutil.rmtree", lambda path, **_: killed_halfway(path, remove))
        train.main([*arguments, "--overwrite"])
    train.main([*arguments, "--overwrite"])
    assert json.loads((tmp_path / "runs" / "run" / "metrics.json").read_text())["epochs"] == 3
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["run"]


def killed_halfway(path: Path, remove):
    if (path / "config.yaml").exists():
        (path / "config.yaml").unlink()
        raise KeyboardInterrupt
    remove(path, ignore_errors=True)


# Asked to stop ----------------------------------------------------------------------------------------------------


def ask_once(monkeypatch, owner, name: str):
    """SIGTERM to this process at the first call of a function."""
    original, asked = getattr(owner, name), []

    def asks(*arguments, **options):
        if not asked:
            asked.append(True)
            os.kill(os.getpid(), signal.SIGTERM)
        return original(*arguments, **options)

    monkeypatch.setattr(owner, name, asks)


def stops(main, arguments: list[str]):
    before = signal.getsignal(signal.SIGTERM)  # not the default where an earlier test started Ray in this process
    with pytest.raises(Stopped) as stopped:
        main(arguments)
    assert stopped.value.code == 0
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.long
def test_explain_finishes_its_batch_and_goes_on(model, tmp_path, monkeypatch, capsys):
    ask_once(monkeypatch, TemporalMask, "__call__")
    stops(explain.main, explaining(model, tmp_path))
    assert "run the same command again to continue" in capsys.readouterr().err
    first = rows(tmp_path)
    assert len(first) == 2 and (tmp_path / "index.html").exists()
    explain.main(explaining(model, tmp_path))
    second = rows(tmp_path)
    assert len(second) == 8 and second | first == second


def test_prepare_finishes_its_shard_and_goes_on(tmp_path, monkeypatch):
    ask_once(monkeypatch, importlib.import_module("tfvid.data.records.write_shard"), "encode")
    stops(prepare.main, preparing(tmp_path / "stopped"))
    assert len(list(tmp_path.glob("stopped/train/*.tfrecord"))) == 1
    for name in ("stopped", "whole"):
        prepare.main(preparing(tmp_path / name))
    assert files(tmp_path / "stopped") == files(tmp_path / "whole")


@pytest.mark.long
def test_train_finishes_its_batch_and_goes_on(tmp_path, monkeypatch, capsys):
    from tfvid.training.callbacks import StopOnNaN

    loop = importlib.import_module("tfvid.training.loop")
    load_dataset = loop.load_dataset

    def with_a_bad_clip(*arguments, skipped, **options):
        skipped.reasons["bad"] = "broken"
        return load_dataset(*arguments, skipped=skipped, **options)

    ask_once(monkeypatch, StopOnNaN, "on_train_batch_end")
    with monkeypatch.context() as patch:
        patch.setattr(loop, "load_dataset", with_a_bad_clip)
        stops(train.main, training(tmp_path))
    assert [path.name for path in tmp_path.glob("runs/run/checkpoints/*")] == ["within-0001"]
    train.main(training(tmp_path))
    assert "continues after batch 1 of epoch 1" in capsys.readouterr().out
    metrics = json.loads((tmp_path / "runs" / "run" / "metrics.json").read_text())
    assert metrics["epochs"] == len(metrics["history"]) == 3
    assert metrics["skipped"]["train"] == {"bad": "broken"}  # found by the first start


def test_compare_keeps_the_answers_it_has(model, tmp_path, monkeypatch):
    shutil.copytree(model, tmp_path / "other")
    settings = {
        "name": "study",
        "models": [{"name": "A", "paths": [str(model)]}, {"name": "B", "paths": [str(tmp_path / "other")]}],
        "data": {
            "dataset": "shapes",
            "options": {"classes": list(TINY_CLASSES), "validation": 4},
            "num_frames": 4,
            "size": [16, 16],
            "batch_size": 2,
            "workers": 1,
        },
    }
    card = json.loads((tmp_path / "other" / "card.json").read_text())
    (tmp_path / "other" / "card.json").write_text(json.dumps(card | {"name": "other"}))
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(settings))
    flow = importlib.import_module("tfvid.experiments.study.predictions")
    ask_once(monkeypatch, flow, "rows")
    stops(compare.main, ["--config", str(tmp_path / "study.yaml"), "--out", str(tmp_path / "out")])
    store = flow.store(tmp_path / "out")
    assert store.read(["id"]).num_rows == 2 and len(store.files()) == 1


ASKED = """
import os, signal
from tfvid.core.stopping import stop_if_asked, stoppable
with stoppable():
    with stoppable():  # a command within one: the outer one keeps the handler
        stop_if_asked()
    os.kill(os.getpid(), signal.SIGTERM)
    print("goes on", flush=True)
    {then}
print("after")
"""


@pytest.mark.parametrize(
    ("then", "code", "printed"),
    [
        ("stop_if_asked()", 0, "goes on"),
        ("pass", 0, "goes on after"),  # it came to its end before there was anything to stop at
        ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM, "goes on"),
    ],
)
def test_the_first_sigterm_waits_and_the_second_does_not(then, code, printed):
    script = [sys.executable, "-c", ASKED.format(then=then)]
    done = subprocess.run(
        script, capture_output=True, text=True, timeout=60, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert (done.returncode, done.stdout.split()) == (code, printed.split())
    assert "SIGTERM: finishing the current step" in done.stderr and "Traceback" not in done.stderr


def test_commands_in_threads_have_no_signals_and_run():
    ran, before = [], signal.getsignal(signal.SIGTERM)

    @stoppable()
    def work():
        stop_if_asked()
        ran.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ran == [before]


def test_a_sigterm_to_all_processes_of_a_job_ends_no_decoding(tmp_path):
    """Or the clips being read would be listed as bad, and a shard be written without them."""
    dataset = MovingShapes(train=2)
    first, second = dataset.samples("train")
    with DecodePool(dataset, 1) as pool:
        pool.read(first, 4, (16, 16))
        os.kill(pool._children[0].process.pid, signal.SIGTERM)
        assert pool.read(second, 4, (16, 16)).frames.shape == (4, 16, 16, 3)
        assert pool._children[0].process.poll() is None


# Disks --------------------------------------------------------------------------------------------------------------


def fails_in_one_line(main, arguments: list[str], monkeypatch) -> str:
    """What the command says, as a person starts it."""
    monkeypatch.setattr(sys, "argv", ["command", *arguments])
    with pytest.raises(SystemExit) as end:
        command(main)
    said = end.value.code
    assert isinstance(said, str) and said.startswith("error: ") and "\n" not in said, said
    return said


COMMANDS = {"prepare": prepare.main, "train": train.main, "explain": explain.main}


def arguments_of(name: str, model: Path, out: Path) -> list[str]:
    return {"prepare": preparing, "train": training}[name](out) if name != "explain" else explaining(model, out)


def finished(name: str, out: Path) -> int:
    """How much a finished run has of what it is to make: shards, epochs, records."""
    if name == "prepare":
        return len(json.loads((out / "train" / "manifest.json").read_text())["shards"])
    if name == "train":
        return json.loads((out / "runs" / "run" / "metrics.json").read_text())["epochs"]
    return len(rows(out))


WHOLE = {"prepare": 5, "train": 3, "explain": 8}
EACH = ["prepare", *(pytest.param(name, marks=pytest.mark.long) for name in ("train", "explain"))]


@pytest.mark.parametrize("name", EACH)
def test_a_full_disk_is_one_line_and_nothing_is_lost(name, model, tmp_path, monkeypatch):
    """On a small file system, at several sizes: whatever it is that does not fit any more."""
    run = COMMANDS[name]
    for size in SIZES[name]:
        disk = tmp_path / f"disk-{size}"
        with small_disk(disk, size) as mount:
            out = disk / "out"
            said = fails_in_one_line(run, arguments_of(name, model, out), monkeypatch)
            assert re.search("No space left|cannot be written|cannot write", said), said
            before = rows(out) if name == "explain" else {}
            mount("size=64m")
            run(arguments_of(name, model, out))
            assert finished(name, out) == WHOLE[name]
            if name == "explain":
                assert rows(out) | before == rows(out)


PAGE = 4096
SIZES = {"prepare": [8 * PAGE], "train": [2 * PAGE, 26 * PAGE, 56 * PAGE], "explain": [30 * PAGE]}


@pytest.mark.parametrize("suffix", ["mp4", "webp", "gif"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_film_that_does_not_fit_is_not_there(suffix, share, tmp_path):
    """OpenCV's writer says nothing: half a film would have stayed, under its name and in the record."""
    noise = np.random.default_rng(0).integers(0, 255, (12, 96, 96, 3), dtype=np.uint8)
    film = [Image.fromarray(frame) for frame in noise]
    size = save(tmp_path / f"whole.{suffix}", film).stat().st_size
    with small_disk(tmp_path / "disk", max(PAGE, int(share * size) // PAGE * PAGE)):
        with pytest.raises(OSError, match="No space left|is the disk full"):
            save(tmp_path / "disk" / f"film.{suffix}", film)
        assert not list((tmp_path / "disk").iterdir())


@pytest.mark.parametrize("name", EACH)
def test_a_disk_that_cannot_be_written_is_one_line(name, model, tmp_path, monkeypatch):
    disk = tmp_path / "disk"
    with small_disk(disk, 2**20) as mount:
        arguments = arguments_of(name, model, disk / "out") if name != "train" else training(disk)
        mount("ro")
        assert "Read-only file system" in fails_in_one_line(COMMANDS[name], arguments, monkeypatch)


@pytest.mark.parametrize("name", EACH)
def test_a_file_where_the_folder_should_be_is_one_line(name, model, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    arguments = arguments_of(name, model, tmp_path / "out")
    arguments = [word.replace(str(tmp_path / "out" / "runs"), str(tmp_path / "file")) for word in arguments]
    if name != "train":
        arguments[arguments.index("--out") + 1] = str(tmp_path / "file")
    assert str(tmp_path / "file") in fails_in_one_line(COMMANDS[name], arguments, monkeypatch)


# Clocks -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jump", [-(10**8), 10**8])
def test_the_later_part_counts_whatever_the_clock_said(tmp_path, jump):
    """A clock that was set between two parts: their order is in their names."""
    schema = pa.schema(
        {"model": pa.string(), "id": pa.string(), "value": pa.int32()}, metadata={b"tfvid.version": b"1"}
    )
    store = RowStore(tmp_path, "results", schema)
    for value in (1, 2):
        store.append(pa.table({"model": ["m"], "id": ["a"], "value": [value]}).cast(schema))
    for place, file in enumerate(store.files()):
        os.utime(file, (10**9 + place * jump,) * 2)
    assert store.read()["value"].to_pylist() == [2]
    store.merge()
    assert store.read()["value"].to_pylist() == [2]


@pytest.mark.long
def test_a_clock_set_back_between_two_starts_loses_no_epoch_in_tensorboard(tmp_path, monkeypatch):
    """The time is in the names of logs, and TensorBoard reads them in that order."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from tfvid.training.callbacks import StopOnNaN

    ask_once(monkeypatch, StopOnNaN, "on_train_batch_end")
    stops(train.main, training(tmp_path))
    for log in tmp_path.glob("runs/run/logs/*/*"):  # as if the first start had been in the year 2059
        os.utime(log, (2_800_000_000,) * 2)
        log.rename(log.with_name(re.sub(r"tfevents\.\d+", "tfevents.2800000000", log.name)))
    train.main(training(tmp_path))
    logs = EventAccumulator(str(tmp_path / "runs" / "run" / "logs" / "validation")).Reload()
    assert sorted(event.step for event in logs.Tensors("epoch_loss")) == [0, 1, 2]
