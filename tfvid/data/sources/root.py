"""Checks the folder of a data set."""

from pathlib import Path

from tfvid.core.errors import DataError


def existing_folder(path) -> Path:
    """Returns `path`, which must be a folder.

    Data sets call this first, so that the message names the missing folder and not a file in it.

    Raises:
      DataError: it does not exist, or is a file.
    """
    path = Path(path)
    if path.is_dir():
        return path
    raise DataError(f"{path}: {'expected a folder, this is a file' if path.exists() else 'no such folder'}")
