"""What tfvid's own source never does, whoever's files it reads: looked for in its syntax trees, not in its text."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "tfvid").rglob("*.py"))

BARE = ("eval", "exec", "compile", "__import__")  # only as builtins: re.compile and model.compile are others
# Calls by the end of their dotted name, and what is wrong with them.
FORBIDDEN = {
    **dict.fromkeys(BARE, "runs text"),
    **dict.fromkeys(
        ("pickle.load", "pickle.loads", "Unpickler", "cPickle.load", "dill.load", "joblib.load"), "unpickles"
    ),
    **dict.fromkeys(("shelve.open", "marshal.load", "marshal.loads", "read_pickle"), "unpickles"),
    **dict.fromkeys(("os.system", "os.popen", "os.spawnl", "os.execv", "getoutput"), "asks a shell"),
    **dict.fromkeys(("extractall", "unpack_archive", "tarfile.open"), "unpacks an archive"),
    **dict.fromkeys(("yaml.unsafe_load", "yaml.full_load", "yaml.load_all"), "makes objects of YAML"),
    **dict.fromkeys(("ElementTree.parse", "minidom.parse", "minidom.parseString"), "reads entities"),
    **dict.fromkeys(("enable_unsafe_deserialization", "torch.load", "tf.py_function"), "runs a file's code"),
    **dict.fromkeys(("mktemp",), "names a file that another may make first"),
}

# What runs a Python file, since the user names it: as my_file.py:Name, or by --custom my_layers.py.
RUNS_FILES = ("tfvid/core/python_file.py",)


def called(node: ast.Call) -> str:
    """The dotted name of what is called; "" for anything else."""
    parts, place = [], node.func
    while isinstance(place, ast.Attribute):
        parts.append(place.attr)
        place = place.value
    return ".".join([*([place.id] if isinstance(place, ast.Name) else [""]), *reversed(parts)])


def calls(file: Path):
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return [(called(node), node) for node in ast.walk(tree) if isinstance(node, ast.Call)]


def argument(node: ast.Call, name: str):
    """The value of a keyword argument that is written out; None where it is not given."""
    return next((ast.literal_eval(k.value) for k in node.keywords if k.arg == name), None)


def is_forbidden(name: str) -> str | None:
    """Why the call may not be; None where it may."""
    for wrong, why in FORBIDDEN.items():
        if name == wrong or (wrong not in BARE and name.endswith(f".{wrong}")):
            return why
    return None


def test_the_search_finds_what_it_looks_for():
    source = "import os, pickle\neval('1')\npickle.loads(b'')\na.b.extractall()\nos.system('x')\nre.compile('x')\n"
    found = [is_forbidden(called(node)) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    assert sorted(filter(None, found)) == ["asks a shell", "runs text", "unpacks an archive", "unpickles"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_call_that_runs_what_a_file_says(file):
    place = str(file.relative_to(ROOT))
    for name, node in calls(file):
        where = f"{place}, line {node.lineno}: {name}"
        assert is_forbidden(name) is None, f"{where} {is_forbidden(name)}"
        last = name.rpartition(".")[2]
        if last == "exec_module":
            assert place in RUNS_FILES, where
        if name in ("np.load", "numpy.load"):
            assert argument(node, "allow_pickle") is False, f"{where} without allow_pickle=False"
        if name == "yaml.load":
            assert place == "tfvid/config.py", where  # whose loader is a yaml.SafeLoader
        if last == "loadmat":
            assert place == "tfvid/data/sources/matlab.py", f"{where} outside the process that may crash"
        if name.startswith("keras") and last == "load_model":
            assert argument(node, "safe_mode") is True, f"{where} without safe_mode=True"
        assert argument_is_not_true(node, "shell"), f"{where} by a shell"


def argument_is_not_true(node: ast.Call, name: str) -> bool:
    return not any(k.arg == name and getattr(k.value, "value", None) is True for k in node.keywords)


def test_no_pickle_is_imported():
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert name.split(".")[0] not in ("pickle", "dill", "shelve", "marshal", "joblib"), f"{file}: {name}"


def test_the_yaml_loader_is_a_safe_one():
    import yaml

    from tfvid import config

    assert issubclass(config._Loader, yaml.SafeLoader)


@pytest.mark.parametrize("file", sorted((ROOT / "tfvid").rglob("static/*.js")), ids=lambda file: file.name)
def test_pages_never_read_text_as_markup_or_code(file):
    script = file.read_text(encoding="utf-8")
    for wrong in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        "DOMParser",
    ):
        assert wrong not in script
