"""What an engine costs, and what a second worker gains: scripts/explain.py here and as Ray tasks, side by side.

    python benchmarks/scale.py                                   # nine minutes on two cores; needs tfvid[ray]

Each row runs the command twice, on a few clips and on more. The difference tells the seconds a clip, the rest is what
starting takes: TensorFlow and the model, and for Ray its cluster and a model in each worker. No films, so that it is
the engine that is seen.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from machine import describe_machine  # noqa: E402

from tfvid.core.errors import command  # noqa: E402

# (row, threads of the process where it is the local one, arguments)
ROWS = (
    ("here, one thread", 1, ["--engine", "local"]),
    ("Ray, two workers of one thread", 1, ["--engine", "ray", "--cpus", "1"]),
    ("here, two threads", 2, ["--engine", "local"]),
    ("Ray, one worker of two threads", 2, ["--engine", "ray", "--cpus", "2"]),
)


def main(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(ROOT / "saved_models" / "shapes_i3d"), help="(%(default)s)")
    parser.add_argument("--clips", type=int, nargs=2, default=(16, 80), metavar=("FEW", "MORE"))
    parser.add_argument("--shard-size", type=int, default=8, help="(%(default)s)")
    args = parser.parse_args(argv)
    print(describe_machine())
    print(f"clips       {args.clips[0]} and {args.clips[1]}, shards of {args.shard_size}; search+gradient, Grad-CAM\n")
    print(f"{'':32} {'s a clip':>9} {'to start, s':>12}")
    for name, threads, engine in ROWS:
        few, more = (explained(args, count, threads, engine) for count in args.clips)
        each = (more - few) / (args.clips[1] - args.clips[0])
        print(f"{name:32} {each:9.3f} {few - args.clips[0] * each:12.1f}", flush=True)


def explained(args, count: int, threads: int, engine: list[str]) -> float:
    """Seconds of one whole command."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TF_NUM_INTRAOP_THREADS": str(threads)}
    with tempfile.TemporaryDirectory() as out:
        words = ["--model", args.model, "--dataset", "shapes", "--limit", str(count), "--out", out, "--films"]
        words += ["--shard-size", str(args.shard_size), *engine, "mask.method=search+gradient", "data.workers=1"]
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, ROOT / "scripts" / "explain.py", *words], env=environment, capture_output=True, text=True
        )
        if done.returncode:
            sys.exit(done.stderr[-2000:])
        return time.perf_counter() - start


if __name__ == "__main__":
    command(main)
