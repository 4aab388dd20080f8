"""Packages that a part of tfvid needs, and that tfvid does not install by itself."""

from importlib import import_module
from types import ModuleType

from tfvid.core.errors import ConfigError, message_line


def needed(package: str, extra: str) -> ModuleType:
    """Imports an optional package.

    Args:
      package: its name, as Python imports it.
      extra: the extra of tfvid that installs it.

    Returns:
      The imported package.

    Raises:
      ConfigError: the package is not installed or cannot be imported; the line says how to install it.
    """
    try:
        return import_module(package)
    except ImportError as error:
        raise ConfigError(f"{package} is needed: pip install 'tfvid[{extra}]' ({message_line(error)})") from error
