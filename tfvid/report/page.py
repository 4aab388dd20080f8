"""One static page: the template with its parts put in, and how numbers are printed on it."""

import base64
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path, PurePosixPath
from string import Template
from urllib.parse import quote

from tfvid.core.errors import DataError
from tfvid.core.files import replacing


def write_page(folder, *, title: str, lead: str, top: str, clips: Mapping[str, str], sources: list[str]) -> Path:
    """Writes ``index.html`` into `folder`: one file that needs no server, no network, and no other page file.

    Args:
      folder: where the films it names are.
      title: plain text.
      lead: HTML under the title.
      top: HTML between the lead and the clips.
      clips: what `tfvid.report.clips.clips_section` gives.
      sources: files in `folder` that hold the page's numbers, named at its foot where they are there.

    Returns:
      The page's path.
    """
    static = files("tfvid.report") / "static"
    path = Path(folder) / "index.html"
    links = [f'<a href="{escape(name)}">{escape(name)}</a>' for name in sources if (path.parent / name).is_file()]
    first = 'document.documentElement.classList.remove("no-js")'
    script = f"\nconst run = {clips['data']};\n{(static / 'page.js').read_text(encoding='utf-8')}\n"
    page = Template((static / "page.html").read_text(encoding="utf-8")).substitute(
        {name: part for name, part in clips.items() if name != "data"},
        policy=policy([first, script]),
        title=escape(title),
        lead=lead,
        top=top,
        sources=", ".join(links),
        css=(static / "page.css").read_text(encoding="utf-8"),
        first=first,
        script=script,
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def policy(scripts: Sequence[str]) -> str:
    """The content security policy of a page: it runs these scripts and no others, and loads pictures beside it.

    Names and labels of clips are text on the page. Should one ever come to be markup, nothing in it would run (its
    script is none of these), nothing be fetched from elsewhere, and a browser that knows trusted types would not even
    let the scripts read text as markup.

    Args:
      scripts: the text of each script element, every character between its tags.
    """
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    return "; ".join(
        [
            "default-src 'none'",
            "script-src " + " ".join(f"'sha256-{digest}'" for digest in digests),
            "style-src 'unsafe-inline'",  # lengths and places
            "img-src 'self' file:",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        ]
    )


def as_script(value) -> str:
    """`value` as JSON that may stand in a script element: nothing in it can end the element or open a comment."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def beside(file: str) -> str:
    """The address, from the page, of a file in its folder.

    Raises:
      DataError: the name leads out of the folder, as one in a stranger's records may.
    """
    parts = PurePosixPath(file).parts
    if file.startswith("/") or ".." in parts or "\0" in file:
        raise DataError(f"the records name a file that is not in the run's folder, {file!r}")
    return quote(file)


def number(value: float | None, digits: int) -> str:
    """`value` with `digits` decimals and a real minus sign; "–" for None or NaN."""
    if value is None or math.isnan(value):
        return "–"
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "−")
