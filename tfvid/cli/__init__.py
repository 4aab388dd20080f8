"""The command ``tfvid`` and its subcommands.

Each subcommand is a module of its name in this package, with a function ``main(argv)``: it parses its arguments, checks
them, loads TensorFlow, and calls the library.
"""

from tfvid.cli.command import COMMANDS, main, run
from tfvid.cli.tensorflow_log import hide_start_up_messages

__all__ = ["COMMANDS", "main", "run"]

hide_start_up_messages()  # before a subcommand imports TensorFlow
