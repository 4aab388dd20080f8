"""README.md and docs/: what stands there to be pasted works.

Every command is started as far as it goes without the data it names: its options are parsed, its configuration is
read, the files of the checkout that it names exist. Every Python block compiles and uses no name that nothing defines.
The long tests run, as printed, what needs no data set, no GPU and no more than a minute or two.

README's Python blocks each stand alone. Those of a page in docs/ run in their order, in one namespace.
"""

import os
import subprocess
import sys
from glob import glob
from importlib import import_module
from pathlib import Path

import pytest
from documents import PAGES, ROOT, blocks, commands, is_python
from small_videos import write_video

ALL = [block for page in PAGES for block in blocks(page)]
PYTHON = [block for block in ALL if is_python(block)]
COMMANDS = [(block, words) for block in ALL for words in commands(block)]

# Python blocks that are not run, by words in them, and why.
NOT_RUN = {
    "epochs=9": "trains for an hour",
    "ExplanationLogger({": "trains for some minutes; tests/training/test_callbacks.py runs a shorter one",
    "tfvid.audit(": "needs fight_surv; tests/experiments/test_audit_runs.py runs a smaller one",
    "tfvid.study.compare(": "explains for some minutes; tests/experiments/test_study.py runs a shorter one",
    'load_dataset("something"': "needs Something-something v2",
    'load_dataset("ucf101"': "needs UCF101",
    'load_dataset("epic_kitchens"': "needs EPIC-KITCHENS",
    'load_dataset("fight_surv"': "needs fight_surv",
    "import Composite": "needs the Weizmann silhouettes",
    'load_dataset("csv"': "needs the clips of a list",
    'read_clip("jester_sample': "needs Jester",
    "with skipped.plain_errors()": "is a part of a program",
    "grpc.insecure_channel": "needs TensorFlow Serving",
    "import fiftyone": "needs FiftyOne; tests/export/test_viewers.py calls the function",
    "to_rerun(": "needs Rerun; tests/export/test_viewers.py calls the function",
    "import wandb": "needs Weights & Biases; tests/export/test_viewers.py calls the function",
    "import trackio": "needs trackio; tests/export/test_viewers.py calls the function",
    "onnxruntime.InferenceSession": "needs a network in ONNX",
    "torch.jit.load": "needs PyTorch",
    "import torchvision": "needs torchvision",
    'load_model("runs/i3d_kth")': "needs KTH",
}
# Pages of docs/ whose other Python blocks are run.
PAGES_RUN = ("explainers", "export", "get_started", "measures", "methods", "models", "results", "tensorboard")
# Commands that are not even started, by their first words, and why.
NOT_STARTED = {
    ".venv/bin/tensorboard": "a server; tests/tensorboard/test_tensorboard_page.py runs it",
    ".venv/bin/pip": "installs packages",
    "tensorflow_model_server": "needs TensorFlow Serving",
    "duckdb": "a program of its own; tests/results/test_foreign_readers.py runs the query",
    "export": "sets a variable of a cluster",
}


