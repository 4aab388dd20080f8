"""Do masks find when it happens? Temporal IoU of necessary and of sufficient masks with windows that are known.

    python benchmarks/when.py                                          # the moving shapes, small I3D and C-LSTM
    python benchmarks/when.py --models --root ../shared/data/fight_surv  # fights that move in a window, I3D of fights

The predicted class is explained, by exact search over all windows of frames (`--method` for another one). Clips whose
class survives in the window count, for fights; all clips, for shapes. "better" is the larger of the two values of a
clip; it needs to know the truth, so it is a bound of what a choice between the two could reach. "trusted" leaves out
clips whose class a still picture shows as well, which no mask over time can find. docs/methods.md has the results.
"""

import argparse
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np  # noqa: E402
from machine import describe_machine  # noqa: E402

import tfvid  # noqa: E402
from tfvid.core.errors import command  # noqa: E402
from tfvid.data import Windowed  # noqa: E402
from tfvid.data.choose import choose  # noqa: E402
from tfvid.experiments.survival import surviving  # noqa: E402
from tfvid.metrics.localization import random_window, temporal_iou  # noqa: E402
from tfvid.metrics.statistics import describe  # noqa: E402

FRAMES, SIZE = 16, (64, 64)


def main(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--models", nargs="*", default=["shapes_i3d", "shapes_conv_lstm"], help="of shapes (%(default)s)"
    )
    parser.add_argument("--clips", type=int, default=70, help="of each data set (%(default)s)")
    parser.add_argument("--root", help="the folder of fight_surv; without it, shapes only")
    parser.add_argument("--method", default="search", help="of the masks (%(default)s)")
    args = parser.parse_args(argv)
    print(describe_machine(), end="\n\n")
    print(
        "| model | clips | n | necessary | sufficient | better | random window | frames: true, necessary, sufficient |"
    )
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for name in args.models:
        measure(name, *shapes(args.clips), args.method)
    if args.root:
        model = tfvid.load_model(ROOT / "saved_models" / "fights_i3d")
        measure("fights_i3d", *windowed_fights(model, args.root, args.clips), args.method)


def measure(name: str, clips: np.ndarray, events: np.ndarray, method: str):
    """Prints the rows of one model: all clips, and those whose masks are trusted."""
    model = tfvid.load_model(ROOT / "saved_models" / name)
    result = tfvid.TemporalMask(model, method=method, objective="both")(clips)
    masks = result.mask, result.sufficient.mask
    necessary, sufficient = (temporal_iou(mask, events) for mask in masks)
    random = np.mean([temporal_iou(random_window(masks[1], seed), events) for seed in range(50)], axis=0)
    columns = [necessary, sufficient, np.maximum(necessary, sufficient), random]
    lengths = [(events[:, 1] - events[:, 0]), *(np.sum(mask > 0.5, axis=1) for mask in masks)]
    for kind, rows in (("all", np.ones(len(clips), bool)), ("trusted", result.is_trusted)):
        cells = " | ".join(interval(column[rows]) for column in columns)
        frames = ", ".join(f"{length[rows].mean():.1f}" for length in lengths)
        print(f"| {name} | {kind} | {rows.sum()} | {cells} | {frames} |")
    reached = f"{result.sufficient.reached.sum()} of {len(clips)}"
    passes = f"{result.forward_passes.mean():.0f} and {result.sufficient.forward_passes.mean():.0f}"
    print(
        f"{name}: 0.9 of the score kept in {reached} clips; forward passes {passes} a clip", file=sys.stderr, flush=True
    )


def interval(values: np.ndarray) -> str:
    found = describe(values)
    return f"{found.mean:.2f} [{found.low:.2f}, {found.high:.2f}]"


def shapes(count: int) -> tuple[np.ndarray, np.ndarray]:
    """The first moving shapes, all classes in turn: clips and events."""
    batch = next(iter(tfvid.load_dataset("shapes", "validation", size=SIZE, batch_size=count, limit=count)))
    return batch["clip"].numpy(), batch["event"].numpy()


def windowed_fights(model, root: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Fights of unseen sources, frozen outside a window, whose class survives: clips and windows."""
    dataset = Windowed(root, dataset="fight_surv")
    samples = surviving(model, dataset, choose(dataset, "validation", None, count), FRAMES, SIZE)
    clips = [dataset.read(sample, FRAMES, SIZE) for sample in samples]
    return np.stack([clip.frames for clip in clips]) / np.float32(255), np.stack([clip.event for clip in clips])


if __name__ == "__main__":
    command(main)
