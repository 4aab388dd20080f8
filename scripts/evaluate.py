"""Measures a trained model: .venv/bin/python scripts/evaluate.py --model runs/<name> [--split validation]"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tfvid.cli import run_evaluate  # noqa: E402

run_evaluate()
