"""Videos of any name are read, whatever the locale; names that a page cannot hold are refused in one line."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from small_videos import frame_numbers, write_video

import tfvid
from tfvid.cli.explain import main
from tfvid.core.errors import DataError
from tfvid.data.decode.video import decode_clip

ROOT = Path(__file__).resolve().parents[2]
SIZE = (8, 12)
NO_TEXT = os.fsdecode(b"caf\xe9.avi")  # no UTF-8: Python makes surrogates of such bytes


@pytest.mark.parametrize("name", ["a b.avi", "vidéo 日本.avi", "-v.avi", "a%d.avi", NO_TEXT])
def test_any_name(tmp_path, name):
    path = write_video(tmp_path / "a.avi", 6).rename(tmp_path / name)
    assert frame_numbers(decode_clip(path, 3, SIZE).frames) == [0, 2, 5]
    assert frame_numbers(tfvid.read_clip(path, 3, SIZE) * 255) == [0, 2, 5]


def test_a_unicode_name_where_the_locale_is_ascii(tmp_path):
    write_video(tmp_path / "a.avi", 6).rename(tmp_path / "vidéo.avi")
    program = "import glob, tfvid; print(tfvid.read_clip(glob.glob('*.avi')[0], 2, (8, 8)).shape)"
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.stdout == "(2, 8, 8, 3)\n", done.stderr


@pytest.mark.parametrize(
    ("name", "said"), [("gone.mp4", "gone.mp4: no such file"), (NO_TEXT, "this name is not utf-8 text")]
)
def test_explain_refuses_before_the_work(tmp_path, name, said):
    video = tmp_path / name
    if name == NO_TEXT:
        video.touch()
    with pytest.raises(DataError, match=said):
        main(["--model", "not looked at", "--video", str(video), "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def test_text_files_are_utf_8_whatever_the_locale():
    """Each call in tfvid that opens a text file names an encoding."""
    bare = []
    for file in sorted((ROOT / "tfvid").rglob("*.py")):
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(call, ast.Call):
                continue
            name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
            is_open = isinstance(call.func, ast.Name) and name == "open" or ast.unparse(call.func) == "os.fdopen"
            is_binary = is_open and len(call.args) > 1 and "b" in str(getattr(call.args[1], "value", ""))
            least = {"read_text": 1, "write_text": 2}.get(name)  # with the encoding as a positional argument
            if (is_open and not is_binary) or least:
                named = any(keyword.arg == "encoding" for keyword in call.keywords)
                if not named and not (least and len(call.args) >= least):
                    bare.append(f"{file.relative_to(ROOT)}:{call.lineno}")
    assert bare == []
