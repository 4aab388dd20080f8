"""The folder that a command writes its results to."""

from pathlib import Path

from tfvid.core.errors import ConfigError
from tfvid.core.remote import is_remote


def check_folder(path) -> None:
    """Refuses a place where no folder can be made, before the work begins.

    Args:
      path: need not be there yet; a URI is not looked at.

    Raises:
      ConfigError: it is a file, or lies below one; one line that names the file.
    """
    if is_remote(str(path)):
        return
    for place in (Path(path), *Path(path).parents):
        if place.is_dir():
            return
        if place.exists():
            raise ConfigError(f"{place}: expected a folder for the results, this is a file")
