"""``tfvid demo``: from drawn clips to a page of explanations in a few minutes.

draw clips -> train a small I3D and a small C-LSTM -> measure them forwards and backwards -> explain held-out
clips with both -> a page of films and numbers. The drawn clips have a known event: when and where it happens.
"""

import argparse
import time
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tfvid.cli import evaluate, explain, prepare
from tfvid.cli.limit import add_limit
from tfvid.cli.overrides import add_overrides
from tfvid.cli.results_folder import check_folder
from tfvid.cli.tensorflow_log import load_tensorflow
from tfvid.cli.time_estimate import about, pace
from tfvid.config import load
from tfvid.core.stopping import stoppable
from tfvid.data.settings import DataConfig

PACKAGE = Path(__file__).resolve().parents[1]
# In an installed package the configurations lie inside it, in a checkout beside it.
CONFIGS = next(folder / "configs" for folder in (PACKAGE, PACKAGE.parent) if (folder / "configs").is_dir())
IS_CHECKOUT = CONFIGS.parent != PACKAGE
EXPLAIN = ".venv/bin/python scripts/explain.py" if IS_CHECKOUT else "tfvid explain"
TENSORBOARD = ".venv/bin/tensorboard" if IS_CHECKOUT else "tensorboard"
MODELS = explain.SHIPPED
# Settings of both models that save time: small frames take 40 % less, and cost 0.02 of the accuracy.
SMALLER = ("data.size=[48,48]", "explain.log_clips=2")
# Settings beside the configurations that save time. Models of this size train no faster in bfloat16. The I3D is within
# 0.01 of its final accuracy after two epochs with small batches.
QUICKER = {
    "shapes_i3d": ["train.mixed_precision=false", "train.epochs=2", "data.batch_size=8", "model.options.dropout=0.0"],
    "shapes_conv_lstm": ["train.mixed_precision=false"],
}
CLIPS = 28  # to explain, without --limit
# Of each part with unchanged configurations, on the reference machine of `tfvid.cli.time_estimate`.
SECONDS = {"draw": 25, "train": 190, "measure": 15, "explain": 50}


@stoppable()
def main(argv: list[str]) -> None:
    """Runs every step. Shards, models and explanations of an earlier, interrupted demo are kept."""
    arguments = _parser().parse_args(argv)
    check_folder(arguments.out)
    demo = Demo(arguments.out, arguments.limit, (*SMALLER, *arguments.overrides))
    drawn = load(CONFIGS / f"{MODELS[0]}.yaml", demo.overrides)  # raises on an invalid setting
    load_tensorflow()
    is_estimated = not (arguments.overrides or demo.out.exists())
    step = Steps(SECONDS | {"explain": SECONDS["explain"] * demo.limit / CLIPS} if is_estimated else {})

    with step("1 of 4: draw the moving shapes", "draw"):
        demo.draw(drawn.data)
    with step("2 of 4: train a small I3D and a small C-LSTM", "train"):
        demo.train()
    with step("3 of 4: measure them, forwards and backwards", "measure"):
        demo.measure()
    with step("4 of 4: explain held-out clips with both", "explain"):
        demo.explain()
    print(
        f"\nOpen {demo.out / 'index.html'} in a browser: what each model looked at, and when.\n"
        f"Then explain a video of your own:  {EXPLAIN} --model {demo.models[MODELS[0]]} --video any.mp4\n"
        f"and see when in training they began to look at the event:  {TENSORBOARD} --logdir {demo.out}"
    )


@dataclass(frozen=True)
class Demo:
    """The steps of the demo.

    Attributes:
      out: the folder for the results.
      limit: the number of clips to explain.
      overrides: settings of both models' configurations, ``key=value``.
    """

    out: Path
    limit: int
    overrides: tuple[str, ...]

    @property
    def shards(self) -> Path:
        """The folder of the drawn clips."""
        return self.out / "shards"

    @property
    def models(self) -> dict[str, Path]:
        """The folder of each trained model, by name."""
        return {name: self.out / "saved_models" / name for name in MODELS}

    @property
    def settings(self) -> list[str]:
        """The overrides of every step that reads the drawn clips."""
        return [*self.overrides, f"data.records={self.shards}"]

    def draw(self, data: DataConfig) -> None:
        """Draws the clips of both splits with the settings `data`."""
        options = [word for name, value in data.options.items() for word in ("--option", f"{name}={value}")]
        size = [str(side) for side in data.size]
        prepare.main(
            ["--config", str(CONFIGS / f"{MODELS[0]}.yaml"), "--out", str(self.shards), "--size", *size]
            + ["--num-frames", str(data.num_frames), "--quality", "95", *options]
        )

    def train(self) -> None:
        """Trains both models."""
        from tfvid.training import train

        for name in MODELS:
            config = load(CONFIGS / f"{name}.yaml", [*QUICKER[name], *self.settings])
            train(config, self.out, self.out / "saved_models")

    def measure(self) -> None:
        """Evaluates both models."""
        for name, model in self.models.items():
            folder, config = str(self.out / name / "evaluation"), str(CONFIGS / f"{name}.yaml")
            evaluate.main(["--model", str(model), "--config", config, "--out", folder, *self.settings])

    def explain(self) -> None:
        """Explains held-out clips with both models, and writes the page."""
        models = [word for model in self.models.values() for word in ("--model", str(model))]
        config = ["--config", str(CONFIGS / f"{MODELS[0]}.yaml")]
        explain.main([*models, *config, "--limit", str(self.limit), "--out", str(self.out), *self.settings])


class Steps:
    """Prints each step with an estimate of its time, and then the time that it took.

    Args:
      seconds: of each part on the reference machine, whose `pace` is 1; a part that is not there has no estimate.
    """

    def __init__(self, seconds: Mapping[str, float]):
        self.pace = pace() if seconds else 1.0
        self.seconds = seconds

    @contextmanager
    def __call__(self, title: str, part: str):
        """Prints `title` and an estimate, and at the end the seconds."""
        estimate = f", {about(self.pace * self.seconds[part])}" if part in self.seconds else ""
        print(f"\n== {title}{estimate}", flush=True)
        begun = time.monotonic()
        yield
        print(f"   ({time.monotonic() - begun:.0f} s)", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tfvid demo", description="Train, measure and explain on the moving shapes.")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/demo"), help="folder for the results (default: %(default)s)"
    )
    add_limit(parser, CLIPS)
    add_overrides(parser, "settings of both models' configurations to change, e.g. train.epochs=2")
    return parser
