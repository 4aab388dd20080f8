"""Exports a model that explains itself: python scripts/export.py --model saved_models/<name> --out FOLDER"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tfvid.commands.export import main  # noqa: E402
from tfvid.errors import command  # noqa: E402

command(main)
