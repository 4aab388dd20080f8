"""Measures a trained model: python scripts/evaluate.py --model runs/<name> [--split validation]"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tfvid.commands.evaluate import main  # noqa: E402
from tfvid.errors import command  # noqa: E402

command(main)
