"""Writes sharded TFRecords: .venv/bin/python scripts/prepare.py --dataset something --root DIR --out DIR"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tfvid.cli import run_prepare  # noqa: E402

run_prepare()
