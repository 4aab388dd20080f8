"""Exports a model that explains itself: .venv/bin/python scripts/export.py --model saved_models/<name> --out FOLDER"""

from _tfvid import run

run("export")
