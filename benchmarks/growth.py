"""How the cost of a mask grows: with the clip's length, its size, and the clips at a time.

    python benchmarks/growth.py                            # small models, half a minute a row
    python benchmarks/growth.py --width 1 --depth 9        # I3D at the paper's width: minutes a row
    python benchmarks/growth.py --plot docs/images/growth.png

Seconds a clip of each method of `tfvid.TemporalMask`, on random clips and weights, the shortest of `--runs` runs; all
from 16 frames of 112x112, two at a time, in one direction each. The gradient's 300 steps are `--steps` steps, timed.
"""

import argparse
import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402
from machine import describe_machine  # noqa: E402

import tfvid  # noqa: E402
from tfvid.core.errors import command  # noqa: E402
from tfvid.core.files import replacing  # noqa: E402

BASE = {"frames": 16, "size": 112, "batch": 2}
AXES = {"frames": (8, 16, 32, 64), "size": (56, 112, 224), "batch": (1, 2, 4, 8, 16)}
METHODS = ("gradient", "search", "search+gradient")


def main(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=float, default=0.25, help="of I3D's layers (%(default)s)")
    parser.add_argument("--depth", type=int, default=2, help="I3D's Inception modules (%(default)s)")
    parser.add_argument("--steps", type=int, default=10, help="gradient steps timed (%(default)s)")
    parser.add_argument("--runs", type=int, default=2, help="(%(default)s)")
    parser.add_argument("--axes", nargs="+", choices=AXES, default=list(AXES))
    parser.add_argument("--plot", type=Path, help="PNG file to draw")
    args = parser.parse_args(argv)
    print(describe_machine(), "\n\nseconds a clip", sep="")
    row = "{:12} {:>6} {:>6} {:>6} ".format
    print(row("model", *BASE), *(f"{method:>16}" for method in METHODS))
    curves, known = {}, {}
    for model in ("i3d", "conv_lstm"):
        for axis in args.axes:
            for value in AXES[axis]:
                case = BASE | {axis: value}
                key = (model, *case.values())  # the case that all axes share is measured once
                known[key] = seconds = known.get(key) or measure(model, args, **case)
                curves.setdefault((model, axis), []).append((value, seconds))
                print(row(model, *case.values()), *(f"{seconds[m]:16.2f}" for m in METHODS), flush=True)
    if args.plot:
        draw(curves, args.plot)


def measure(name: str, args, frames: int, size: int, batch: int) -> dict[str, float]:
    keras.utils.set_random_seed(0)
    if name == "i3d":
        model = tfvid.I3D(10, frames, (size, size), width=args.width, depth=args.depth)
    else:
        model = tfvid.ConvLSTM(10, frames, (size, size), filters=max(int(32 * args.width), 1), blocks=2)
    clips = tf.random.stateless_uniform((batch, frames, size, size, 3), (0, 0))
    seconds = {}
    for method in METHODS:
        options = {"iterations": args.steps, "init": "full"} if method == "gradient" else {"method": method}
        explain = tfvid.TemporalMask(model, batch_size=batch, **options)
        took = fastest(lambda: explain(clips), args.runs)  # noqa: B023, called at once
        if method == "gradient":
            explain.iterations = 0
            start = fastest(lambda: explain(clips), args.runs)  # noqa: B023
            took = start + (took - start) * 300 / args.steps
        seconds[method] = took / batch
    return seconds


def fastest(work, runs: int) -> float:
    work()  # compiles
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def draw(curves: dict, file: Path):
    """One panel for each direction, a line for each model and method."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    axes_drawn = list(dict.fromkeys(axis for _, axis in curves))
    figure = Figure(figsize=(4 * len(axes_drawn), 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(axes_drawn), sharey=True, squeeze=False)[0]
    titles = {"frames": "frames a clip", "size": "height and width, pixels", "batch": "clips at a time"}
    for panel, axis in zip(panels, axes_drawn, strict=True):
        for (model, direction), points in curves.items():
            for method, colour in zip(METHODS, ("#4c72b0", "#dd8452", "#55a868"), strict=True):
                if direction == axis:
                    values = [value for value, _ in points]
                    seconds = [taken[method] for _, taken in points]
                    style = "-" if model == "i3d" else "--"
                    label = f"{'I3D' if model == 'i3d' else 'C-LSTM'}, {method}"
                    panel.loglog(values, seconds, style, marker="o", color=colour, label=label)
        panel.set_xlabel(titles[axis])
        panel.set_xticks(AXES[axis], [str(value) for value in AXES[axis]])
        panel.minorticks_off()
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("seconds a clip")
    panels[0].legend(fontsize=7, handlelength=4)  # long enough for the dashes to show
    with replacing(file) as temporary:
        figure.savefig(temporary, dpi=120, format="png")


if __name__ == "__main__":
    command(main)
