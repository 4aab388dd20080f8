"""Hooks of the documentation site (mkdocs.yml).

The files of `PAGES` lie in the root of the checkout, where GitHub expects them; the site has a page for each. Links to
other files outside docs/ work on GitHub only: the site shows their text.
"""

import re
from pathlib import Path

from mkdocs.plugins import get_plugin_logger
from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parent.parent
PAGES = {"SECURITY.md": "security.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
LINK = re.compile(r"\[([^\]\n]+)\]\(\.\./([^)#\n]+)(#[^)\n]*)?\)")

log = get_plugin_logger("tfvid")


def on_files(files, config):
    """Adds the pages that lie in the root. Their links are made relative to docs/."""
    for name, page in PAGES.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        text = re.sub(r"\]\((?!https?:|#|docs/)", "](../", text).replace("](docs/", "](")
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown, page, config, files):
    """Replaces links to files outside docs/; a link to a file that does not exist is a warning."""
    if "/" in page.file.src_uri:
        return markdown

    def replace(link):
        text, target, anchor = link[1], link[2], link[3] or ""
        if target in PAGES:
            return f"[{text}]({PAGES[target]}{anchor})"
        if not (ROOT / target).exists():
            log.warning(f"{page.file.src_uri} links to {target}, which does not exist")
        return text if "`" in text else f"`{target}`"

    return LINK.sub(replace, markdown)
