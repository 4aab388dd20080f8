"""Memory and time of RISE itself: many masks of a large clip, and a model that costs next to nothing.

    python benchmarks/rise_memory.py                       # 2000 masks of 16 frames of 224x224, a minute or two
    python benchmarks/rise_memory.py --masks 100           # the same memory

The model is the mean of the pixels, in NumPy. Memory is the process's highest, less what it was after a small clip.
"""

import argparse
import os
import resource
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np  # noqa: E402
from machine import describe_machine  # noqa: E402

from tfvid.core.errors import command  # noqa: E402
from tfvid.explain.pixels.rise import RISE  # noqa: E402


def main(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--masks", type=int, default=2000, help="(%(default)s)")
    parser.add_argument("--frames", type=int, default=16, help="(%(default)s)")
    parser.add_argument("--size", type=int, default=224, help="of the frames' sides (%(default)s)")
    parser.add_argument("--batch-size", type=int, default=8, help="masked clips at a time (%(default)s)")
    args = parser.parse_args(argv)
    print(describe_machine(), end="\n\n")

    clip = np.random.default_rng(0).random((1, args.frames, args.size, args.size, 3), np.float32)
    explain = RISE(mean_of_pixels, masks=args.masks, output="logits", batch_size=args.batch_size)
    RISE(mean_of_pixels, masks=1, output="logits")(clip[:, :, :8, :8])
    before, start = peak_gib(), time.perf_counter()
    explain(clip)
    seconds, above = time.perf_counter() - start, peak_gib() - before
    print(f"{args.masks} masks, {args.batch_size} at a time: {above:.2f} GiB above {before:.2f} GiB, {seconds:.0f} s")


def mean_of_pixels(clips: np.ndarray) -> np.ndarray:
    """Two logits."""
    mean = clips.mean(axis=(1, 2, 3, 4))
    return np.stack([mean, -mean], axis=1)


def peak_gib() -> float:
    """The most memory this process has held; Linux counts it in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    command(main)
