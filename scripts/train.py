"""Trains a model: .venv/bin/python scripts/train.py --config configs/<run>.yaml [key=value ...]"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tfvid.cli import run_train  # noqa: E402

run_train()
