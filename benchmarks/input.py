"""Whether training waits for its input: how fast batches come alone, and how long a training step waits for them.

    python benchmarks/input.py              # about 3 minutes; needs PyAV, which writes the videos: pip install av
    python benchmarks/input.py --steps 5

Three sources: shapes drawn as they are needed, videos (VP9, 48 frames of 426x240, as Something-something v2's), and
shards made of those. First the input alone at the paper's size, 16x224x224: clips a second, its processor time a
clip (this process and its decode processes), and how many cores that kept busy. Then the two small models of
configs/ in training: a step on one batch that is there already, a step with its input, and the part of it that
passes in ``next(iterator)``. All with training's order and augmentation; medians over the steps.
"""

import argparse
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras  # noqa: E402
import numpy as np  # noqa: E402
from clips import Files, written_clips  # noqa: E402
from machine import describe_machine  # noqa: E402

from tfvid.config import load  # noqa: E402
from tfvid.core.errors import command  # noqa: E402
from tfvid.data.decode.worker import one_a_core  # noqa: E402
from tfvid.data.pipeline import as_supervised, load_dataset  # noqa: E402
from tfvid.data.records import write_records  # noqa: E402
from tfvid.data.settings import AugmentConfig, DataConfig  # noqa: E402
from tfvid.models.build import build_model  # noqa: E402

MODELS = ("shapes_i3d", "shapes_conv_lstm")
WARM_UP = 3  # steps: the first compiles, and batches made meanwhile are used up


def main(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=15, help="timed steps (%(default)s)")
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument(
        "--videos", type=Path, default=ROOT.parent / "shared" / "data", help="folder with pictures for the videos"
    )
    args = parser.parse_args(argv)

    print(describe_machine())
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        files = next(files for title, files in written_clips(folder, args.videos, 2) if title.startswith("VP9"))
        print_alone(files, folder / "shards-224", args.steps)
        print_training(files, folder / "shards-64", args)


def print_alone(files: list[Path], shards: Path, steps: int):
    config = DataConfig(num_frames=16, size=(224, 224), batch_size=8, augment=AugmentConfig(min_scale=0.8))
    print(f"\ninput alone, 16x224x224, batches of 8, crops; {one_a_core()} cores")
    row = "  {:8}{:>16}{:>18}{:>12}".format
    print(row("from", "clips a second", "CPU ms a clip", "cores busy"))
    for name, source, settings in sources(config, files, shards, steps):
        batches = iter(load_dataset(source, "train", training=True, **settings))
        for _ in range(WARM_UP):
            next(batches)
        begun, begun_cpu = time.perf_counter(), _cpu_seconds()
        for _ in range(steps):
            next(batches)
        seconds, cpu = time.perf_counter() - begun, _cpu_seconds() - begun_cpu
        clips = steps * config.batch_size
        print(row(name, f"{clips / seconds:.1f}", f"{1000 * cpu / clips:.1f}", f"{cpu / seconds:.2f}"), flush=True)


def print_training(files: list[Path], shards: Path, args):
    print("\ntraining, milliseconds a step of 16 clips of 16x64x64")
    row = "  {:18}{:8}{:>15}{:>12}{:>12}{:>16}{:>12}".format
    print(row("model", "from", "without input", "a step", "it waits", "share waited", "clips/s"))
    for name in args.models:
        run = load(ROOT / "configs" / f"{name}.yaml")
        model = build_model(run.model.name, 174, run.data.num_frames, run.data.size, run.model.options)
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
        config = replace(run.data, options={}, augment=AugmentConfig(min_scale=0.8))
        for source_name, source, settings in sources(config, files, shards, args.steps):
            data = as_supervised(load_dataset(source, "train", training=True, **settings))
            step, wait = time_steps(model, iter(data.take(WARM_UP + args.steps)))
            alone, _ = time_steps(model, iter([next(iter(data))] * (WARM_UP + args.steps)))
            cells = [f"{1000 * np.median(seconds):.1f}" for seconds in (alone, step, wait)]
            share, rate = 100 * wait.sum() / step.sum(), config.batch_size * len(step) / step.sum()
            print(row(name, source_name, *cells, f"{share:.1f} %", f"{rate:.1f}"), flush=True)


def time_steps(model, batches) -> tuple[np.ndarray, np.ndarray]:
    """Seconds of each step, and of those the seconds in `next`; the first steps are left out."""
    steps, waits = [], []
    while True:
        begun = time.perf_counter()
        batch = next(batches, None)
        if batch is None:
            return np.array(steps[WARM_UP:]), np.array(waits[WARM_UP:])
        waits.append(time.perf_counter() - begun)
        model.train_on_batch(*batch)
        steps.append(time.perf_counter() - begun)


def sources(config: DataConfig, files: list[Path], shards: Path, steps: int):
    """(name, source, settings) for `load_dataset`, each with clips for more than `steps` steps."""
    count = (2 * WARM_UP + steps) * config.batch_size
    settings = {name: getattr(config, name) for name in ("num_frames", "size", "batch_size", "augment")}
    yield "shapes", "shapes", settings | {"options": {"train": count, "validation": 8}}
    videos = Files([str(files[i % len(files)]) for i in range(count)])
    yield "videos", videos, settings
    if not shards.exists():
        write_records(videos, "train", shards, num_frames=config.num_frames, size=config.size, workers=one_a_core())
    yield "shards", videos, settings | {"records": str(shards)}


def _cpu_seconds() -> float:
    """Processor time so far of this process and of its children that run."""
    ticks = 0
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if os.getpid() in (int(entry.parent.name), int(fields[1])):
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    command(main)
