"""Explains clips: .venv/bin/python scripts/explain.py --model saved_models/<name> --video FILE [--out runs/explain]"""

from _tfvid import run

run("explain")
