"""Errors of one line: what tfvid expected, what it got, and where."""

import difflib
import inspect
import re
import sys
import warnings
from collections.abc import Iterable, Sequence

LONGEST = 2000  # characters of a message, which may quote an untrusted file


class TfvidError(ValueError):
    """An argument or a file is wrong. The message is one line that names it."""

    def __str__(self):
        return one_line(super().__str__())


class ConfigError(TfvidError):
    """A config key or value is not valid."""


class DataError(TfvidError):
    """A file or record cannot be read as what it claims to be. The message names the file."""


class VideoError(DataError):
    """A video cannot be decoded.

    Attributes:
      path: the file, a string.
      reason: the cause without the path, so that failures of many files can be counted by cause.
    """

    def __init__(self, path, reason: str):
        super().__init__(f"{path}: {reason}")
        self.path = str(path)
        self.reason = reason


class ModelError(TfvidError):
    """A model, layer or checkpoint does not fit the request."""


class StillClipWarning(UserWarning):
    """All frames of a clip are identical, so its temporal mask has no meaning."""


def one_line(text: str) -> str:
    r"""Returns `text` as one line that is safe to print.

    Line breaks become spaces, and characters that cannot be printed become escapes such as ``\x1b``. The text is cut
    to `LONGEST` characters. Messages quote names from untrusted files, and a terminal executes escape sequences and
    reorders text after a character that changes the writing direction.
    """
    line = re.sub(r"\s*[\r\n\u2028\u2029]\s*", " ", text[: LONGEST + 1])
    line = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in line)
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}…"


def message_line(error: BaseException | str, most: int = 300) -> str:
    """Returns the message of another library's error in one line of at most `most` characters, without colours."""
    return " ".join(re.sub(r"\x1b\[\d*m", "", str(error)).split())[:most]


def error_line(error: BaseException) -> str:
    """Returns ``ValueError: the message`` in one line of at most 300 characters, for errors of other libraries."""
    return f"{type(error).__name__}: {message_line(error)}"[:300].rstrip()


def first_of(names: Sequence[str], most: int) -> str:
    """Returns ``a, b and 3 more``: the first `most` names and the number of the others."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def unknown(kind: str, name, valid: Iterable[str]) -> str:
    """Returns ``unknown optimizer 'adm'; did you mean 'adam'? valid: adam, sgd``."""
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

    A tfvid or file error becomes one line on stderr and exit code 1. So does a missing package: the user may have run
    the script by a Python outside the environment. A warning becomes one line on stderr.
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
