"""Audits a model: .venv/bin/python scripts/audit.py --model saved_models/fights_i3d --data FOLDER"""

from _tfvid import run

run("audit")
