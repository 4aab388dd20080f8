"""``make demo``, ``tfvid-demo``: the whole path in a few minutes, on clips that know when and where their event is.

draw clips -> train a small I3D and a small C-LSTM -> measure them forwards and backwards -> explain held-out
clips with both -> a page of films and numbers.
"""

import argparse
import time
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path

from tfvid.cli import evaluate, explain, prepare
from tfvid.cli.limit import add_limit
from tfvid.cli.pace import about, pace
from tfvid.cli.results_folder import check_folder
from tfvid.cli.tensorflow_log import load_tensorflow
from tfvid.config import load
from tfvid.core.stopping import stoppable

PACKAGE = Path(__file__).resolve().parents[1]
# Installed, the package has them inside; in a checkout they stand beside it.
CONFIGS = next(folder / "configs" for folder in (PACKAGE, PACKAGE.parent) if (folder / "configs").is_dir())
IS_CHECKOUT = CONFIGS.parent != PACKAGE
EXPLAIN = ".venv/bin/python scripts/explain.py" if IS_CHECKOUT else "tfvid-explain"
TENSORBOARD = ".venv/bin/tensorboard" if IS_CHECKOUT else "tensorboard"
MODELS = explain.SHIPPED
# Besides the configurations: what saves time here. Models this small train no faster in bfloat16, and the I3D is within
# 0.01 of its accuracy after two epochs of small batches.
QUICKER = {
    "shapes_i3d": ["train.mixed_precision=false", "train.epochs=2", "data.batch_size=8", "model.options.dropout=0.0"],
    "shapes_conv_lstm": ["train.mixed_precision=false"],
}
CLIPS = 28  # explained, unless --limit says otherwise
# Of each part with the configurations as they are, on the machine that `tfvid.cli.pace` refers to.
SECONDS = {"draw": 33, "train": 300, "measure": 23, "explain": 76}


@stoppable()
def main(argv: list[str]) -> None:
    """Runs every step; those that an earlier, interrupted demo finished are not done again."""
    arguments = _parser().parse_args(argv)
    check_folder(arguments.out)
    out, overrides = arguments.out, arguments.overrides
    configs = {name: CONFIGS / f"{name}.yaml" for name in MODELS}
    shards, models = out / "shards", {name: out / "saved_models" / name for name in MODELS}
    drawn = load(configs[MODELS[0]], overrides)
    load_tensorflow()
    step = Steps(
        {} if overrides or out.exists() else SECONDS | {"explain": SECONDS["explain"] * arguments.limit / CLIPS}
    )
    stored = [*overrides, f"data.records={shards}"]

    with step("1 of 4: draw the moving shapes", "draw"):
        options = [word for option in drawn.data.options.items() for word in ("--option", "{}={}".format(*option))]
        size = [str(side) for side in drawn.data.size]
        prepare.main(
            ["--config", str(configs[MODELS[0]]), "--out", str(shards), "--size", *size]
            + ["--num-frames", str(drawn.data.num_frames), "--quality", "95", *options]
        )
    with step("2 of 4: train a small I3D and a small C-LSTM", "train"):
        from tfvid.training import train

        for name, config in configs.items():
            train(load(config, [*QUICKER[name], *stored]), out, out / "saved_models")
    with step("3 of 4: measure them, forwards and backwards", "measure"):
        for name, model in models.items():
            folder = str(out / name / "evaluation")
            evaluate.main(["--model", str(model), "--config", str(configs[name]), "--out", folder, *stored])
    with step("4 of 4: explain held-out clips with both", "explain"):
        given = [word for model in models.values() for word in ("--model", str(model))]
        explain.main(
            [*given, "--config", str(configs[MODELS[0]]), "--limit", str(arguments.limit), "--out", str(out)] + stored
        )
    print(
        f"\nOpen {out / 'index.html'} in a browser: what each model looked at, and when.\n"
        f"Then explain a video of your own:  {EXPLAIN} --model {models[MODELS[0]]} --video any.mp4\n"
        f"and see when in training they began to look at the event:  {TENSORBOARD} --logdir {out}"
    )


class Steps:
    """Says what happens now, how long it will take, and how long it took.

    Args:
      seconds: of each part on the machine whose `pace` is 1; none for parts that are not estimated.
    """

    def __init__(self, seconds: Mapping[str, float]):
        self.pace = pace() if seconds else 1.0
        self.seconds = seconds

    @contextmanager
    def __call__(self, title: str, part: str):
        """Prints `title` and an estimate; at the end the seconds."""
        estimate = f", {about(self.pace * self.seconds[part])}" if part in self.seconds else ""
        print(f"\n== {title}{estimate}", flush=True)
        begun = time.monotonic()
        yield
        print(f"   ({time.monotonic() - begun:.0f} s)", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tfvid-demo", description="Train, measure and explain on the moving shapes.")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/demo"), help="folder for the results (default: %(default)s)"
    )
    add_limit(parser, CLIPS)
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="key=value",
        help="settings of both models' configurations to change, e.g. train.epochs=2",
    )
    return parser
