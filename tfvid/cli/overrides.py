"""The positional arguments ``key=value``, which change settings."""

import argparse


def add_overrides(parser: argparse.ArgumentParser, words: str) -> None:
    """Adds any number of arguments ``key=value``.

    Args:
      parser: the command's parser.
      words: what the settings belong to, with examples, for the help.
    """
    parser.add_argument("overrides", nargs="*", metavar="key=value", help=words)
