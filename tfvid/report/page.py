"""One static page: the template with its parts put in, and how numbers are printed on it."""

import json
import math
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from tfvid.files import replacing


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
    page = Template((static / "page.html").read_text(encoding="utf-8")).substitute(
        clips,
        title=escape(title),
        lead=lead,
        top=top,
        sources=", ".join(links),
        css=(static / "page.css").read_text(encoding="utf-8"),
        js=(static / "page.js").read_text(encoding="utf-8"),
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def as_script(value) -> str:
    """`value` as JSON that may stand in a script element: nothing in it can end the element or open a comment."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def number(value: float | None, digits: int) -> str:
    """`value` with `digits` decimals and a real minus sign; "–" for None or NaN."""
    if value is None or math.isnan(value):
        return "–"
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "−")
