"""Dataclasses from plain values: each value is converted and checked by its field's annotated type.

A value of a wrong type is refused in one line that names the key. This module imports neither TensorFlow nor Keras.
"""

import dataclasses
import os
import re
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal

from tfvid.core.errors import ConfigError, unknown


def require(condition: bool, key: str, expected: str, value):
    """Refuses the value of `key` unless `condition` holds.

    Raises:
      ConfigError: "KEY must be EXPECTED, got VALUE".
    """
    if not condition:
        shown = repr(value)
        raise ConfigError(f"{key} must be {expected}, got {shown if len(shown) <= 300 else shown[:300] + '…'}")


def typed(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Converts and checks keyword arguments of the dataclass `kind`, as those of a YAML file are.

    Args:
      kind: a dataclass.
      values: by field; NumPy's numbers, paths, and instances of nested dataclasses are allowed too.

    Raises:
      ConfigError: a value of another type: "num_frames must be a whole number, got '16'".
    """
    hints, converted = typing.get_type_hints(kind), {}
    for name, value in values.items():
        if isinstance(value, os.PathLike):
            value = os.fspath(value)
        value = value.tolist() if hasattr(value, "tolist") else value  # NumPy's
        is_made = dataclasses.is_dataclass(value)
        converted[name] = value if is_made else _convert(hints[name], value, name)
    return converted


def build(cls, values, prefix: str = ""):
    """Builds the dataclass `cls` from a mapping, nested dataclasses included.

    Args:
      cls: a dataclass whose fields have type annotations.
      values: a mapping of field names to plain values, as YAML gives them.
      prefix: the dotted key of the mapping, e.g. "data."; for error messages.

    Raises:
      ConfigError: an unknown or missing key, or a value of a wrong type.
    """
    require(isinstance(values, dict), prefix.rstrip(".") or "a configuration", "a mapping of keys to values", values)
    hints = typing.get_type_hints(cls)
    for key in values:
        if key not in hints:
            raise ConfigError(unknown("key", f"{prefix}{key}", [f"{prefix}{name}" for name in hints]))
    for item in dataclasses.fields(cls):
        required = item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
        require(item.name in values or not required, f"{prefix}{item.name}", "given", None)
    return cls(**{key: _convert(hints[key], value, f"{prefix}{key}") for key, value in values.items()})


def _convert(hint, value, key: str):
    """`value` as the annotated type `hint`, or a ConfigError that names `key`."""
    if dataclasses.is_dataclass(hint):
        return build(hint, {} if value is None else value, f"{key}.")
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType:  # `X | None`
        return None if value is None else _convert(arguments[0], value, key)
    if origin is Literal:
        # Compared with their types: 1 == True in Python.
        if not any(value == choice and type(value) is type(choice) for choice in arguments):
            choices = [str(choice).lower() if isinstance(choice, bool) else choice for choice in arguments]
            raise ConfigError(f"{key}: {unknown('value', value, choices)}")
        return value
    if origin is tuple and arguments[-1] is Ellipsis:
        require(isinstance(value, (list, tuple)), key, "a list", value)
        return tuple(_convert(arguments[0], item, f"{key}[{place}]") for place, item in enumerate(value))
    if origin is tuple:
        valid = isinstance(value, (list, tuple)) and len(value) == len(arguments)
        require(valid, key, f"a list of {len(arguments)} values", value)
        return tuple(_convert(inner, item, key) for inner, item in zip(arguments, value, strict=True))
    if origin is dict:
        valid = isinstance(value, dict) and all(isinstance(name, str) for name in value)
        require(valid, key, "a mapping of names to values", value)
        return dict(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    spoken = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    valid = isinstance(value, hint) and not (hint is not bool and isinstance(value, bool))
    require(valid, key, spoken[hint], value)
    if isinstance(value, float):
        require(value == value and abs(value) != float("inf"), key, "a finite number", value)
    if isinstance(value, str):
        # Neither a path nor a file can hold the others.
        require(not re.search("[\0\ud800-\udfff]", value), key, "text without NUL and lone surrogates", value)
    return value
