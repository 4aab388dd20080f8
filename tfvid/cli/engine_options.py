"""The options of commands that run their work on an engine."""

import argparse

from tfvid.core.engine import ENGINES
from tfvid.core.engine.base import Engine
from tfvid.core.errors import ConfigError

OF_RAY = ("address", "cpus", "gpus")


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """Adds ``--engine`` and the options of engines."""
    parser.add_argument(
        "--engine",
        choices=list(ENGINES),
        default="local",
        help="local: this process; ray: tasks on a Ray cluster (default: %(default)s)",
    )
    parser.add_argument("--address", help="address of a Ray cluster, e.g. auto (default: start Ray on this machine)")
    parser.add_argument("--cpus", type=float, help="processor cores of each Ray task (default: 1)")
    parser.add_argument("--gpus", type=float, help="GPUs of each Ray task (default: 0)")
    parser.add_argument(
        "--retries", type=int, default=2, help="how often a shard that failed is tried again (default: %(default)s)"
    )


def engine_of(arguments) -> Engine:
    """The engine that the arguments name.

    Raises:
      ConfigError: an option belongs to another engine, Ray is not installed, or no cluster answers at the address.
    """
    if arguments.retries < 0:
        raise ConfigError(f"--retries must be 0 or more, got {arguments.retries}")
    given = {name: getattr(arguments, name) for name in OF_RAY if getattr(arguments, name) is not None}
    if arguments.engine == "local" and given:
        raise ConfigError(f"--{next(iter(given))} goes with --engine ray")
    return ENGINES.find(arguments.engine)(retries=arguments.retries, **given)
