"""Killing tfvid's commands at random moments, and starting them again until they are through.

    python benchmarks/kills.py                     # 60 kills in all: train, prepare, explain, compare
    python benchmarks/kills.py --kills 4 --only prepare

For each command: one run that nothing disturbs; then runs in new folders, each killed up to three times (`kill -9`) and
started again until it ends. Every second kill comes at a random moment of the clock, the others right before a random
file operation of Python's (opening for writing, renaming, removing, making a folder), where a half-written file would
come from. After each kill, every file that is there under its own name must be whole, and no record of an earlier start
may be lost. At the end all files must equal those of the run that nothing disturbed: byte by byte; weights, optimizer
states, rows of tables and values in logs bit by bit. Of a SavedModel the variables are compared, not the graph, which
TensorFlow does not write twice alike. One thread each, tiny models, TensorFlow imported once: the commands run in forks
of this process.
"""

import argparse
import json
import os
import random
import re
import shutil
import signal
import struct
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1"}
ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
os.environ.update(QUIET | ONE_THREAD)

import h5py  # noqa: E402
import numpy as np  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402
import tensorflow as tf  # noqa: E402
import yaml  # noqa: E402
from machine import describe_machine  # noqa: E402
from PIL import Image  # noqa: E402
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader  # noqa: E402
from tensorboard.compat.proto.event_pb2 import Event  # noqa: E402

# All that the commands import when they run, so that a fork has it.
import tfvid.experiments.explain_clips  # noqa: E402
import tfvid.experiments.study  # noqa: E402
import tfvid.training  # noqa: E402, F401
from tfvid.cli import compare, explain, explain_job, prepare, train  # noqa: E402
from tfvid.core.errors import command  # noqa: E402

CLASSES = ["Something appearing", "Something disappearing"]
KILLS_A_RUN = 3


@dataclass(frozen=True)
class Task:
    """A command, and its arguments for a run in `folder` with the models in `models`."""

    main: Callable[[list[str]], None]
    arguments: Callable[[Path, Path], list[str]]


def training(folder: Path, models: Path) -> list[str]:
    """Dropout, momenta, augmentation, a rate that follows the history: all have to go on."""
    settings = {
        "name": "run",
        "data": {
            "options": {"classes": CLASSES, "train": 10, "validation": 4},
            "num_frames": 4,
            "size": [16, 16],
            "batch_size": 2,
            "workers": 1,
            "augment": {"min_scale": 0.6, "flip": True},
        },
        "model": {"name": "conv_lstm", "options": {"blocks": 2, "filters": 3, "kernel": 3, "dropout": 0.5}},
        "train": {
            "epochs": 5,
            "optimizer": "adam",
            "schedule": "plateau",
            "plateau_patience": 1,
            "weight_decay": 1e-3,
            "mixed_precision": False,
            "keep": "best",
            "deterministic": True,
        },
    }
    config = written(folder / "config.yaml", settings)
    return ["--config", config, "--runs", str(folder / "runs"), "--saved-models", str(folder / "saved")]


def preparing(folder: Path, models: Path) -> list[str]:
    shape = ["--num-frames", "4", "--size", "16", "16", "--shard-size", "4", "--workers", "2"]
    return ["--dataset", "shapes", "--option", "train=80", "--option", "validation=12", *shape, "--out", str(folder)]


def explaining(folder: Path, models: Path) -> list[str]:
    which = ["--dataset", "shapes", "--classes", *CLASSES, "--limit", "16", "--shard-size", "8"]
    options = ["mask.iterations=3", "mask.batch_size=2", "data.workers=1"]
    return ["--model", str(models / "tiny"), "--out", str(folder), *which, *options]


def comparing(folder: Path, models: Path) -> list[str]:
    settings = {
        "name": "study",
        "models": [{"name": name.title(), "paths": [str(models / name)]} for name in ("tiny", "other")],
        "data": {
            "dataset": "shapes",
            "options": {"classes": CLASSES, "validation": 12},
            "num_frames": 4,
            "size": [16, 16],
            "batch_size": 2,
            "workers": 1,
        },
        "classes": {"names": CLASSES},
        "limit": 4 * len(CLASSES),
        "film_clips": 1,
        "mask": {"iterations": 2, "batch_size": 2},
        "method_clips": 0,
    }
    return ["--config", written(folder.with_suffix(".yaml"), settings), "--out", str(folder)]


def written(path: Path, settings: dict) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return str(path)


TASKS = {
    "train": Task(train.main, training),
    "prepare": Task(prepare.main, preparing),
    "explain": Task(explain.main, explaining),
    "compare": Task(compare.main, comparing),
}


