"""``tfvid train``: trains one model from a configuration."""

import argparse

from tfvid.cli.overrides import add_overrides
from tfvid.cli.results_folder import check_folder
from tfvid.cli.tensorflow_log import load_tensorflow
from tfvid.config import load
from tfvid.core.stopping import stoppable
from tfvid.data.skipped import damage_line


@stoppable()
def main(argv: list[str]) -> None:
    """Parses `argv` and trains. An interrupted run continues where it stopped."""
    arguments = _parser().parse_intermixed_args(argv)
    config = load(arguments.config, arguments.overrides)
    for folder in (arguments.runs, arguments.saved_models):
        check_folder(folder)

    load_tensorflow()

    from tfvid.training import train

    metrics = train(
        config, arguments.runs, arguments.saved_models, overwrite=arguments.overwrite, extend=arguments.extend
    )
    for split, reasons in metrics["skipped"].items():
        for clip, reason in reasons.items():
            print(f"skipped in {split}: {clip}: {reason}")
    for split, damaged in metrics.get("damaged", {}).items():  # missing in runs of earlier versions
        if damaged:
            print(f"{split}: {damage_line(damaged)}")
    for name, score in metrics["class_f1"].items():
        print(f"F1 {score:.3f}  {name}")
    measures = "  ".join(f"{name} {score:.3f}" for name, score in metrics["validation"].items())
    print(f"{config.train.validation_split}, epoch {metrics['kept_epoch']} of {metrics['epochs']}: {measures}")
    print(f"results: {arguments.runs}/{config.name}  model: {arguments.saved_models}/{config.name}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tfvid train", description="Train a video classifier. A run that was stopped continues where it stopped."
    )
    parser.add_argument("--config", required=True, help="a YAML file, e.g. configs/i3d_ssv2.yaml")
    parser.add_argument(
        "--runs", default="runs", help="metrics, logs and checkpoints go to RUNS/<name> (default: %(default)s)"
    )
    parser.add_argument(
        "--saved-models",
        default="saved_models",
        help="the trained model goes to SAVED_MODELS/<name> (default: %(default)s)",
    )
    again = parser.add_mutually_exclusive_group()
    again.add_argument("--overwrite", action="store_true", help="start over, and replace a run or model of this name")
    again.add_argument("--extend", action="store_true", help="continue a finished run to a larger train.epochs")
    add_overrides(parser, "settings of the file to change: data.root=/data/ssv2 train.epochs=2")
    return parser
