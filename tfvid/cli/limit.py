"""The option ``--limit``, which means the same for every command."""

import argparse


def add_limit(
    parser: argparse.ArgumentParser, default: int | None = None, *, verb: str = "explain", without: str = "all"
) -> None:
    """Adds ``--limit N``: work on at most N clips; the classes take turns (`tfvid.data.choose`).

    Args:
      default: N where the option is not given; None for all clips.
      verb: what the command does with the clips.
      without: how the help describes a default of None.
    """
    shown = without if default is None else default
    words = f"{verb} at most N clips; the classes take turns, so that each has its share (default: {shown})"
    parser.add_argument("--limit", type=positive, metavar="N", default=default, help=words)


def positive(text: str) -> int:
    """The whole number that `text` stands for, which must be 1 or more."""
    return at_least(1, text)


def at_least(least: int, text: str) -> int:
    """The whole number that `text` stands for.

    Raises:
      argparse.ArgumentTypeError: it is no whole number, or is below `least`.
    """
    try:
        number = int(text)
    except ValueError:
        number = None
    if number is None or number < least:
        raise argparse.ArgumentTypeError(f"expected a whole number, {least} or more, got {text!r}")
    return number
