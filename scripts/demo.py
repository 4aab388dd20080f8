"""Trains two small models on moving shapes, explains held-out clips, writes a page: python scripts/demo.py"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tfvid.commands.demo import main  # noqa: E402
from tfvid.errors import command  # noqa: E402

command(main)
