"""``make explain``, without what it installs: its messages, and the command that it runs."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from small_models import tiny_network
from small_videos import write_video

from tfvid.cli.explain import main
from tfvid.models.loading import load_card
from tfvid.results.result_store import read_results

ROOT = Path(__file__).resolve().parents[2]


def make(tmp_path, *arguments):
    """Runs make with `tmp_path`'s empty file in the place of the installed package."""
    package = tmp_path / "package"
    package.touch()
    command = ["make", "--no-print-directory", f"PACKAGE={package}", f"PY={sys.executable}", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


def test_make_explain_without_a_video_is_one_line(tmp_path):
    done = make(tmp_path, "explain")
    assert done.returncode != 0
    assert done.stdout == "name a video: make explain VIDEO=any.mp4\n"


@pytest.mark.long
@pytest.mark.parametrize("shipped", [False, pytest.param(True, marks=pytest.mark.long)])
def test_make_explain_explains_a_video(tmp_path, monkeypatch, shipped):
    """By a small model instead of the one that make names, but for the long test."""
    video = tmp_path / "a video.avi"
    write_video(video, 24)
    done = make(tmp_path, "--dry-run", "explain", f"VIDEO={video}")
    assert done.returncode == 0, done.stderr
    check, run = done.stdout.replace("\\\n", " ").splitlines()
    program, script, *arguments = shlex.split(run)
    assert (program, script) == (sys.executable, "scripts/explain.py") and (ROOT / script).is_file()
    assert arguments[0] == "--model" and load_card(ROOT / arguments[1]).class_names
    arguments[1] = str(ROOT / arguments[1] if shipped else tiny_network(tmp_path))
    monkeypatch.chdir(tmp_path)
    main(arguments)
    (result,) = read_results(tmp_path / "runs" / "explain")
    assert result.mask is not None and os.path.isfile("runs/explain/index.html")
