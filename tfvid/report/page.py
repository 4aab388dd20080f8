"""Writes a static page: a rendered template with its style sheet, its script and its content security policy."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

from markupsafe import Markup

from tfvid.core.files import replacing
from tfvid.report.rendering import render

# The files of the page's script, in order. "export" is for the TensorBoard plugin, which shares one of them.
SCRIPTS = ("dom", "download", "colours", "film", "numbers", "cards", "play", "view", "choose", "start")


def write_page(folder, template: str, *, title: str, clips: Mapping, sources: Sequence[str], **values) -> Path:
    """Writes ``index.html`` into `folder`: a single file that needs no server and no network.

    Args:
      folder: the folder with the films of the page.
      template: name of the template, which extends ``page.html``.
      title: plain text.
      clips: from `tfvid.report.clips.clips_section`.
      sources: names of files in `folder` with the page's numbers; the footer links to those that exist.
      **values: further variables of the template.

    Returns:
      The page's path.
    """
    static = files("tfvid.report") / "static"
    path = Path(folder) / "index.html"
    first = 'document.documentElement.classList.remove("no-js")'
    parts = [(static / f"{name}.js").read_text(encoding="utf-8").replace("\nexport ", "\n") for name in SCRIPTS]
    script = "\n".join(['\n"use strict";', f"const run = {clips['data']};", *parts])
    page = render(
        template,
        policy=policy([first, script]),
        title=title,
        css=Markup((static / "page.css").read_text(encoding="utf-8")),
        first=Markup(first),
        script=Markup(script),
        clips=clips,
        sources=[name for name in sources if (path.parent / name).is_file()],
        **values,
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def policy(scripts: Sequence[str]) -> str:
    """Returns the content security policy of a page: only these scripts run, and pictures load from the page's folder.

    Names and labels of clips are escaped. The policy is a second defence: if one of them became markup, its scripts
    would not run, nothing would be fetched from elsewhere, and a browser that supports trusted types would not let the
    page's own scripts read text as markup.

    Args:
      scripts: the text of each script element, with all characters between its tags.
    """
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    return "; ".join(
        [
            "default-src 'none'",
            "script-src " + " ".join(f"'sha256-{digest}'" for digest in digests),
            "style-src 'unsafe-inline'",  # the style sheet, and sizes and positions of elements
            "img-src 'self' file:",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        ]
    )


def as_script(value) -> str:
    """Returns `value` as JSON for a script element. Characters that end the element or start a comment are escaped.

    Args:
      value: a value that JSON can represent.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
