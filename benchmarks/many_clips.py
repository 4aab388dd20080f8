"""Explaining many clips on Ray: whether memory stays flat, and whether anything is lost when workers are killed.

    python benchmarks/many_clips.py --root DATA/fight_surv --clips 60 --kills 1
    python benchmarks/many_clips.py --dataset shapes --model saved_models/shapes_i3d --clips 1000 --kills 5

Runs `tfvid explain --engine ray` on this machine. While it works, the resident memory of the driver and of Ray's
workers is read twice a second, with the number of clips that have a record. At even distances a worker that is
explaining is killed (`kill -9`). At the end every clip must have one record, no more and no less, and none may be
skipped. Films and pictures are drawn only with --films. Needs tfvid[ray] and psutil.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from tfvid.core.errors import TfvidError, command  # noqa: E402
from tfvid.results.result_store import read_results  # noqa: E402

EVERY = 0.5  # seconds between two looks
MB = 1 << 20


@dataclass(frozen=True)
class Look:
    """What one look at the run has seen: clips with a record, and resident memory in MB."""

    done: int
    driver: float
    workers: tuple[float, ...]


def main(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="fight_surv", help="(%(default)s)")
    parser.add_argument("--root", help="the data set's folder")
    parser.add_argument("--split", default="train", help="(%(default)s)")
    parser.add_argument("--model", default=str(ROOT / "saved_models" / "fights_i3d"), help="(%(default)s)")
    parser.add_argument("--clips", type=int, default=60, help="(%(default)s)")
    parser.add_argument("--kills", type=int, default=1, help="workers to kill (%(default)s)")
    parser.add_argument("--cpus", type=float, default=1, help="cores of a worker (%(default)s)")
    parser.add_argument("--shard-size", type=int, default=4, help="(%(default)s)")
    parser.add_argument("--films", action="store_true", help="also draw films and pictures")
    args, settings = parser.parse_known_args(argv)
    with tempfile.TemporaryDirectory() as out:
        looks, killed = watched(args, settings, Path(out))
        report(args, looks, killed, Path(out))


def watched(args, settings: list[str], out: Path) -> tuple[list[Look], list[int]]:
    """Runs the command to its end; returns the looks at it, and after how many clips a worker was killed."""
    words = ["--model", args.model, "--dataset", args.dataset, "--split", args.split, "--limit", str(args.clips)]
    words += ["--root", args.root] if args.root else []
    words += ["--engine", "ray", "--cpus", str(args.cpus), "--shard-size", str(args.shard_size), "--out", str(out)]
    words += [] if args.films else ["--films", "--draw", "0"]
    words += ["mask.method=search", "data.workers=1", *settings]  # the cheapest mask
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    looks, killed = [], []
    with open(out / "log.txt", "w") as log:
        run = subprocess.Popen(
            [sys.executable, ROOT / "scripts" / "explain.py", *words], env=environment, stdout=log, stderr=log
        )
        driver = psutil.Process(run.pid)
        while run.poll() is None:
            workers = explaining(driver)
            if (look := seen(driver, workers, out)) is not None:
                looks.append(look)
                due = args.clips * (len(killed) + 1) // (args.kills + 1)
                if len(killed) < args.kills and look.done >= due and workers:
                    workers[0].send_signal(signal.SIGKILL)
                    killed.append(look.done)
            time.sleep(EVERY)
    if run.returncode:
        sys.exit((out / "log.txt").read_text()[-3000:])
    return looks, killed


def explaining(driver: psutil.Process) -> list[psutil.Process]:
    """Ray's workers that run a shard now. Ray's own agents are "ray::...Agent": killing one of them ends the node."""
    found = []
    for process in descendants(driver):
        try:
            title = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if title.startswith("ray::_call"):
            found.append(process)
    return found


def descendants(driver: psutil.Process) -> list[psutil.Process]:
    try:
        return driver.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def seen(driver: psutil.Process, workers: list[psutil.Process], out: Path) -> Look | None:
    try:
        sizes = [process.memory_info().rss / MB for process in (driver, *workers)]
    except psutil.NoSuchProcess:  # one of them has just ended
        return None
    return Look(counted(out), sizes[0], tuple(sizes[1:]))


def counted(out: Path) -> int:
    """The number of records so far. A part may be merged into the file at the moment of the look."""
    try:
        return len(read_results(out, maps=False))
    except (TfvidError, OSError):
        return 0


def report(args, looks: list[Look], killed: list[int], out: Path):
    """Prints memory at the first record, in the middle and at the last; raises if a record is missing or doubled."""
    working = [look for look in looks if look.done and look.workers]
    print(f"{args.clips} clips, shards of {args.shard_size}; workers killed after {killed or 'none'} clips\n")
    print(f"{'':8} {'clips':>6} {'driver, MB':>11} {'workers, MB':>24}")
    for name, look in (("start", working[0]), ("middle", working[len(working) // 2]), ("end", working[-1])):
        print(f"{name:8} {look.done:6} {look.driver:11.0f} {', '.join(f'{size:.0f}' for size in look.workers):>24}")
    most = max(size for look in working for size in look.workers)
    print(f"{'most':8} {'':6} {max(look.driver for look in working):11.0f} {most:24.0f}")
    ids = [result.id for result in read_results(out, maps=False)]
    skipped = (out / "skipped.json").exists()
    print(f"\nrecords {len(ids)}, different {len(set(ids))}, skipped clips: {'some' if skipped else 'none'}")
    if not len(ids) == len(set(ids)) == args.clips or skipped or len(killed) != args.kills:
        sys.exit((out / "log.txt").read_text()[-3000:])


if __name__ == "__main__":
    command(main)
