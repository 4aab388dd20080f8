"""Measures a trained model: .venv/bin/python scripts/evaluate.py --model runs/<name> [--split validation]"""

from _tfvid import run

run("evaluate")
