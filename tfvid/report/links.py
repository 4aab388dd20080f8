"""Links from a page to the files in its folder."""

from pathlib import PurePosixPath
from urllib.parse import quote

from tfvid.core.errors import DataError


def beside(file: str) -> str:
    """The relative URL, from the page, of a file in the page's folder.

    Args:
      file: path relative to the folder, as in the records.

    Raises:
      DataError: the path leads out of the folder, as a path in an untrusted file may.
    """
    parts = PurePosixPath(file).parts
    if file.startswith("/") or ".." in parts or "\0" in file:
        raise DataError(f"the records name a file that is not in the run's folder, {file!r}")
    return quote(file)
