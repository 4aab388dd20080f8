"""The options of ``tfvid explain``."""

import argparse
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

from tfvid import config as configuration
from tfvid.cli.engine_options import add_engine_options
from tfvid.cli.limit import add_limit, at_least, positive
from tfvid.cli.model_options import add_model_options
from tfvid.config import RunConfig
from tfvid.core.errors import ConfigError
from tfvid.experiments.clip_explainers import GRAD_CAM, TARGETS
from tfvid.explain.explainers import EXPLAINERS
from tfvid.report.media import FORMATS
from tfvid.report.overlay import COLORMAPS

# The default methods to find masks. The first needs a fraction of the time of the published 300 steps; for masks of the
# frames that suffice, windows are better than masks with values between 0 and 1.
METHOD, METHOD_OF_SUFFICIENT = {"method": "search+gradient"}, {"method": "search"}
MASK = "temporal_mask"


def parse(argv: list[str]) -> tuple[argparse.Namespace, RunConfig]:
    """The arguments, and the configuration that they describe.

    Raises:
      ConfigError: options that exclude one another, or an invalid setting.
    """
    overrides = [argument for argument in argv if re.fullmatch(r"[A-Za-z_]\w*(\.\w+)+=.*", argument, re.DOTALL)]
    arguments = _parser().parse_args([argument for argument in argv if argument not in overrides])
    methods, overrides = _methods(arguments.method or [GRAD_CAM], overrides)
    config = _config(arguments, overrides)
    if GRAD_CAM in methods:
        methods[GRAD_CAM] = dict(config.explain.grad_cam)
    arguments.methods = methods
    return arguments, config


def _methods(names: list[str], overrides: list[str]) -> tuple[dict[str, dict], list[str]]:
    """The options of each method of maps, and the overrides of the configuration.

    Args:
      names: of ``--method``.
      overrides: of the command line, e.g. ``"rise.masks=500"``.

    Raises:
      ConfigError: an option of a method that is not asked for.
    """
    # The temporal mask is always learned, so that naming it adds no map.
    methods: dict[str, dict] = {name: {} for name in names if name != MASK} or {GRAD_CAM: {}}
    by_prefix = {name.rpartition(":")[2]: name for name in methods}
    others = []
    for text in overrides:
        prefix, _, rest = text.partition(".")
        name = by_prefix.get(prefix)
        if prefix in ("mask", MASK):
            others.append(f"explain.mask.{rest}")
        elif prefix in EXPLAINERS.parts and name is None:
            raise ConfigError(
                f"option {text}: no method {prefix!r} in this run; add --method {prefix}, or leave it out"
            )
        elif name == GRAD_CAM:
            others.append(f"explain.grad_cam.{rest}")
        elif name is not None:
            methods[name] |= configuration.override({}, [rest])
        else:
            others.append(text)
    return methods, others


def _config(arguments: argparse.Namespace, overrides: list[str]) -> RunConfig:
    if arguments.root and not arguments.dataset:
        raise ConfigError("--root goes with --dataset; with --config it is data.root=FOLDER")
    if arguments.config:
        config = configuration.load(arguments.config, overrides)
    else:
        data = {"dataset": arguments.dataset or "shapes", "root": arguments.root}
        config = configuration.from_dict(configuration.override({"data": data}, overrides), " ".join(overrides))
    return replace(
        config, explain=replace(config.explain, mask=_mask_options(config.explain.mask, arguments.objective))
    )


def _mask_options(mask: dict, objective: str | None) -> dict:
    """Returns the options of the masks, with the objective of the command line and the default method.

    Raises:
      ConfigError: the command line and the configuration name different objectives.
    """
    asked = mask.get("objective", objective)
    if objective not in (None, asked):
        raise ConfigError(f"--objective {objective} and mask.objective={asked} differ; leave one of them out")
    mask = mask if asked is None else mask | {"objective": asked}
    return (METHOD if asked in (None, "necessary") else METHOD_OF_SUFFICIENT) | mask


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tfvid explain",
        description="Explain video classifiers: learned temporal masks (when) and maps (where), as films, numbers "
        "and a page. A run that was stopped continues where it stopped.",
        epilog="Further arguments of the form key=value change a setting, for example mask.iterations=100, "
        "grad_cam.layer=Mixed_5c, rise.masks=500 or data.options.seed=1.",
    )
    parser.add_argument(
        "--model",
        action="append",
        type=Path,
        help="runs/<name>, saved_models/<name>, a .keras or .h5 file, a SavedModel folder, or an .onnx, OpenVINO .xml "
        "or TorchScript .pt file; repeat it to explain with several models "
        "(default: of the small models that come with tfvid, the one of fights for --video, else the two of shapes)",
    )
    _add_clip_options(parser)
    parser.add_argument(
        "--target", choices=TARGETS, default="predicted", help="which class is explained (default: %(default)s)"
    )
    parser.add_argument(
        "--objective",
        choices=("necessary", "sufficient", "both"),
        help="which frames the masks show: those that the class needs, those that suffice when all else stands still, "
        "or both, at about twice the cost (default: necessary)",
    )
    parser.add_argument(
        "--method",
        metavar="NAME",
        action="append",
        help="a method of the maps, e.g. rise, layer_cam, occlusion or my_file.py:Name; repeat it to compare methods "
        "on the page. The temporal mask is always learned. Models without layers, such as SavedModels, need a method "
        "without, e.g. gradient or occlusion (default: grad_cam)",
    )
    parser.add_argument("--maps", dest="method", action="append", help=argparse.SUPPRESS)  # the name in version 0.1
    parser.add_argument(
        "--out",
        default="runs/explain",
        help="folder for the results, or a URI such as s3://bucket/run (default: %(default)s)",
    )
    add_model_options(parser)
    add_engine_options(parser)
    parser.add_argument(
        "--shard-size",
        type=positive,
        default=32,
        help="clips that the engine gives out at a time (default: %(default)s)",
    )
    _add_film_options(parser)
    return parser


def _add_clip_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that choose the clips."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--video", nargs="+", action="extend", metavar="PATH", help="video files, or folders of frames or of videos"
    )
    source.add_argument("--config", help="a run's YAML file, for its data and explain settings")
    source.add_argument("--dataset", help="name of a dataset; its folder is --root")
    parser.add_argument("--root", help="the dataset's folder")
    parser.add_argument("--split", default="validation", help="split of the dataset (default: %(default)s)")
    add_limit(parser)
    parser.add_argument(
        "--classes", nargs="+", action="extend", metavar="CLASS", help="use clips of these classes only"
    )


def _add_film_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the films and pictures."""
    parser.add_argument(
        "--draw",
        type=partial(at_least, 0),
        metavar="N",
        help="make pictures and films, and show on the page, N clips only; the classes take turns (default: all)",
    )
    parser.add_argument(
        "--films",
        nargs="*",
        choices=FORMATS,
        default=FORMATS,
        help="formats of the films (default: all); no films if no format follows",
    )
    parser.add_argument("--fps", type=positive, default=5, help="frames per second of the films (default: %(default)s)")
    parser.add_argument(
        "--colormap", choices=COLORMAPS, default="inferno", help="colours of the maps (default: %(default)s)"
    )
