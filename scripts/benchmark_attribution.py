"""Judges attribution: .venv/bin/python scripts/benchmark_attribution.py --config configs/attribution_bench.yaml"""

from _tfvid import run

run("benchmark")
