"""The option ``--limit``, which has the same meaning in every command."""

import argparse


def add_limit(
    parser: argparse.ArgumentParser, default: int | None = None, *, verb: str = "explain", without: str = "all"
) -> None:
    """Adds ``--limit N``: the command works on at most N clips. The classes take turns, see `tfvid.data.choose`.

    Args:
      parser: the command's parser.
      default: N without the option; None for all clips.
      verb: what the command does with the clips, for the help.
      without: how the help describes a default of None.
    """
    shown = without if default is None else default
    words = f"{verb} at most N clips; the classes take turns, so that each has its share (default: {shown})"
    parser.add_argument("--limit", type=positive, metavar="N", default=default, help=words)


def positive(text: str) -> int:
    """`text` as a whole number of 1 or more, as a type of argparse."""
    return at_least(1, text)


def at_least(least: int, text: str) -> int:
    """`text` as a whole number of `least` or more.

    Raises:
      argparse.ArgumentTypeError: `text` is no whole number, or the number is too small.
    """
    try:
        number = int(text)
    except ValueError:
        number = None
    if number is None or number < least:
        raise argparse.ArgumentTypeError(f"expected a whole number, {least} or more, got {text!r}")
    return number
