"""The folder that a dataset lies in."""

from pathlib import Path

from tfvid.core.errors import DataError


def existing_folder(path) -> Path:
    """`path`, which must be a folder.

    A loader calls this first: a folder that is missing is then named itself, not a file that was expected inside it.

    Raises:
      DataError: it does not exist, or is a file.
    """
    path = Path(path)
    if path.is_dir():
        return path
    raise DataError(f"{path}: {'expected a folder, this is a file' if path.exists() else 'no such folder'}")
