"""A model's own layers and functions, out of the Python file that defines them."""

import importlib.util
import inspect
import sys
from functools import cache
from pathlib import Path

from tfvid.core.errors import ModelError, error_line


def load_custom(file: str | Path) -> dict[str, object]:
    """Runs a Python file and returns what Keras may need of it to load a model.

    Args:
      file: its path.

    Returns:
      The classes and functions that the file defines, by name. What it registers with
      ``keras.saving.register_keras_serializable`` Keras finds by itself.

    Raises:
      ModelError: no such file, an error in it, or nothing of the kind in it.
    """
    return dict(_loaded(Path(file).absolute()))


@cache  # a second run would make other classes of the same names
def _loaded(file: Path) -> dict[str, object]:
    if not file.is_file():
        raise ModelError(f"{file}: no such file; expected a Python file with the model's own layers")
    name = f"tfvid_custom_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None:
        raise ModelError(f"{file}: expected a Python file, called .py, with the model's own layers")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(file.parent))  # what lies beside it can be imported
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # a user's file raises what it likes
        del sys.modules[name]
        raise ModelError(f"{file}: cannot be run ({error_line(error)})") from error
    finally:
        sys.path.remove(str(file.parent))
    own = {
        name: value
        for name, value in vars(module).items()
        if (inspect.isclass(value) or inspect.isfunction(value)) and value.__module__ == module.__name__
    }
    if not own:
        raise ModelError(f"{file}: defines no class and no function; expected the model's own layers")
    return own
