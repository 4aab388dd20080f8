"""Loads a model's custom layers and functions from the Python file that defines them."""

import inspect
from pathlib import Path

from tfvid.core.errors import ModelError, TfvidError
from tfvid.core.python_file import run_python_file


def load_custom(file: str | Path) -> dict[str, object]:
    """Runs a Python file and returns the classes and functions that Keras may need to load a model.

    Args:
      file: its path.

    Returns:
      The classes and functions that the file defines, by name. Keras itself finds those that the file registers with
      ``keras.saving.register_keras_serializable``.

    Raises:
      ModelError: the file does not exist, raises an error, or defines neither a class nor a function.
    """
    try:
        module = run_python_file(file)
    except TfvidError as error:
        raise ModelError(f"{error}; expected a Python file with the model's own layers") from error.__cause__
    own = {name: value for name, value in vars(module).items() if _is_own(value, module.__name__)}
    if not own:
        raise ModelError(f"{file}: defines no class and no function; expected the model's own layers")
    return own


def _is_own(value: object, module: str) -> bool:
    """Whether `value` is a class or a function that is defined in `module`."""
    return (inspect.isclass(value) or inspect.isfunction(value)) and value.__module__ == module
