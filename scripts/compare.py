"""Compares models: .venv/bin/python scripts/compare.py --config configs/study_shapes.yaml [--out runs/study_shapes]"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tfvid.cli import run_compare  # noqa: E402

run_compare()
