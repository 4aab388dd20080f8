"""Trains two small models on moving shapes, explains held-out clips, writes a page: .venv/bin/python scripts/demo.py"""

from _tfvid import run

run("demo")
