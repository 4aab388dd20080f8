"""The public names: those of the stubs, those of the registries, and those that the documentation uses."""

import ast
import json
import re
import subprocess
import sys

import pytest
from documents import PAGES, ROOT

import tfvid
from tfvid.data.datasets import DATASETS
from tfvid.explain.explainers import EXPLAINERS
from tfvid.metrics.metrics import METRICS
from tfvid.models.architectures import MODELS
from tfvid.perturb.perturbations import PERTURBATIONS

REGISTRIES = {
    "data": DATASETS,
    "explain": EXPLAINERS,
    "metrics": METRICS,
    "models": MODELS,
    "perturb": PERTURBATIONS,
}
# Dotted names of the documentation that are no names of Python: entry points, a field of a Parquet file's metadata.
NO_NAMES = {*(registry.group for registry in REGISTRIES.values()), "tfvid.version"}
# Prints the names of a file that cannot be reached from tfvid.
RESOLVE = """
import functools, json, sys
import tfvid
missing = []
for name in json.load(open(sys.argv[1])):
    try:
        functools.reduce(getattr, name.split(".")[1:], tfvid)
    except AttributeError:
        missing.append(name)
print(json.dumps(missing))
"""


def docstrings(source: str) -> list[str]:
    """The docstrings of a module and of its classes and functions."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    return [ast.get_docstring(node) or "" for node in ast.walk(ast.parse(source)) if isinstance(node, kinds)]


def documented_names() -> dict[str, str]:
    """The file that uses it, by dotted name."""
    texts = {page: page.read_text(encoding="utf-8") for page in PAGES}
    for file in sorted((ROOT / "tfvid").rglob("*.py")):
        texts[file] = "\n".join(docstrings(file.read_text(encoding="utf-8")))
    return {
        name: str(file.relative_to(ROOT))
        for file, text in texts.items()
        for name in re.findall(r"(?<![\w/.-])tfvid(?:\.[A-Za-z_]\w*)+", text)
    }


def test_documented_names_exist_after_import_tfvid(forks, tmp_path):
    """In a new process, which has imported nothing else of tfvid."""
    where = documented_names()
    assert {"tfvid.GradCAM", "tfvid.explain.EXPLAINERS", "tfvid.study.compare"} <= set(where)
    (tmp_path / "names.json").write_text(json.dumps(sorted(where)))
    done = forks.run(RESOLVE, tmp_path / "names.json", cwd=ROOT)
    assert done.returncode == 0, done.stderr
    missing = {name: where[name] for name in json.loads(done.stdout.splitlines()[-1]) if name not in NO_NAMES}
    assert missing == {}


def test_import_tfvid_loads_no_large_library():
    code = "import sys, tfvid; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    large = {"tensorflow", "keras", "numpy", "cv2", "av", "pyarrow", "yaml", "matplotlib", "tfvid.explain"}
    loaded = set(done.stdout.split())
    assert "tfvid" in loaded and large & loaded == set()


@pytest.mark.parametrize("package", REGISTRIES)
def test_the_stub_names_every_part_of_the_registry(package):
    names = {target.partition(":")[2] for target in REGISTRIES[package].parts.values()}
    assert names <= set(getattr(tfvid, package).__all__)


@pytest.mark.parametrize("package", REGISTRIES)
def test_a_flat_name_is_the_registrys_object(package):
    registry = REGISTRIES[package]
    for name, target in registry.parts.items():
        assert getattr(getattr(tfvid, package), target.partition(":")[2]) is registry.find(name)


def test_every_explainer_model_and_data_set_is_a_name_of_tfvid():
    parts = [*EXPLAINERS.parts.values(), *MODELS.parts.values(), *DATASETS.parts.values()]
    assert {target.partition(":")[2] for target in parts} <= set(tfvid.__all__)
    assert len(EXPLAINERS.parts) == len({*EXPLAINERS.parts.values()})


def test_every_name_of_all_exists():
    packages = [tfvid, *(getattr(tfvid, name) for name in tfvid.__all__ if (ROOT / "tfvid" / name).is_dir())]
    for package in packages:
        for name in package.__all__:
            assert hasattr(package, name), f"{package.__name__}.{name}"


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nonsense"):
        _ = tfvid.nonsense  # type: ignore[attr-defined]
