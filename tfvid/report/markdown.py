"""Escapes text for Markdown, and writes Markdown tables."""

from collections.abc import Iterable, Sequence

MARKUP = str.maketrans({character: f"\\{character}" for character in "\\`*_[]|"} | {"<": "&lt;", ">": "&gt;"})


def plain(text: str) -> str:
    """Returns `text` on one line, with the markup characters of Markdown and HTML escaped."""
    return " ".join(text.translate(MARKUP).split())


def markdown_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a Markdown table.

    Args:
      titles: headings, already Markdown.
      rows: a cell for each heading, already Markdown.
    """
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])
