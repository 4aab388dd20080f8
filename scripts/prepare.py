"""Writes sharded TFRecords: python scripts/prepare.py --dataset something --root DIR --out DIR [--split train ...]"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tfvid.commands.prepare import main  # noqa: E402
from tfvid.errors import command  # noqa: E402

command(main)
