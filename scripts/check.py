"""Checks a new model, for CI: .venv/bin/python scripts/check.py OLD NEW --data D --fail-if 'top1 < 0.8'"""

from _tfvid import run

run("check")
