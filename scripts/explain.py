"""Explains clips: python scripts/explain.py --model saved_models/<name> --video FILE [--out runs/explain]"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tfvid.commands.explain import main  # noqa: E402
from tfvid.errors import command  # noqa: E402

command(main)
