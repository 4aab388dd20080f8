"""Explains videos on a page in the browser: .venv/bin/python scripts/app.py --model saved_models/<name>"""

from _tfvid import run

run("app")
