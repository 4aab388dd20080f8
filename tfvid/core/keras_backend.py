"""Checks that Keras runs on TensorFlow, without importing Keras."""

import json
import os
import sys
from pathlib import Path

from tfvid.core.errors import ConfigError

NEEDED = "tensorflow"


def check_backend():
    """Raises ConfigError if Keras runs, or will run when it is imported, on another backend than TensorFlow."""
    found, where = _backend()
    if found != NEEDED:
        raise ConfigError(
            f"tfvid needs Keras on TensorFlow, and {where} says {found!r}; set the environment variable "
            f"KERAS_BACKEND={NEEDED} before Keras is imported (a .keras file of built-in layers loads on any backend)"
        )


def _backend() -> tuple[str, str]:
    """The backend, and what says so, in the order in which Keras looks."""
    if (loaded := sys.modules.get("keras")) is not None and hasattr(loaded, "config"):
        return loaded.config.backend(), "keras.config.backend()"
    if name := os.environ.get("KERAS_BACKEND"):
        return name, "the environment variable KERAS_BACKEND"
    file = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras")) / "keras.json"
    try:
        return json.loads(file.read_text("utf-8")).get("backend", NEEDED), str(file)
    except (OSError, ValueError, AttributeError):  # no such file, or one that Keras ignores, too
        return NEEDED, ""
