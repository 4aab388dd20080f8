"""The packages of tfvid import one another in one direction, their folders in no circle, and functions are short.

Imports inside functions count. For the direction, so do the names in registries, ``"tfvid.package.module:Object"``.
"""

import ast
import re
import statistics
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "tfvid"
# A package imports those on its left only.
ORDER = (
    *("core", "network", "perturb", "data", "adapters", "models", "metrics", "explain", "results", "report"),
    *("tensorboard", "export", "callbacks", "config", "experiments", "training", "testing", "cli"),
)
LONGEST_FUNCTION, MEDIAN_FUNCTION = 60, 8  # lines, with signature and docstring
MAY_IMPORT_CONFIG = {"experiments", "training", "testing", "cli"}
# Exceptions of today, and the developer who removes each.
KNOWN: dict[tuple[str, str], str] = {}
KNOWN_CIRCLES: dict[tuple[str, ...], str] = {}

FILES = {".".join(("tfvid", *file.relative_to(ROOT).with_suffix("").parts)): file for file in ROOT.rglob("*.py")}
# Without __main__.py: it only starts tfvid.cli.
FILES = {name.removesuffix(".__init__"): file for name, file in FILES.items() if file.name != "__main__.py"}


def imported(name: str, text: str, registered: bool = True) -> set[str]:
    """The modules of tfvid that the module called `name` imports, or also `registered` ones."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name}, line {node.lineno}: expected an absolute import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif registered and isinstance(node, ast.Constant) and re.fullmatch(r"tfvid(\.\w+)+:\w+", str(node.value)):
            found.add(node.value.partition(":")[0])
    return {_module(target) for target in found if target.startswith("tfvid.")} - {name, "tfvid"}


def _module(target: str) -> str:
    """``tfvid.core.errors`` for ``tfvid.core.errors.DataError``."""
    return target if target in FILES else target.rpartition(".")[0]


def arrows(registered: bool = True) -> set[tuple[str, str]]:
    """All pairs (module, module that it imports), without the public names in `tfvid` itself."""
    texts = {name: file.read_text("utf-8") for name, file in FILES.items() if name != "tfvid"}
    return {(name, target) for name, text in texts.items() for target in imported(name, text, registered)}


def package(module: str) -> str:
    return module.split(".")[1]


def is_wrong(name: str, target: str) -> bool:
    here, there = package(name), package(target)
    if there == "config" and here not in {"config", *MAY_IMPORT_CONFIG}:
        return True
    return ORDER.index(there) > ORDER.index(here)


def test_every_package_has_a_place():
    assert {package(name) for name in FILES if name != "tfvid"} <= set(ORDER)


def test_imports_run_one_way():
    wrong = {(name, target) for name, target in arrows() if is_wrong(name, target)}
    lines = [f"{name} imports {target}" for name, target in sorted(wrong - KNOWN.keys())]
    assert not lines, f"against the order {' < '.join(ORDER)}:\n" + "\n".join(lines)
    assert not KNOWN.keys() - wrong, "these exceptions no longer exist: take them out of KNOWN"


def folder(module: str) -> str:
    return ".".join(("tfvid", *FILES[module].relative_to(ROOT).parent.parts))


def circles(pairs: set[tuple[str, str]]) -> set[tuple[str, ...]]:
    """The sets of nodes that reach one another, each sorted."""
    reached = {here: {there for start, there in pairs if start == here} for here, _ in pairs}
    for middle in reached:
        for here in reached:
            if middle in reached[here]:
                reached[here] |= reached[middle]
    on_circle = {here for here in reached if here in reached[here]}
    return {tuple(sorted(there for there in reached[here] & on_circle if here in reached[there])) for here in on_circle}


def test_folders_make_no_circles():
    imports = {(name, target) for name, target in arrows(registered=False) if folder(name) != folder(target)}
    found = circles({(folder(name), folder(target)) for name, target in imports})
    lines = [
        f"{name} imports {target}"
        for circle in found - KNOWN_CIRCLES.keys()
        for name, target in sorted(imports)
        if {folder(name), folder(target)} <= set(circle)
    ]
    assert not lines, "folders import one another in a circle:\n" + "\n".join(lines)
    assert not KNOWN_CIRCLES.keys() - found, "these circles no longer exist: take them out of KNOWN_CIRCLES"


@pytest.mark.parametrize("start", ["tfvid.data.sources", "tfvid.data.decode"])
def test_data_sources_know_no_engines(start):
    lines = [
        f"{a} imports {b}" for a, b in sorted(arrows()) if a.startswith(start) and b.startswith("tfvid.core.engine")
    ]
    assert not lines, "\n".join(lines)


def lengths(text: str) -> list[tuple[int, int, str]]:
    """The functions and methods in a module, also nested ones: lines, first line, name."""
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [(node.end_lineno - node.lineno + 1, node.lineno, node.name) for node in functions]


def test_functions_are_short():
    found = [(name, *function) for name, file in FILES.items() for function in lengths(file.read_text("utf-8"))]
    long = [
        f"{name}:{line} {function}: {lines} lines" for name, lines, line, function in found if lines > LONGEST_FUNCTION
    ]
    assert not long, f"longer than {LONGEST_FUNCTION} lines:\n" + "\n".join(long)
    assert statistics.median(lines for _, lines, _, _ in found) <= MEDIAN_FUNCTION


# The checks themselves, on made-up modules.


def test_imports_are_found_wherever_they_are():
    text = """
import tfvid.core.errors
from tfvid import metrics, __version__
def f():
    from tfvid.cli.train import main
PARTS = {"a": "tfvid.explain.base:Explainer"}
"""
    assert imported("tfvid.config", text) == {
        *("tfvid.core.errors", "tfvid.metrics", "tfvid.cli.train", "tfvid.explain.base"),
    }


@pytest.mark.parametrize(
    ("name", "target", "wrong"),
    [
        ("tfvid.core.files", "tfvid.network.tracing", True),
        ("tfvid.network.tracing", "tfvid.core.files", False),
        ("tfvid.metrics.sanity", "tfvid.explain.base", True),
        ("tfvid.callbacks", "tfvid.config", True),
        ("tfvid.training.loop", "tfvid.config", False),
    ],
)
def test_what_is_wrong(name, target, wrong):
    assert is_wrong(name, target) == wrong


def test_circles_are_found():
    assert circles({("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("e", "a")}) == {("a", "b", "c")}
    assert circles({("a", "b"), ("b", "c"), ("a", "c")}) == set()


def test_lines_of_functions_are_counted():
    text = """
@cached
def f(
    a,
):
    def g():
        pass

    return g
class C:
    async def h(self): ...
"""
    assert sorted(lengths(text)) == [(1, 11, "h"), (2, 6, "g"), (7, 3, "f")]
