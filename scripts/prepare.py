"""Writes sharded TFRecords: .venv/bin/python scripts/prepare.py --dataset something --root DIR --out DIR"""

from _tfvid import run

run("prepare")
