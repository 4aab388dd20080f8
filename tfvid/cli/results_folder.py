"""The folder for the results of a command."""

from pathlib import Path

from tfvid.core.errors import ConfigError
from tfvid.core.remote import is_remote


def check_folder(path) -> None:
    """Checks that the folder exists or can be made, before the work begins.

    Args:
      path: of the folder, which need not exist; a URI is not checked.

    Raises:
      ConfigError: `path` is a file, or lies below one; one line that names the file.
    """
    if is_remote(str(path)):
        return
    for place in (Path(path), *Path(path).parents):
        if place.is_dir():
            return
        if place.exists():
            raise ConfigError(f"{place}: expected a folder for the results, this is a file")
