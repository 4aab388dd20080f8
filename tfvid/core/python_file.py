"""Runs a Python file that the user names, such as ``my_file.py`` in ``my_file.py:MyExplainer``."""

import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

from tfvid.core.errors import TfvidError, error_line


def run_python_file(file: str | Path) -> ModuleType:
    """Runs a Python file as a module.

    The file can import the modules beside it. It runs once in a process, and once more when it has changed: a second
    run makes other classes of the same names, which Keras cannot match with the classes of a model that is loaded.

    Args:
      file: its path.

    Returns:
      The module. Its name is ``tfvid_custom_<name of the file>``.

    Raises:
      TfvidError: one line that names the file: it does not exist, its name does not end in ``.py``, or it raises.
    """
    path = Path(file).absolute()
    if not path.is_file():
        raise TfvidError(f"{file}: no such file")
    status = path.stat()
    return _run(path, (status.st_mtime_ns, status.st_size))


@cache
def _run(file: Path, version: tuple[int, int]) -> ModuleType:
    """Runs `file`; `version` distinguishes its contents."""
    name = f"tfvid_custom_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise TfvidError(f"{file}: expected a Python file, whose name ends in .py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(file.parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # a user's file may raise anything
        del sys.modules[name]
        raise TfvidError(f"{file}: cannot be run ({error_line(error)})") from error
    finally:
        sys.path.remove(str(file.parent))
    return module
