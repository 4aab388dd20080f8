"""Judges attribution methods: python scripts/benchmark_attribution.py --config configs/attribution_bench.yaml"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tfvid.commands.benchmark_attribution import main  # noqa: E402
from tfvid.errors import command  # noqa: E402

command(main)
