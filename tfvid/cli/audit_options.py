"""The options that ``tfvid audit`` and ``tfvid check`` share: the data, and what is asked and explained."""

import argparse
import re
from functools import partial
from pathlib import Path

from tfvid import config as configuration
from tfvid.cli.limit import add_limit, at_least
from tfvid.cli.model_options import add_model_options
from tfvid.core.errors import ConfigError
from tfvid.data.settings import DataConfig

LISTS = ("clips.csv", "train.csv", "validation.csv", "test.csv")


def add_audit_options(parser: argparse.ArgumentParser, *, data_needed: bool) -> None:
    """Adds the options.

    Args:
      parser: of the command.
      data_needed: whether ``--data`` must be given.
    """
    parser.add_argument(
        "--data",
        required=data_needed,
        help="the clips: the name of a data set, with --root; a folder of class folders, of lists of clips "
        f"({', '.join(LISTS)}) or of fight_surv; or a YAML file with a data section",
    )
    parser.add_argument("--root", help="the folder of the data set that --data names")
    parser.add_argument("--split", default="validation", help="split of the data set (default: %(default)s)")
    add_limit(parser, verb="ask about")
    parser.add_argument(
        "--explain",
        type=partial(at_least, 0),
        metavar="N",
        default=12,
        help="explain N clips, the classes in turn; a clip takes about T (T + 1) passes of the model "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--maps",
        metavar="METHOD",
        help="the method of the maps, e.g. gradient (default: the first of layer_cam, gradient and occlusion that "
        "explains the model)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of everything that is drawn (default: %(default)s)")
    add_model_options(parser)


def split_overrides(argv: list[str]) -> tuple[list[str], list[str]]:
    """Returns the arguments of the form ``data.key=value``, and the others."""
    overrides = [argument for argument in argv if re.fullmatch(r"data(\.\w+)+=.*", argument, re.DOTALL)]
    return overrides, [argument for argument in argv if argument not in overrides]


def data_config(arguments: argparse.Namespace, overrides: list[str]) -> DataConfig:
    """Returns the data that the arguments name.

    Raises:
      ConfigError: a root beside a folder or a file, or a setting that is not valid.
    """
    given = arguments.data
    if given.endswith((".yaml", ".yml")):
        _without_root(arguments, "a YAML file, in which it is data.root")
        return configuration.load(given, overrides).data
    data = {"dataset": given, "root": arguments.root}
    if Path(given).is_dir():
        _without_root(arguments, "a folder")
        data = {"dataset": kind_of_folder(Path(given)), "root": given}
    return configuration.from_dict(configuration.override({"data": data}, overrides), " ".join(overrides) or given).data


def _without_root(arguments: argparse.Namespace, what: str) -> None:
    if arguments.root:
        raise ConfigError(f"--root goes with the name of a data set; --data is {what}")


def kind_of_folder(folder: Path) -> str:
    """Returns the name of the data set that reads a folder: "fight_surv", "csv" or "folder"."""
    if (folder / "sources.csv").is_file():
        return "fight_surv"
    return "csv" if any((folder / name).is_file() for name in LISTS) else "folder"


def audit_arguments(arguments: argparse.Namespace) -> dict:
    """Returns the arguments of `tfvid.audit` besides the model, the data and the folder."""
    return {name: getattr(arguments, name) for name in ("split", "limit", "explain", "maps", "seed")}