class Parsed(Exception):
    """The arguments of a command are right, and its work would begin now."""


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder that looks like a checkout with what the pages talk of: a video, and runs of the paper's models."""
    for name in ("configs", "saved_models", "scripts", "tfvid", "benchmarks", "docs", "tests", "Makefile"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    write_video(tmp_path / "any.avi", 24).rename(tmp_path / "any.mp4")
    for name in ("i3d_ssv2", "conv_lstm_ssv2", "i3d_kth"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "config.yaml").symlink_to(ROOT / "configs" / f"{name}.yaml")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_the_pages_have_blocks():
    """Nothing below passes because nothing was found."""
    names = {block.page for block in PYTHON} | {block.page for block, _ in COMMANDS}
    assert {"README.md", "docs/data.md", "docs/explainers.md", "docs/scale.md", "docs/training.md"} <= names
    assert len([block for block in PYTHON if block.page == "README.md"]) >= 3
    assert len([block for block, _ in COMMANDS if block.page == "README.md"]) >= 11


NAMES = [f"{block} {' '.join(words[:4])}" for block, words in COMMANDS]


@pytest.mark.parametrize(("block", "words"), COMMANDS, ids=NAMES)
def test_a_command_starts(block, words, checkout, monkeypatch):
    program, *arguments = (name for word in words for name in (sorted(glob(word)) if "*" in word else [word]))
    if program in NOT_STARTED:
        return
    if program == "make":
        made = (f"PACKAGE={checkout / 'Makefile'}", f"READY={checkout / 'Makefile'}")
        done = subprocess.run(
            ["make", "--dry-run", *made, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return
    if program in ("tfvid", ".venv/bin/tfvid"):
        check_parsed(arguments[0], arguments[1:], monkeypatch)
        return
    assert program == ".venv/bin/python", f"{block}: name the environment's Python: .venv/bin/python"
    if arguments[:2] == ["-m", "pytest"]:
        assert all(Path(word).is_file() for word in arguments[2:] if word.startswith("tests/"))
        return
    script = Path(arguments[0])
    assert script.is_file()
    if script.parent.name == "benchmarks":  # starting one would load TensorFlow for each; its options stand in its text
        text = script.read_text(encoding="utf-8")
        assert all(f'"{word}"' in text for word in arguments[1:] if word.startswith("--"))
        return

    command = "benchmark" if script.stem == "benchmark_attribution" else script.stem
    check_parsed(command, arguments[1:], monkeypatch)


def check_parsed(command: str, arguments: list[str], monkeypatch):
    """Checks that the arguments of ``tfvid COMMAND`` are right, by starting it up to where its work would begin."""

    def begin():
        raise Parsed

    module = import_module(f"tfvid.cli.{command}")
    monkeypatch.setattr(module, "load_tensorflow", begin)
    with pytest.raises(Parsed):
        module.main(arguments)


def test_python_blocks_use_no_name_that_nothing_defines(tmp_path):
    """On a page of docs/ an earlier block may have defined it."""
    pages: dict[str, str] = {}
    for block in PYTHON:
        if "with skipped.plain_errors()" in block.text:  # a part of a program that has a model
            continue
        name = f"README_{block.line}" if block.page == "README.md" else Path(block.page).stem
        pages[name] = pages.get(name, "") + block.text + "\n"
    for name, text in pages.items():
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--select=F821", "--output-format=concise"]
    done = subprocess.run([*ruff, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_exception_is_of_a_block_that_is_there():
    for words in NOT_RUN:
        assert any(words in block.text for block in PYTHON), words
    for program in NOT_STARTED:
        assert any(words[0] == program for _, words in COMMANDS), program


def test_every_python_block_is_run_or_an_exception():
    pages = {"README.md", *(f"docs/{page}.md" for page in PAGES_RUN)}
    assert [str(block) for block in PYTHON if block.page not in pages and is_run(block)] == []


def run_command(*words: str):
    """Runs a command in the current folder, with the checkout's package."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run_python(block, namespace: dict):
    exec(compile(block.text, str(block), "exec"), namespace)


def is_run(block) -> bool:
    return not any(words in block.text for words in NOT_RUN)


@pytest.mark.long
def test_readmes_commands_and_blocks_run(checkout):
    """In their order, since the SavedModel that a block loads is what a command before it exported."""
    runnable = ("--video any.mp4", "export.py --model saved_models/", "evaluate.py --model saved_models/", "--limit 8")
    ran = []
    for block in (block for block in ALL if block.page == "README.md"):
        if block in PYTHON and is_run(block):
            run_python(block, {})
            ran.append(block)
        for words in commands(block):
            if any(part in " ".join(words) for part in runnable):
                run_command(*words)
                ran.append(words)
    assert len(ran) >= 2 + len(runnable)
    assert (checkout / "runs" / "explain" / "index.html").is_file()


@pytest.mark.long
@pytest.mark.parametrize("page", PAGES_RUN)
def test_a_pages_python_runs(page, checkout):
    namespace: dict = {}
    if page == "export":
        run_command(*commands(next(block for block in ALL if block.page == "docs/export.md"))[0])
    if page == "results":
        run_command(*f"{sys.executable} scripts/explain.py --video any.mp4 mask.iterations=1".split())
    ran = [block for block in PYTHON if block.page == f"docs/{page}.md" and is_run(block)]
    assert ran
    for block in ran:
        run_python(block, namespace)