def main(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=60, help="in all (%(default)s)")
    parser.add_argument("--only", nargs="+", choices=TASKS, default=list(TASKS), help="(all four)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (%(default)s)")
    arguments = parser.parse_args(argv)
    row = "{:10} {:>6} {:>10} {:>10} {:>8} {:>8} {:>11} {:>8}".format
    print(row("command", "kills", "by clock", "at a file", "starts", "files", "left over", "equal"))
    with tempfile.TemporaryDirectory(prefix="tfvid-kills-") as folder:
        for place, name in enumerate(arguments.only):
            share = len(range(place, arguments.kills, len(arguments.only)))
            tally = campaign(TASKS[name], Path(folder) / name, share, random.Random(f"{name} {arguments.seed}"))
            print(row(name, tally.clock + tally.file, *vars(tally).values(), "yes"), flush=True)
    print(f"\n{describe_machine()}")  # last: it starts TensorFlow, which a fork must not find running


@dataclass
class Tally:
    """What a campaign saw: kills of both kinds, starts of the command, files at the end, temporary files left."""

    clock: int = 0
    file: int = 0
    starts: int = 0
    files: int = 0
    left_over: int = 0


def campaign(task: Task, folder: Path, kills: int, chance: random.Random) -> Tally:
    """Kills `task` so many times in all; raises AssertionError where something is half, lost, doubled or different."""
    folder.mkdir(parents=True)
    in_fork(lambda: make_models(folder / "models"))
    start = time.monotonic()
    operations = run(task, folder / "whole", folder / "models", "count")
    seconds = time.monotonic() - start
    expected = contents(folder / "whole")
    tally, number = Tally(files=len(expected)), 0
    while tally.clock + tally.file < kills:
        number += 1
        out, known = folder / f"run-{number}", set()
        for _ in range(min(KILLS_A_RUN, kills - tally.clock - tally.file)):
            at_file = tally.file <= tally.clock
            moment = chance.randrange(operations) if at_file else chance.uniform(0, seconds)
            tally.starts += 1
            if run(task, out, folder / "models", "file" if at_file else "clock", moment) is not None:
                break  # it was through before
            tally.file, tally.clock = tally.file + at_file, tally.clock + (not at_file)
            known = kept(out, known)
        tally.starts += 1
        assert run(task, out, folder / "models") is not None
        found = contents(out)
        assert found.keys() == expected.keys(), f"{out.name}: {sorted(found.keys() ^ expected.keys())}"
        different = [name for name in expected if found[name] != expected[name]]
        assert not different, f"{out.name}: not as without a kill: {different}"
        tally.left_over += sum(path.name.startswith(".") for path in out.rglob("*"))
        shutil.rmtree(out)
    return tally


def make_models(folder: Path):
    """Two untrained models, of different sizes."""
    from small_models import tiny_i3d

    folder.mkdir()
    tiny_i3d(folder)
    tiny_i3d(folder, "other", width=0.15)


# A run and its end


def run(task: Task, out: Path, models: Path, how: str = "", moment: float = 0) -> int | None:
    """Runs the command in a fork; how many file operations it made, or None where it was killed.

    Args:
      how: "clock", killed after `moment` seconds; "file", before the file operation of that number; or neither.
    """
    reader, writer = os.pipe()
    arguments = task.arguments(out, models)

    def work():
        count = 0

        def watch(event, args):
            nonlocal count
            if changes_a_file(event, args, out):
                if how == "file" and count == moment:
                    os.kill(os.getpid(), signal.SIGKILL)
                count += 1

        sys.addaudithook(watch)
        task.main(arguments)
        os.write(writer, struct.pack("q", count))

    child = forked(work, out.with_suffix(".log"))
    os.close(writer)
    if how == "clock":
        deadline = time.monotonic() + moment
        while time.monotonic() < deadline and not ended(child):
            time.sleep(0.002)
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    with os.fdopen(reader, "rb") as pipe:
        count = pipe.read()
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL and how, out.with_suffix(".log").read_text()[-2000:]
        return None
    assert os.WEXITSTATUS(status) == 0, out.with_suffix(".log").read_text()[-2000:]
    return struct.unpack("q", count)[0]


def ended(child: int) -> bool:
    """Whether the process is through, without reaping it."""
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def in_fork(work: Callable[[], None]):
    _, status = os.waitpid(forked(work, Path(os.devnull)), 0)
    assert status == 0


