"""``tfvid app``: a page in the browser that explains the videos that are dropped on it."""

import argparse
import os
from functools import partial
from pathlib import Path
from typing import Any

from tfvid.cli.explain import OF_VIDEOS, shipped_models
from tfvid.cli.explain_options import METHOD
from tfvid.cli.limit import at_least, positive
from tfvid.cli.model_options import add_model_options, load_config_of
from tfvid.cli.overrides import add_overrides
from tfvid.cli.tensorflow_log import load_tensorflow
from tfvid.config import override
from tfvid.core.errors import ConfigError, check_choice
from tfvid.core.optional import needed
from tfvid.explain.explainers import EXPLAINERS

LOCAL = ("127.0.0.1", "localhost", "::1")
DEFAULT_METHODS = ("temporal_mask", "grad_cam")
FRAMES, SIZE = 16, (112, 112)  # of a clip for a model that takes any


def main(argv: list[str]) -> None:
    """Parses `argv`, loads the model, and serves the page until Ctrl-C."""
    arguments = _parser().parse_intermixed_args(argv)
    options = method_options(arguments.overrides)
    for method in arguments.method or ():
        EXPLAINERS.find(method)
    model = arguments.model or shipped_models(OF_VIDEOS)[0]

    load_tensorflow()

    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when Gradio is imported: the app sends nothing anywhere
    gradio = needed("gradio", "app")

    from tfvid.cli.app_page import build, launch
    from tfvid.cli.video_answer import VideoExplainer
    from tfvid.models.loaded import load_models

    (loaded,) = load_models([model], FRAMES, SIZE, load_config_of(arguments).load_options())
    with VideoExplainer(loaded, options) as explain:
        page = build(gradio, explain, tuple(arguments.method or DEFAULT_METHODS))
        if arguments.host not in LOCAL:
            print(
                f"warning: everyone who reaches {arguments.host}:{arguments.port} can use this app; it has no password"
            )
        print(f"open in a browser: http://{arguments.host}:{arguments.port}  (Ctrl-C ends the app)", flush=True)
        launch(page, arguments.host, arguments.port, arguments.max_upload)


def method_options(overrides: list[str]) -> dict[str, dict[str, Any]]:
    """Returns the options of explainers by method, from ``rise.masks=500``.

    Raises:
      ConfigError: an override without a method, or of an unknown method.
    """
    options: dict = override({"temporal_mask": METHOD}, overrides)
    for method, values in options.items():
        check_choice("method", method, EXPLAINERS)
        if not isinstance(values, dict):
            raise ConfigError(f"expected METHOD.OPTION=VALUE, e.g. rise.masks=500, got {method}={values}")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tfvid app",
        description="Serve a page that explains videos: drop a video, choose methods, see where and when the model "
        "looks. Needs Gradio: pip install 'tfvid[app]'.",
    )
    parser.add_argument(
        "--model",
        type=Path,
        help="runs/<name>, saved_models/<name>, a .keras or .h5 file (default: the small model of fights that comes "
        "with tfvid)",
    )
    parser.add_argument(
        "--method",
        action="append",
        metavar="METHOD",
        help=f"a method that is chosen at first; repeat it for several (default: {', '.join(DEFAULT_METHODS)})",
    )
    parser.add_argument(
        "--host",
        default=LOCAL[0],
        help="the address to serve on; others than the default let other machines use the app (default: %(default)s)",
    )
    parser.add_argument("--port", type=partial(at_least, 0), default=7860, help="(default: %(default)s)")
    parser.add_argument(
        "--max-upload",
        type=positive,
        default=100,
        metavar="MB",
        help="largest video in megabytes (default: %(default)s)",
    )
    add_model_options(parser)
    add_overrides(parser, "options of the methods, e.g. rise.masks=500 temporal_mask.iterations=100")
    return parser
