"""Trains two small models on moving shapes, explains held-out clips, writes a page: .venv/bin/python scripts/demo.py"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tfvid.cli import run_demo  # noqa: E402

run_demo()
