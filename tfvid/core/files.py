"""Writes files and folders so that a killed process leaves no half of one, and makes file names of any text."""

import hashlib
import os
import re
import shutil
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path):
    """Yields a temporary path beside `path`; at the end, the file written there replaces `path`.

    Creates the folder if it does not exist. After an error, removes the temporary file and leaves `path` unchanged.
    The temporary name keeps the suffix, since Pillow and OpenCV choose their format by it.

    Args:
      path: the file to write.
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
    """Yields the path of a temporary folder, which the caller creates; at the end, the folder replaces `path`.

    After an error, removes the temporary folder and leaves `path` unchanged. The next process that writes there removes
    what a killed one left.

    Args:
      path: the folder to write.
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
    """Removes a folder, if it exists. Other processes see all of it or nothing, since it is renamed first.

    A killed process may leave a rest under a hidden name, which the next call removes.

    Args:
      path: the folder.
    """
    path = Path(path)
    hidden = path.with_name(f".{path.name}.removed")
    shutil.rmtree(hidden, ignore_errors=True)
    if path.exists():
        os.replace(path, hidden)
        shutil.rmtree(hidden)


def safe_name(text: str) -> str:
    """Returns a file name for `text`: letters, digits, ``.``, ``_`` and ``-`` only, at most 80 characters.

    If the name differs from `text`, it ends in a hash of `text`, so that different texts have different names.
    """
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip(".-")[:70]
    if name == text:
        return name
    return f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}".lstrip("-")
