"""Exports a model that explains itself: .venv/bin/python scripts/export.py --model saved_models/<name> --out FOLDER"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tfvid.cli import run_export  # noqa: E402

run_export()
