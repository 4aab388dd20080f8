"""Compares models: .venv/bin/python scripts/compare.py --config configs/study_shapes.yaml [--out runs/study_shapes]"""

from _tfvid import run

run("compare")
