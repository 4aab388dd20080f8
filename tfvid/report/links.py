"""Links from a page to files in the page's folder."""

from pathlib import PurePosixPath
from urllib.parse import quote

from tfvid.core.errors import DataError


def beside(file: str) -> str:
    """Returns the URL of a file relative to the page.

    Args:
      file: path relative to the page's folder, as in the records.

    Raises:
      DataError: the path leads out of the folder, as paths in untrusted files can.
    """
    parts = PurePosixPath(file).parts
    if file.startswith("/") or ".." in parts or "\0" in file:
        raise DataError(f"the records name a file that is not in the run's folder, {file!r}")
    return quote(file)
