"""``tfvid COMMAND ...``: finds the subcommand and runs it. Only that subcommand's module is imported."""

import argparse
from importlib import import_module

import tfvid
from tfvid.core.errors import check_choice, command

# What each subcommand does, by its name; in the order of their first use.
COMMANDS = {
    "demo": "train two small models on drawn clips, and explain held-out clips",
    "explain": "explain clips with trained models: films, numbers and a page",
    "prepare": "write the clips of a data set as TFRecord shards",
    "train": "train a video classifier",
    "evaluate": "measure a trained model: accuracy, F1, and how much it relies on time",
    "compare": "compare models: what they look at, and when",
    "audit": "report what a model needs, when and where it looks, and which shortcuts would do",
    "check": "fail if a new model is worse than given limits, for continuous integration",
    "benchmark": "compare attribution methods by objective measures",
    "export": "export a model with its explanations as one SavedModel",
    "app": "explain videos on a page in the browser",
}


def run(name: str | None = None) -> None:
    """Runs ``tfvid`` with the arguments of this process, as the function of a console script.

    Args:
      name: the subcommand; None takes it from the first argument.
    """
    command(lambda argv: main([name, *argv] if name else argv))


def main(argv: list[str]) -> None:
    """Runs the subcommand that `argv` begins with, or prints the help.

    Args:
      argv: the subcommand and its arguments; or ``--help`` or ``--version``. Without any argument, it prints the help.

    Raises:
      TfvidError: there is no such subcommand.
    """
    if not argv or argv[0].startswith("-"):
        _parser().parse_args(argv or ["--help"])
        return
    name, *arguments = argv
    check_choice("command", name, COMMANDS)
    import_module(f"tfvid.cli.{name}").main(arguments)


def _parser() -> argparse.ArgumentParser:
    commands = "\n".join(f"  {name:10} {text}" for name, text in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="tfvid",
        usage="tfvid [--help] [--version] COMMAND ...",
        description="Which frames and which pixels does a video classifier rely on?",
        epilog=f"commands:\n{commands}\n\ntfvid COMMAND --help lists the options of a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"tfvid {tfvid.__version__}")
    return parser
