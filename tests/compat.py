"""tfvid, installed from its wheel into fresh environments: the oldest versions that setup.py allows, and the newest.

    make compat                                                          # both, with this Python
    python3.13 tests/compat.py newest                                    # one, with another Python
    python tests/compat.py oldest --tests test_export.py --keep          # other tests; the environment stays

In each: pip resolves and checks what goes together, TensorBoard finds the plugin, every command answers ``--help``, the
demo runs in its short form, and the quick part of the tests passes against the installed package. What pip cannot get,
and a test that fails, is a row of the table and exit code 1. Needs a package registry, and 2.5 GB of disk at a time.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENTS = ("oldest", "newest")
# Some of each part that stands on somebody else's package: videos, records, models, graphs, events. Every explainer.
TESTS = (
    *("test_data_video.py", "test_data_records.py", "test_loading.py", "test_results.py", "test_callbacks.py"),
    *("test_tensorboard_plugin.py", "test_explainers_contract.py::test_the_public_contract"),
    "test_export.py::test_command_on_a_model_that_comes_along",
)
PYTEST = ("-m", "pytest", "-q", "-m", "not long", "-p", "no:cacheprovider")
SHOWN = ("tensorflow", "keras", "numpy", "opencv-python-headless", "av", "pyarrow", "tensorboard")
VERSIONS = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
CHECK = """
from importlib.metadata import entry_points
from tensorboard import default
assert sum(plugin.__module__ == "tfvid.tensorboard.plugin" for plugin in default.get_plugins()) == 1
(point,) = (point for point in entry_points(group="console_scripts") if point.name == "tfvid")
from tfvid.cli import COMMANDS
print(*COMMANDS)
"""
DEMO = (
    *("--out", "demo", "--limit", "2", "data.size=[32,32]", "data.batch_size=7", "train.epochs=1"),
    *("data.options.train=14", "data.options.validation=14", "explain.mask.iterations=2", "explain.log_iterations=2"),
)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(ENVIRONMENTS)} (both)")
    parser.add_argument("--tests", nargs="+", default=TESTS, help="(the quick part)")
    parser.add_argument("--keep", action="store_true", help="leave the environments where they were made")
    args = parser.parse_args(argv)
    if unknown := set(args.names) - set(ENVIRONMENTS):
        parser.error(f"unknown environment {', '.join(unknown)}; valid: {', '.join(ENVIRONMENTS)}")
    rows = [tried(name, args) for name in args.names or ENVIRONMENTS]
    print("\n| environment | Python |", " | ".join(SHOWN), "| result |")
    print("|---" * (len(SHOWN) + 3) + "|")
    for row in rows:
        print("|", " | ".join(row), "|")
    return int(any(row[-1].startswith("failed") for row in rows))


def tried(name: str, args) -> list[str]:
    """Makes the environment called `name`, tries tfvid in it, removes it; returns its row of the table."""
    folder = Path(tempfile.mkdtemp(prefix=f"tfvid-{name}-"))
    print(f"\n== {name}, in {folder}", flush=True)
    versions = dict.fromkeys(SHOWN, "?")
    try:
        copy = folder / "checkout"
        copied(copy)
        call(sys.executable, "-m", "venv", folder / "venv")
        python = folder / "venv" / "bin" / "python"
        pip = (python, "-m", "pip", "-qq", "--disable-pip-version-check")
        call(*pip, "wheel", "--no-deps", "--wheel-dir", folder, copy)
        (wheel,) = folder.glob("tfvid-*.whl")
        bounds = oldest(wheel) if name == "oldest" else []
        call(*pip, "install", wheel, *bounds, "pytest>=8", "hypothesis>=6.100")
        call(*pip, "check")
        versions |= zip(SHOWN, call(python, "-c", VERSIONS, *SHOWN, say=False).split(), strict=True)
        shutil.rmtree(copy / "tfvid")  # from here on there is the installed one only
        for command in call(python, "-c", CHECK, cwd=folder).splitlines()[-1].split():
            call(python.with_name("tfvid"), command, "--help", cwd=folder, say=False)
        call(python.with_name("tfvid"), "demo", *DEMO, cwd=folder)
        tests = (
            str(next((ROOT / "tests").rglob(test.partition("::")[0]))) + "".join(test.partition("::")[1:])
            for test in args.tests
        )
        result = summary(call(python, *PYTEST, *tests, cwd=copy))
    except subprocess.CalledProcessError as error:
        result = f"failed: {' '.join(error.cmd)[:120]}: {summary(error.output)}"
    finally:
        if not args.keep:
            shutil.rmtree(folder)
    return [name, sys.version.split()[0], *versions.values(), result]


def path_of(test: str) -> str:
    """``test_x.py::test_y`` with the folder that the file lies in."""
    file, colons, name = test.partition("::")
    (path,) = (ROOT / "tests").rglob(file)
    return f"{path.relative_to(ROOT)}{colons}{name}"


def summary(printed: str) -> str:
    """The line of pytest's counts, or the last one of another command's."""
    lines = [line.strip("= ") for line in printed.splitlines() if line.strip()] or [""]
    return next((line for line in reversed(lines) if re.search(r"\d (passed|failed|error)", line)), lines[-1])


def oldest(wheel: Path) -> list[str]:
    """The oldest series of each requirement that the wheel allows: ``keras>=3.15`` becomes ``keras==3.15.*``."""
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        text = archive.read(metadata).decode()
    return [
        f"{package}=={bound}.*" for package, bound in re.findall(r"^Requires-Dist: ([\w-]+)>=([\d.]+)$", text, re.M)
    ]


def copied(folder: Path) -> None:
    """Copies the checkout's files, without those that git ignores, to `folder`."""
    listed = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for file in filter(Path.is_file, (ROOT / name for name in names if name)):
        to = folder / file.relative_to(ROOT)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, to)


def call(*command, cwd: Path | None = None, say: bool = True) -> str:
    """What a command prints, which is shown meanwhile if `say`; raises CalledProcessError with it."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1"}
    environment.pop("PYTHONPATH", None)
    if (data := ROOT.parent / "shared" / "data").is_dir():
        environment.setdefault("TFVID_SHARED_DATA", str(data))
    command, lines = [str(word) for word in command], []
    with subprocess.Popen(
        command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        for line in process.stdout:
            lines.append(line)
            if say:
                print("  ", line, end="", flush=True)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, "".join(lines))
    return "".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
