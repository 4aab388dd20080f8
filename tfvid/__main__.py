"""``python -m tfvid COMMAND ...``, the same as the command ``tfvid``."""

from tfvid.cli import run

run()
