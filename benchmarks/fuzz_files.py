"""Broken files of every kind that tfvid parses: each is read, or refused in one line that names it.

    python benchmarks/fuzz_files.py                        # 1,000 of each kind, seven minutes on 2 busy cores

A good file of a kind is broken at random: cut off, bytes changed, left out or doubled, hostile words put in (see
tests/broken_files.py); then tfvid reads it as a user would let it. A kind is read in a process of its own, so a reader
in C that crashes is a line of the table and not the end of it. Any other error, a message of several lines or without
the file's name, or more than 10 processor seconds for one file ends the kind: its seed and number make the file again.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from broken_files import broken, refused_or_read  # noqa: E402
from hostile_files import KINDS, SLOW  # noqa: E402

from tfvid.core.errors import command  # noqa: E402


def main(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1000, help="of a kind (%(default)s)")
    parser.add_argument("--slow", type=int, default=30, help="of a kind that takes a process each (%(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--here", action="store_true", help="one kind, in this process")
    args = parser.parse_args(argv)
    if args.here:
        for kind in args.kinds:
            print(run(kind, args.slow if kind in SLOW else args.files, args.seed))
        return
    from machine import describe_machine

    print(describe_machine(), "\n")
    print(f"{'kind':40}{'files':>8}{'read':>8}{'refused':>9}{'slowest':>10}")
    for kind in args.kinds:
        options = ["--here", "--kinds", kind, "--files", str(args.files), "--slow", str(args.slow)]
        here = [sys.executable, __file__, *options, "--seed", str(args.seed)]
        done = subprocess.run(here, capture_output=True, text=True)
        last = (done.stderr.strip().splitlines() or [""])[-1]
        print(done.stdout.strip() or f"{kind:40} ended with {done.returncode}: {last}", flush=True)


def run(kind: str, count: int, seed: int) -> str:
    """Breaks `count` files; returns the kind's line of the table."""
    refused, slowest = 0, 0.0
    with tempfile.TemporaryDirectory() as folder:
        file, read = KINDS[kind](Path(folder))
        for number, data in enumerate(broken(file.read_bytes(), count, seed)):
            file.write_bytes(data)
            start = time.process_time()
            try:
                refused += refused_or_read(read, file) is not None
            except Exception as error:
                raise AssertionError(f"file {number} of seed {seed}: {type(error).__name__}: {error}") from error
            slowest = max(slowest, time.process_time() - start)
    return f"{kind:40}{count:8}{count - refused:8}{refused:9}{slowest:8.2f} s"


if __name__ == "__main__":
    command(main)
