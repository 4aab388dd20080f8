"""Parts that tfvid does not have itself: in files, and in installed packages that declare entry points."""

import os
import pickle

import pytest

from tfvid.core.errors import TfvidError
from tfvid.core.python_file import run_python_file
from tfvid.core.registry import Registry
from tfvid.data.datasets import DATASETS
from tfvid.explain.explainers import EXPLAINERS
from tfvid.metrics.metrics import METRICS
from tfvid.models.architectures import MODELS

GROUP = "tfvid.tests"


def install(folder, package: str, entry_points: dict[str, str], source: str = "", group: str = GROUP) -> None:
    """Makes `folder` a place with an installed distribution, as pip does: a module and its ``.dist-info``."""
    metadata = folder / f"{package}-1.2.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
    lines = [f"{name} = {target}" for name, target in entry_points.items()]
    (metadata / "entry_points.txt").write_text("\n".join([f"[{group}]", *lines, ""]))
    (folder / f"{package}.py").write_text(source)


@pytest.fixture
def registry():
    return Registry("codec", {"json": "json:loads"}, group=GROUP)


def test_a_part_of_an_installed_package(tmp_path, monkeypatch, registry):
    install(tmp_path, "extension_a", {"double": "extension_a:double"}, "def double(x):\n    return 2 * x\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert registry.find("double")(21) == 42
    assert list(registry) == ["json"]  # the built-in names


def test_each_kind_of_part_has_its_group(tmp_path, monkeypatch):
    source = "def mine():\n    return 'mine'\n"
    for registry, group in (
        (EXPLAINERS, "tfvid.explainers"),
        (MODELS, "tfvid.models"),
        (DATASETS, "tfvid.datasets"),
        (METRICS, "tfvid.metrics"),
    ):
        package = f"extension_{group.partition('.')[2]}"
        install(tmp_path / group, package, {"mine": f"{package}:mine"}, source, group)
        monkeypatch.syspath_prepend(tmp_path / group)
        assert registry.find("mine").__module__ == package


def test_a_built_in_part_is_found_without_a_search(monkeypatch, registry):
    def search(**group):
        raise AssertionError("searched for entry points")

    monkeypatch.setattr("tfvid.core.registry.entry_points", search)
    assert registry.find("json")("[1]") == [1]


def test_an_unknown_name_lists_those_of_packages_too(tmp_path, monkeypatch, registry):
    install(tmp_path, "extension_b", {"doubled": "extension_b:double"})
    monkeypatch.syspath_prepend(tmp_path)
    said = r"^unknown codec 'dubled'; did you mean 'doubled'\? valid: json, doubled, or a file: my_codec.py:Name$"
    with pytest.raises(TfvidError, match=said):
        registry.find("dubled")


def test_a_name_of_a_built_in_part_is_ignored_with_a_warning(tmp_path, monkeypatch, registry):
    install(tmp_path, "extension_c", {"json": "extension_c:loads"})
    monkeypatch.syspath_prepend(tmp_path)
    said = "codec 'json' of extension_c 1.2 is ignored: tfvid has a built-in codec"
    with pytest.warns(RuntimeWarning, match=said), pytest.raises(TfvidError, match="valid: json, or a file"):
        registry.find("other")
    assert registry.find("json")("[1]") == [1]


def test_a_name_of_two_packages_is_an_error(tmp_path, monkeypatch, registry):
    for package in ("extension_d", "extension_e"):
        install(tmp_path / package, package, {"twice": f"{package}:twice"}, "twice = 2\n")
        monkeypatch.syspath_prepend(tmp_path / package)
    with pytest.raises(TfvidError, match="codec 'twice': extension_. 1.2 and extension_. 1.2 both add this name"):
        registry.find("twice")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("", "AttributeError: module .* has no attribute 'broken'"),
    ],
)
def test_a_broken_package_is_one_line(tmp_path, monkeypatch, registry, source, reason):
    package = f"extension_{abs(hash(source))}"
    install(tmp_path, package, {"broken": f"{package}:broken"}, source)
    monkeypatch.syspath_prepend(tmp_path)
    said = rf"^codec 'broken': {package}:broken of {package} 1.2 cannot be loaded \({reason}\); reinstall the package$"
    with pytest.raises(TfvidError, match=said):
        registry.find("broken")


# Files ----------------------------------------------------------------------------------------------------------------


def test_a_part_in_a_file(tmp_path, registry):
    (tmp_path / "beside_it.py").write_text("VALUE = 3\n")
    (tmp_path / "mine.py").write_text("import beside_it\nclass Mine:\n    value = beside_it.VALUE\n")
    mine = registry.find(f"{tmp_path}/mine.py:Mine")
    assert mine.value == 3
    assert registry.find(f"{tmp_path}/mine.py:Mine") is mine
    assert isinstance(pickle.loads(pickle.dumps(mine())), mine)
    with pytest.raises(TfvidError, match=r"^codec .*mine.py:Other: the file defines no 'Other'$"):
        registry.find(f"{tmp_path}/mine.py:Other")
    with pytest.raises(TfvidError, match=r"gone.py: no such file$"):
        registry.find(f"{tmp_path}/gone.py:Mine")


def test_a_file_runs_again_when_it_has_changed(tmp_path):
    file = tmp_path / "counted.py"
    file.write_text("value = 1\n")
    first = run_python_file(file)
    assert run_python_file(file) is first and first.value == 1
    file.write_text("value = 2\n")
    os.utime(file, ns=(1, 1))
    assert run_python_file(file).value == 2


def test_a_file_that_raises_is_one_line(tmp_path):
    (tmp_path / "bad.py").write_text("1 / 0\n")
    with pytest.raises(TfvidError, match=r"bad.py: cannot be run \(ZeroDivisionError: division by zero\)$") as error:
        run_python_file(tmp_path / "bad.py")
    assert isinstance(error.value.__cause__, ZeroDivisionError)
    (tmp_path / "layers.txt").touch()
    with pytest.raises(TfvidError, match="expected a Python file, whose name ends in .py"):
        run_python_file(tmp_path / "layers.txt")
