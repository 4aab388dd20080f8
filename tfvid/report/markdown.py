"""Text and numbers as Markdown, with nothing in them that would be taken for markup."""

from collections.abc import Iterable, Sequence

MARKUP = str.maketrans({character: f"\\{character}" for character in "\\`*_[]|"} | {"<": "&lt;", ">": "&gt;"})


def plain(text: str) -> str:
    """`text` on one line, with nothing in it that Markdown or HTML would take for markup."""
    return " ".join(text.translate(MARKUP).split())


def markdown_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown already."""
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])
