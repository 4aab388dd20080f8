"""Trains a model: python scripts/train.py --config configs/<run>.yaml [key=value ...]"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tfvid.commands.train import main  # noqa: E402
from tfvid.errors import command  # noqa: E402

command(main)
