"""What all commands share: ``--limit``, the results' folder, ``--help``, and an error in one line."""

import argparse
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import tfvid
from tfvid.cli import COMMANDS
from tfvid.cli import main as tfvid_command
from tfvid.cli.limit import add_limit
from tfvid.cli.results_folder import check_folder
from tfvid.core.errors import ConfigError, TfvidError, command

ROOT = Path(__file__).resolve().parents[2]
LIMITED = ("evaluate", "explain", "compare", "audit", "check", "benchmark", "demo")


class Begun(Exception):
    """The arguments are right, and the work would begin."""


def test_help_comes_before_tensorflow():
    """Python needs seconds to load it."""
    code = (
        "import importlib, sys; from tfvid.cli import COMMANDS; "
        "[importlib.import_module(f'tfvid.cli.{name}') for name in COMMANDS]; "
        "print(*{'tensorflow', 'keras', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout.strip(), done.returncode) == ("", 0), done.stderr


def said(name: str, capsys, *arguments: str) -> str:
    """What a command prints when argparse ends it."""
    with pytest.raises(SystemExit):
        import_module(f"tfvid.cli.{name}").main(list(arguments))
    printed = capsys.readouterr()
    return " ".join((printed.out + printed.err).split())


@pytest.mark.parametrize("name", COMMANDS)
def test_help(name, capsys):
    """A limit is called --limit and nothing else."""
    words = said(name, capsys, "--help")
    assert words.startswith(f"usage: tfvid {name} ")
    assert ("--limit N" in words) == (name in LIMITED)
    assert "--clips" not in words


def test_tfvid_lists_its_commands(capsys):
    """With --help, and without any argument: one line for each command."""
    for arguments in (["--help"], []):
        with pytest.raises(SystemExit) as end:
            tfvid_command(arguments)
        assert end.value.code == 0
        lines = capsys.readouterr().out.splitlines()
        for name, text in COMMANDS.items():
            assert f"  {name:10} {text}" in lines
        assert max(map(len, lines)) <= 100


def test_tfvid_says_its_version(capsys):
    with pytest.raises(SystemExit):
        tfvid_command(["--version"])
    assert capsys.readouterr().out == f"tfvid {tfvid.__version__}\n"


def test_tfvid_runs_a_command(monkeypatch):
    given = []
    monkeypatch.setattr(import_module("tfvid.cli.train"), "main", given.append)
    tfvid_command(["train", "--config", "c.yaml", "--help"])
    assert given == [["--config", "c.yaml", "--help"]]


def test_an_unknown_command_is_one_line():
    with pytest.raises(TfvidError, match="^unknown command 'trian'; did you mean 'train'\\? valid: demo, explain, "):
        tfvid_command(["trian"])


def test_the_help_loads_no_tensorflow():
    """In a new process, by ``python -m tfvid``."""
    program = (
        "import runpy, sys; sys.argv = ['tfvid', '--help']\n"
        "try: runpy.run_module('tfvid', run_name='__main__')\n"
        "finally: print(*({'tensorflow', 'keras', 'numpy', 'yaml', 'cv2'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout.startswith("usage: tfvid ")
    assert done.stderr == "\n"


def test_there_is_a_script_for_each_command():
    """Each calls the command and does nothing else."""
    called = set()
    for file in (ROOT / "scripts").glob("[!_]*.py"):
        *_, empty, call = file.read_text(encoding="utf-8").splitlines()
        called.add(call)
        assert len(file.read_text(encoding="utf-8").splitlines()) == 5 and empty == ""
    assert called == {f'run("{name}")' for name in COMMANDS}


@pytest.mark.parametrize("name", LIMITED)
@pytest.mark.parametrize("limit", ["0", "-1", "2.5", "all"])
def test_what_is_no_limit_is_refused(name, limit, capsys):
    needed = {
        "evaluate": ["--model", "m"],
        "audit": ["--model", "m", "--data", "d"],
        "check": [],
        "explain": ["--dataset", "shapes"],
        "demo": [],
    }.get(name, ["--config", "c"])
    words = said(name, capsys, *needed, f"--limit={limit}")
    assert words.endswith(f"argument --limit: expected a whole number, 1 or more, got '{limit}'")


def test_a_limits_default():
    parser = argparse.ArgumentParser()
    add_limit(parser, 28)
    assert parser.parse_args([]).limit == 28 and parser.parse_args(["--limit", "3"]).limit == 3


@pytest.mark.parametrize("name", ["compare", "benchmark"])
def test_a_limit_is_stronger_than_the_files(name, monkeypatch):
    from tfvid.cli import experiment

    seen = []

    def load(path, overrides, kind):
        seen.extend(overrides)
        raise Begun

    monkeypatch.setattr(experiment, "load", load)
    with pytest.raises(Begun):
        import_module(f"tfvid.cli.{name}").main(["--config", "c.yaml", "limit=5", "--limit", "3"])
    assert seen == ["limit=5", "limit=3"]


def test_a_folder_for_results(tmp_path):
    file = tmp_path / "file"
    file.touch()
    check_folder(tmp_path)
    check_folder(tmp_path / "new" / "newer")
    check_folder("s3://bucket/run")
    for place in (file, file / "below"):
        with pytest.raises(ConfigError, match="file: expected a folder for the results, this is a file"):
            check_folder(place)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("explain", ["--dataset", "shapes", "--out"]),
        ("evaluate", ["--model", str(ROOT / "saved_models" / "shapes_i3d"), "--out"]),
        ("train", ["--config", str(ROOT / "configs" / "shapes_i3d.yaml"), "--runs"]),
        ("train", ["--config", str(ROOT / "configs" / "shapes_i3d.yaml"), "--saved-models"]),
        ("compare", ["--config", str(ROOT / "configs" / "study_shapes.yaml"), "--out"]),
        ("benchmark", ["--config", str(ROOT / "configs" / "attribution_bench.yaml"), "--out"]),
        ("prepare", ["--dataset", "shapes", "--out"]),
        ("demo", ["--out"]),
    ],
)
def test_a_file_in_the_place_of_the_folder_is_refused_before_the_work(name, arguments, tmp_path, monkeypatch):
    module = import_module(f"tfvid.cli.{name}")

    def begin():
        raise Begun

    monkeypatch.setattr(module, "load_tensorflow", begin)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="file: expected a folder for the results, this is a file"):
        module.main([*arguments, str(tmp_path / "file")])
    with pytest.raises(Begun):
        module.main([*arguments, str(tmp_path / "new")])


def test_a_missing_module_is_one_line(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["command"])

    def main(argv):
        import_module("no_such_module.inside")

    with pytest.raises(SystemExit, match="finds no module 'no_such_module'; .* run the command with .venv/bin/python"):
        command(main)


def test_a_mistake_of_our_own_is_no_missing_module(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["command"])
    with pytest.raises(ModuleNotFoundError):
        command(lambda argv: import_module("tfvid.no_such_module"))
