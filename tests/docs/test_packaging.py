"""What a user installs: an sdist, and the wheel that is built from it, both away from the checkout."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from configparser import ConfigParser
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from tfvid.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
BUILD = "import sys; from setuptools import build_meta; print(getattr(build_meta, sys.argv[1])(sys.argv[2]))"
# As a wheel is installed: the package, its metadata with the entry points, a script for each command.
INSTALL = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-index", "--target")


def run(*command, cwd: Path, path: str = "", **options) -> str:
    """What a command prints, run in `cwd` by this Python with `path` alone before its own packages."""
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run(
        [sys.executable, *map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True, **options
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def sources() -> list[str]:
    """The checkout's files, without those that git ignores: what a build or a run left."""
    listed = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True).stdout.split("\0")
    if names == [""]:
        pytest.skip("not a git checkout")
    return [name for name in names if (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A folder with an sdist of the checkout and the wheel that is built from that sdist."""
    try:
        if int(version("setuptools").partition(".")[0]) < 77:
            raise PackageNotFoundError
    except PackageNotFoundError:
        pytest.skip("setuptools 77 or newer is not installed: pip install 'tfvid[test]'")
    checkout, out = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("dist")
    for name in sources():
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, checkout / name)
    run("-c", BUILD, "build_sdist", out, cwd=checkout, timeout=120)
    (sdist,) = out.glob("tfvid-*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(out / "unpacked", filter="data")
    run("-c", BUILD, "build_wheel", out, cwd=next((out / "unpacked").iterdir()), timeout=120)
    return out


@pytest.fixture(scope="module")
def names(built) -> set[str]:
    (wheel,) = built.glob("tfvid-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory) -> Path:
    """The folder the wheel is installed in, without its dependencies: those are this Python's."""
    folder = tmp_path_factory.mktemp("installed")
    run(*INSTALL, folder, *built.glob("tfvid-*.whl"), cwd=folder, timeout=120)
    return folder


def test_the_wheel_has_every_module_page_and_configuration_and_nothing_else(names):
    package = {name for name in sources() if name.startswith("tfvid/")}
    configs = {f"tfvid/{name}" for name in sources() if name.startswith("configs/")}
    assert "tfvid/tensorboard/static/index.js" in package and "tfvid/configs/shapes_i3d.yaml" in configs
    assert {name for name in names if ".dist-info/" not in name} == package | configs
    assert any(name.endswith("/licenses/LICENSE") for name in names)


def test_the_sdist_has_what_a_wheel_is_built_from_and_no_tests(built):
    (folder,) = (built / "unpacked").iterdir()
    top = {path.name for path in folder.iterdir() if path.name not in ("build", "tfvid.egg-info")}
    wanted = {"tfvid", "configs", "setup.py", "setup.cfg", "pyproject.toml", "PKG-INFO", "MANIFEST.in"}
    assert top == wanted | {"README.md", "CHANGELOG.md", "LICENSE"}


def test_entry_points_name_what_is_there(installed):
    (file,) = installed.glob("tfvid-*.dist-info/entry_points.txt")
    points = ConfigParser()
    points.read(file)
    assert set(points["console_scripts"]) == {"tfvid"}
    for section in points.sections():
        for target in points[section].values():
            module, _, name = target.partition(":")
            assert callable(getattr(import_module(module), name)), target


def test_the_installed_package_is_found_and_its_plugin_by_tensorboard(installed, tmp_path):
    """Away from the checkout: nothing of it is needed."""
    program = (
        "import tfvid; from tensorboard import default; print(tfvid.__file__);"
        "print(*[plugin.__module__ for plugin in default.get_plugins()])"
    )
    file, plugins = run("-c", program, cwd=tmp_path, path=str(installed), timeout=120).splitlines()[-2:]
    assert Path(file).is_relative_to(installed)
    assert plugins.split().count("tfvid.tensorboard.plugin") == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_every_installed_command_says_what_it_does(installed, tmp_path, name):
    said = run(installed / "bin" / "tfvid", name, "--help", cwd=tmp_path, path=str(installed), timeout=120)
    assert said.startswith(f"usage: tfvid {name} "), said


def test_the_installed_package_has_one_command(installed):
    assert [script.name for script in (installed / "bin").iterdir() if script.name.startswith("tfvid")] == ["tfvid"]


@pytest.mark.long
def test_the_demo_runs_from_the_wheel(installed, tmp_path):
    said = run(
        *(
            installed / "bin" / "tfvid",
            "demo",
            "--out",
            "demo",
            "--limit",
            "2",
            "data.size=[32,32]",
            "data.batch_size=7",
        ),
        *("data.options.train=14", "data.options.validation=14", "train.epochs=1", "explain.mask.iterations=2"),
        "explain.log_iterations=2",
        cwd=tmp_path,
        path=str(installed),
        timeout=600,
    )
    assert "tfvid explain --model demo/saved_models/shapes_i3d --video any.mp4" in said
    assert (tmp_path / "demo" / "index.html").is_file()
