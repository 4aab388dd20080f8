"""What mypy says of a user's code: names that do not exist are errors, and a correct script has none."""

import subprocess
import sys

import pytest
from documents import ROOT

pytest.importorskip("mypy")

WRONG = """
import tfvid

tfvid.nonsense
tfvid.explain.Nonsense
tfvid.GradCAM(no_such_option=1)
name: int = tfvid.explainer("lime", None)
"""


@pytest.fixture(scope="module")
def errors(tmp_path_factory) -> dict[str, list[str]]:
    """The error codes by file, of one run of mypy."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "wrong.py").write_text(WRONG)
    right = ROOT / "tests" / "core" / "typed_user.py"
    # The options of pyproject.toml, but without errors of tfvid itself: `make lint` shows those.
    command = [sys.executable, "-m", "mypy", "--config-file", ROOT / "pyproject.toml", "--follow-imports=silent"]
    done = subprocess.run(
        [*map(str, command), str(folder / "wrong.py"), str(right)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found: dict[str, list[str]] = {"wrong.py": [], right.name: []}
    for line in done.stdout.splitlines():
        if ": error: " in line:
            found[line.partition(":")[0].rpartition("/")[2]].append(line)
    return found


@pytest.mark.long
def test_a_typed_script_has_no_errors(errors):
    assert errors["typed_user.py"] == []


@pytest.mark.long
def test_names_that_do_not_exist_are_errors(errors):
    lines = {int(line.split(":")[1]): line for line in errors["wrong.py"]}
    assert sorted(lines) == [4, 5, 6, 7]
    assert 'Module has no attribute "nonsense"' in lines[4]
    assert 'Module has no attribute "Nonsense"' in lines[5]
