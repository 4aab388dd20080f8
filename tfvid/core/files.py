"""Writing files so that a kill never leaves half of one, and naming them after anything."""

import hashlib
import os
import re
import shutil
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path):
    """Yields a temporary path in the folder of `path`; what is written there replaces `path` at the end.

    The folder is made if it is not there. After an error the temporary file is removed and `path` is as it was.
    The temporary name keeps the suffix, by which Pillow and OpenCV choose their format.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path):
    """Yields the path of a temporary folder, to be made; it takes the place of `path` at the end.

    After an error the temporary folder is removed and `path` is as it was. What a killed process left is cleared
    away by the next one that writes there.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, old = (path.with_name(f".{path.name}.{state}") for state in ("new", "old"))

    def clear():
        if old.exists() and not path.exists():  # stopped between the two moves below
            os.replace(old, path)
        for leftover in (temporary, old):
            shutil.rmtree(leftover, ignore_errors=True)

    clear()
    try:
        yield temporary
        if path.exists():
            os.replace(path, old)
        os.replace(temporary, path)
    finally:
        clear()


def remove_folder(path):
    """Removes a folder, if it is there, which is gone at once for all who look for it by its name.

    What a killed process did not get to lies beside it, under a hidden name, until the next call.
    """
    path = Path(path)
    hidden = path.with_name(f".{path.name}.removed")
    shutil.rmtree(hidden, ignore_errors=True)
    if path.exists():
        os.replace(path, hidden)
        shutil.rmtree(hidden)


def safe_name(text: str) -> str:
    """A file name for `text`: letters, digits, ``.``, ``_`` and ``-`` only, at most 80 characters.

    Where something had to change, a hash of `text` is appended, so that two texts never share a name.
    """
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip(".-")[:70]
    if name == text:
        return name
    return f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}".lstrip("-")
