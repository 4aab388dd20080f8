"""The documentation site: ``make docs`` builds it without a warning, and links in the root's pages have targets."""

import re
import subprocess
import sys

import pytest
from documents import ROOT

ROOT_PAGES = ("README.md", "SECURITY.md", "CONTRIBUTING.md")


@pytest.mark.long
def test_the_site_builds_without_a_warning(tmp_path):
    pytest.importorskip("mkdocstrings_handlers.python", reason="the extra `docs` is not installed")
    pytest.importorskip("mkdocs_jupyter", reason="the extra `docs` is not installed")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    reference = (tmp_path / "reference" / "explainers" / "index.html").read_text(encoding="utf-8")
    assert 'id="tfvid.explain.cam.grad_cam.GradCAM"' in reference


@pytest.mark.parametrize("page", ROOT_PAGES)
def test_every_link_to_a_file_has_a_target(page):
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []
