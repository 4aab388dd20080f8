"""How fast: forward pass, mask iteration, training step, decoding, beside the numbers to beat.

    python benchmarks/speed.py                                # the paper's sizes, several minutes
    python benchmarks/speed.py --size 64 --frames 8 --steps 5 # a quick look

"Keras": the model called, or trained, as it is; the others as tfvid does it, with `tfvid.network.fast_layers`.
Seconds are for one clip (a batch's time over its clips), the fastest of several runs after a warm-up: others on the
machine only ever add to the time. One mask iteration is a forward pass, a backward pass to the mask, and Adam: the
time of a whole `TemporalMask` call less that of one without iterations, over their number.
"""

import argparse
import contextlib
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402
from machine import describe_machine  # noqa: E402

import tfvid  # noqa: E402
from tfvid.core.errors import command  # noqa: E402
from tfvid.explain.masks.temporal_mask import TemporalMask  # noqa: E402
from tfvid.models import MODELS  # noqa: E402
from tfvid.network.fast_layers import fast_layers  # noqa: E402

# Seconds a clip at 16x224x224, measured elsewhere: a plain TensorFlow implementation on a machine of 2 cores with AMX.
REFERENCE = {
    ("i3d", "mask iteration"): (1.2, 0.41),
    ("i3d", "training step"): (1.6, 0.85),
    ("conv_lstm", "mask iteration"): (0.44, 0.23),
    ("conv_lstm", "training step"): (0.57, 0.31),
}
# The authors' PyTorch code on the same machine, fp32.
PUBLISHED = {("i3d", "mask iteration"): "2.7-2.9", ("conv_lstm", "mask iteration"): "0.9-1.2"}
PRECISIONS = {"fp32": "float32", "bf16": "mixed_bfloat16"}


def main(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--precisions", nargs="+", default=list(PRECISIONS), choices=list(PRECISIONS))
    parser.add_argument("--size", type=int, default=224, help="height and width, pixels")
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--batch", type=int, default=1, help="clips at a time")
    parser.add_argument("--steps", type=int, default=5, help="timed runs, and mask iterations a run")
    parser.add_argument(
        "--videos", type=Path, default=ROOT.parent / "shared" / "data", help="folder of videos to decode"
    )
    args = parser.parse_args(argv)

    print(describe_machine())
    print(f"\n{args.frames}x{args.size}x{args.size}, batches of {args.batch}, seconds a clip\n")
    print_models(args)
    print_decoding(args)


def print_models(args):
    comparable = (args.frames, args.size) == (16, 224)
    row = "{:10} {:20} {:>8} {:>8}".format
    other = "   {:>8} {:>8} {:>10}".format if comparable else lambda *cells: ""
    print(row("", "", "here", "") + other("2 cores", "with AMX", "published"))
    print(row("model", "", "fp32", "bf16") + other("fp32", "bf16", "fp32"))
    for model in args.models:
        seconds = {precision: time_model(model, PRECISIONS[precision], args) for precision in args.precisions}
        for work in ("forward, Keras", "forward", "mask iteration", "training step, Keras", "training step"):
            here = [f"{seconds[p][work]:.3f}" if p in seconds else "" for p in PRECISIONS]
            there = [f"{value:.2f}" for value in REFERENCE.get((model, work), ())] or ["", ""]
            print(row(model, work, *here) + other(*there, PUBLISHED.get((model, work), "")), flush=True)
    if comparable:
        print(
            "\n2 cores with AMX: plain TensorFlow on another machine; published: the authors' PyTorch code on that one"
        )


def time_model(name: str, dtype: str, args) -> dict[str, float]:
    """Seconds a clip of each kind of work, for a model of 174 classes with random weights."""
    keras.utils.set_random_seed(0)
    model = MODELS.find(name)(174, args.frames, (args.size, args.size), dtype=dtype)
    clips = tf.random.stateless_uniform((args.batch, args.frames, args.size, args.size, 3), (0, 0))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    labels = tf.zeros(args.batch, tf.int32)
    result = {"mask iteration": time_mask_iteration(model, clips, args.steps)}
    for kind, layers in ((", Keras", contextlib.nullcontext), ("", fast_layers)):
        with layers(model):
            forward = tf.function(partial(model, training=False), autograph=False)
            result[f"forward{kind}"] = fastest_seconds(lambda: forward(clips).numpy(), args.steps)  # noqa: B023
            model.compile("adam", loss, jit_compile=False)
            result[f"training step{kind}"] = fastest_seconds(lambda: model.train_on_batch(clips, labels), args.steps)
    return {work: seconds / args.batch for work, seconds in result.items()}


def time_mask_iteration(model, clips, steps: int) -> float:
    """Seconds an iteration: a run of `steps` less a run of none."""
    seconds = []
    for iterations in (0, steps):
        explain = TemporalMask(model, init="full", iterations=iterations, batch_size=len(clips))
        seconds.append(fastest_seconds(lambda: explain(clips), 2))  # noqa: B023, called at once
    return (seconds[1] - seconds[0]) / steps


def print_decoding(args):
    files = sorted(f for f in args.videos.rglob("*") if f.suffix in (".webm", ".avi", ".mp4", ".mkv"))
    if not files:
        print(f"\nno videos in {args.videos}: decoding not timed")
        return
    workers = os.cpu_count()

    def decode(file):
        return tfvid.read_clip(file, args.frames, (args.size, args.size))

    decode(files[0])
    print(f"\ndecoding {len(files)} files from {args.videos}, clips a second")
    print(f"  1 thread   {len(files) / fastest_seconds(lambda: [decode(f) for f in files], 3):8.1f}")
    with ThreadPoolExecutor(workers) as pool:
        print(f"  {workers} threads  {len(files) / fastest_seconds(lambda: list(pool.map(decode, files)), 3):8.1f}")


def fastest_seconds(work, times: int) -> float:
    """The shortest time of `work()`, after one run that is not timed."""
    work()
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


if __name__ == "__main__":
    command(main)