def forked(work: Callable[[], None], log: Path) -> int:
    """Starts `work` in a fork with its output in `log`; its process id."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        with open(log, "w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        work()
        status = 0
    except BaseException as error:  # nothing of this process' own must run on in the fork
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(status)


def changes_a_file(event: str, args: tuple, out: Path) -> bool:
    """Whether an audit event is about to change something below `out`."""
    if event == "open":
        path, _, flags = args
        if not isinstance(path, str) or not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return False
    elif event in ("os.rename", "os.remove", "os.rmdir", "os.mkdir"):
        path = args[0]
    else:
        return False
    return os.path.abspath(os.fspath(path)).startswith(str(out))


# What is there


def kept(out: Path, known: set) -> set:
    """Checks every file that is there under its own name, and that none of the records `known` is lost; all records."""
    for file in own_files(out):
        try:
            whole(file)
        except Exception as error:
            raise AssertionError(f"{file}: half a file under its own name ({error})") from error
    records = {
        (table, row["model"], row["id"])
        for table in ("results", "predictions", "measures")
        for file in [out / f"{table}.parquet", *(out / f"{table}.parts").glob("*.parquet")]
        if file.exists() and not file.name.startswith(".")
        for row in pq.read_table(file, columns=["model", "id"]).to_pylist()
    }
    records |= {("shards", file.name) for file in out.rglob("shard-*.tfrecord")}
    epochs = [int(folder.name.split("-")[1]) for folder in out.glob("runs/*/checkpoints/epoch-*")]
    records |= {("epochs", epoch) for epoch in range(1, max(epochs, default=0) + 1)}  # the newest stands for all
    lost = known - records
    assert not lost, f"{out.name}: lost {sorted(map(str, lost))}"
    return records


def own_files(out: Path) -> list[Path]:
    """All files but those with a hidden name, or in a folder with one: those are temporary."""
    files = (path for path in out.rglob("*") if path.is_file())
    return sorted(path for path in files if not any(p.startswith(".") for p in path.relative_to(out).parts))


def whole(file: Path):
    """Reads the file to its end; raises where that cannot be done."""
    if file.suffix in (".json", ".parquet", ".npz", ".keras", ".tfrecord"):
        content(file)
    elif file.suffix in (".gif", ".webp", ".png"):
        with Image.open(file) as image:
            for frame in range(getattr(image, "n_frames", 1)):
                image.seek(frame)
                image.load()
    elif file.suffix == ".html":
        assert file.read_text(encoding="utf-8").rstrip().endswith("</html>"), "no end"
    elif file.suffix == ".mp4":
        assert b"moov" in file.read_bytes(), "no index"
    elif "tfevents" not in file.name:  # a log is written on and on; who reads it stops at half a record
        assert file.stat().st_size, "empty"


def contents(out: Path) -> dict[str, str]:
    """What each file says, by name; logs of training as one: which values each epoch has. Without ``times.json``."""
    files = [file for file in own_files(out) if "tfevents" not in file.name and file.name != explain_job.TIMES]
    found = {str(file.relative_to(out)): content(file) for file in files}
    logs = sorted(out.rglob("*tfevents*"))
    return found | ({"logs": repr(sorted({value for log in logs for value in logged(log)}))} if logs else {})


def content(file: Path) -> str:
    """A digest of what a file says; times of writing, which some formats hold, are left out."""
    if file.suffix == ".parquet":
        rows = pq.read_table(file).to_pylist()
        keys = [(row["model"], row["id"]) for row in rows]
        assert len(keys) == len(set(keys)), "a record is there twice"
        return digest(repr(sorted(map(repr, rows))).encode())
    if file.suffix == ".keras":
        with zipfile.ZipFile(file) as parts:
            assert parts.testzip() is None
            config = re.sub(rb'"shared_object_id": \d+', b"", parts.read("config.json"))  # an address in memory
            with parts.open("model.weights.h5") as weights, h5py.File(weights) as tree:
                arrays = []
                tree.visititems(lambda name, item: arrays.append((name, item)) if hasattr(item, "dtype") else None)
                return digest(config, *(name.encode() + np.asarray(item).tobytes() for name, item in arrays))
    if file.suffix == ".npz":
        with np.load(file, allow_pickle=False) as arrays:
            return digest(*(name.encode() + arrays[name].tobytes() for name in arrays.files))
    if file.suffix == ".json":
        json.loads(file.read_text(encoding="utf-8"))
    if file.name == "variables.index":  # a SavedModel's variables; how its graph lists them is not the same each time
        reader = tf.train.load_checkpoint(str(file.with_suffix("")))
        names = sorted(name for name in reader.get_variable_to_shape_map() if name.startswith("variables/"))
        return digest(*(name.encode() + reader.get_tensor(name).tobytes() for name in names))
    if file.suffix == ".pb" or file.name.startswith("variables.data"):
        return ""
    if file.suffix == ".tfrecord":
        assert_ends_with_a_record(file.read_bytes())
    return digest(file.read_bytes())


def assert_ends_with_a_record(shard: bytes):
    """TFRecord: length (8 bytes) and its checksum (4), the record and its checksum (4)."""
    place = 0
    while place < len(shard):
        place += 16 + struct.unpack_from("<Q", shard, place)[0]
    assert place == len(shard), "ends within a record"


def logged(log: Path) -> list[tuple]:
    """(tag, step, value) of every scalar in a log."""
    events = (Event.FromString(record) for record in RawEventFileLoader(str(log)).Load())
    return [
        (log.parent.name, value.tag, event.step, value.tensor.float_val[0])
        for event in events
        for value in event.summary.value
        if value.tensor.float_val
    ]


def digest(*parts: bytes) -> str:
    return sha256(b"\0".join(parts)).hexdigest()


if __name__ == "__main__":
    command(main)
