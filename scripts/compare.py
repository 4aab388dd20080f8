"""Compares models: python scripts/compare.py --config configs/study_shapes.yaml [--out runs/study_shapes]"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tfvid.commands.compare import main  # noqa: E402
from tfvid.errors import command  # noqa: E402

command(main)
