"""Errors a user can act on: one line that says what was expected, what came, and where."""

import difflib
import inspect
import re
import sys
import warnings
from collections.abc import Iterable, Sequence

LONGEST = 2000  # characters of a message; files of others are quoted in it, and may be made of one long word


class TfvidError(ValueError):
    """Something the caller gave is wrong; the message is one line that names it."""

    def __str__(self):
        return one_line(super().__str__())


class ConfigError(TfvidError):
    """A config key or value that is not valid."""


class DataError(TfvidError):
    """A file or record that is not what it claims to be; the message names the file."""


class VideoError(DataError):
    """A video that cannot be decoded.

    Attributes:
      path: the file.
      reason: why, without the path, fit for counting and listing.
    """

    def __init__(self, path, reason: str):
        super().__init__(f"{path}: {reason}")
        self.path = str(path)
        self.reason = reason


class ModelError(TfvidError):
    """A model, layer or checkpoint that does not fit what is asked of it."""


class StillClipWarning(UserWarning):
    """All frames of a clip are identical, so its mask says nothing about time."""


def one_line(text: str) -> str:
    r"""`text` fit to be printed: no line breaks, control characters as ``\x1b``, at most `LONGEST` characters.

    Names out of other people's files are in it: a terminal would obey an escape sequence, and show text after a
    character that turns the writing direction in another order.
    """
    line = re.sub(r"\s*[\r\n\u2028\u2029]\s*", " ", text[: LONGEST + 1])
    line = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in line)
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}…"


def error_line(error: BaseException) -> str:
    """``ValueError: what it says``, in one line of 300 characters at most: for errors that are not tfvid's own."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def first_of(names: Sequence[str], most: int) -> str:
    """``a, b and 3 more``: the first `most` names, and how many others there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def unknown(kind: str, name, valid: Iterable[str]) -> str:
    """``unknown optimizer 'adm'; did you mean 'adam'? valid: adam, sgd``."""
    valid = [str(v) for v in valid]
    near = difflib.get_close_matches(str(name), valid, n=1)
    hint = f" did you mean {near[0]!r}?" if near else ""
    return f"unknown {kind} {str(name)!r};{hint} valid: {', '.join(valid)}"


def check_choice(argument: str, value, valid):
    """Raises TfvidError unless `value` is one of `valid`."""
    if value not in valid:
        raise TfvidError(unknown(argument, value, valid))


def warn_caller(message: str, category: type[Warning] = RuntimeWarning):
    """Warns at the line outside tfvid that called into tfvid, however deep the calls are."""
    frame, level = inspect.currentframe(), 1
    while frame and frame.f_globals.get("__name__", "").partition(".")[0] == "tfvid":
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def command(main):
    """Runs a command's ``main(argv) -> None``.

    An error becomes one line on stderr and exit code 1, and so does a missing package (a script may be run by another
    Python than that of the environment). A warning becomes one line on stderr.
    """
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: print(f"warning: {one_line(str(message))}", file=sys.stderr)
        try:
            main(sys.argv[1:])
        except (TfvidError, OSError) as error:
            sys.exit(f"error: {error}")
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] == "tfvid":
                raise
            sys.exit(
                f"error: {sys.executable} finds no module {error.name!r}; in a clone, run the command with "
                ".venv/bin/python, which `make explain` sets up; elsewhere, install the module"
            )
        except KeyboardInterrupt:
            sys.exit("interrupted")
