"""The blocks of README.md and docs/: which are Python, and which commands the others hold."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# How a command begins; other lines of a block without a language are formulas, or what a program answers.
_COMMAND = re.compile(
    r"(\.venv/bin/\w+|tfvid|make|python|pip|pytest|tensorboard|tensorflow_model_server|duckdb|export) "
)


@dataclass(frozen=True)
class Block:
    """A piece of code on a page.

    Attributes:
      page: the file, relative to the checkout.
      line: where it begins, from 1.
      text: as printed, without the indentation of an indented block.
    """

    page: str
    line: int
    text: str

    def __str__(self):
        return f"{self.page}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """The fenced and the indented blocks of a page, in their order."""
    name, found, held, begun, fenced = page.relative_to(ROOT).as_posix(), [], [], 0, False

    def end():
        text = "\n".join(held).strip("\n")
        if text:
            found.append(Block(name, begun, text + "\n"))
        held.clear()

    previous = ""
    for number, line in enumerate(page.read_text(encoding="utf-8").split("\n"), 1):
        if line.startswith("```"):
            end()
            fenced, begun = not fenced, number + 1
        elif fenced:
            held.append(line)
        elif line.startswith("    ") and (held or not previous.strip()):
            begun = begun if held else number
            held.append(line[4:])
        elif held and not line.strip():
            held.append("")
        else:
            end()
        previous = line
    end()
    return found


def is_python(block: Block) -> bool:
    """Whether it is Python: it has an assignment, an import or a call, and compiles."""
    if commands(block):
        return False
    try:
        compile(block.text, str(block), "exec")
    except SyntaxError:
        return False
    return bool(re.search(r"^(import|from) |^[\w., ]+ = |^\w[\w.]*\(", block.text, re.MULTILINE))


def commands(block: Block) -> list[list[str]]:
    """The words of each command in it; comments are left out, and continued lines are joined."""
    lines = [line for line in block.text.replace("\\\n", " ").splitlines() if _COMMAND.match(line)]
    return [shlex.split(line, comments=True) for line in lines]
