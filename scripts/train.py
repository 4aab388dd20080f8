"""Trains a model: .venv/bin/python scripts/train.py --config configs/<run>.yaml [key=value ...]"""

from _tfvid import run

run("train")
