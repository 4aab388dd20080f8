"""Runs tfvid's commands from this checkout, whether or not the package is installed."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tfvid.cli import run  # noqa: E402

__all__ = ["run"]
