"""Judges attribution: .venv/bin/python scripts/benchmark_attribution.py --config configs/attribution_bench.yaml"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tfvid.cli import run_benchmark_attribution  # noqa: E402

run_benchmark_attribution()
