"""Explains clips: .venv/bin/python scripts/explain.py --model saved_models/<name> --video FILE [--out runs/explain]"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tfvid.cli import run_explain  # noqa: E402

run_explain()
