"""Registries: the parts of one kind (explainers, models, data sets, measures) by name.

A part has one of three kinds of names:

    "grad_cam"                  built in
    "my_method"                 of an installed package, which declares it as an entry point
    "my_file.py:MyExplainer"    a file, and an object in it

A package declares its own explainer in its ``pyproject.toml``:

    [project.entry-points."tfvid.explainers"]
    my_method = "my_package.my_module:MyExplainer"
"""

import importlib
import warnings
from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from tfvid.core.errors import TfvidError, error_line, unknown
from tfvid.core.python_file import run_python_file


class Registry:
    """Finds objects by name.

    The built-in parts are listed as strings, so that finding one imports no other.

    Args:
      kind: the noun in error messages, e.g. ``"explainer"``.
      parts: ``"package.module:object"`` by name, the built-in parts.
      group: of the entry points by which other packages add parts, e.g. ``"tfvid.explainers"``; None for none.
    """

    def __init__(self, kind: str, parts: Mapping[str, str], group: str | None = None):
        self.kind = kind
        self.parts = dict(parts)
        self.group = group

    def __iter__(self) -> Iterator[str]:
        """The names of the built-in parts."""
        return iter(self.parts)

    def find(self, name: str) -> Any:
        """The object of a name.

        Args:
          name: of a built-in part, or of an entry point; or ``"path/to/file.py:Object"``.

        Raises:
          TfvidError: one line: there is no such name (the message lists the names), file or object; two packages add
            the same name; or the file or the package raises an error.
        """
        if name in self.parts:
            module, _, attribute = self.parts[name].partition(":")
            return getattr(importlib.import_module(module), attribute)
        file, colon, attribute = name.rpartition(":")
        if colon and file.endswith(".py"):
            return self._from_file(file, attribute)
        extensions = self._extensions()
        if name not in extensions:
            valid = [*self.parts, *extensions]
            raise TfvidError(unknown(self.kind, name, valid) + f", or a file: my_{self.kind}.py:Name")
        return self._from_package(name, extensions[name])

    def _from_file(self, file: str, attribute: str) -> Any:
        module = run_python_file(file)
        if not hasattr(module, attribute):
            raise TfvidError(f"{self.kind} {file}:{attribute}: the file defines no {attribute!r}")
        return getattr(module, attribute)

    def _from_package(self, name: str, points: list[EntryPoint]) -> Any:
        if len(points) > 1:
            packages = " and ".join(_package(point) for point in points)
            raise TfvidError(f"{self.kind} {name!r}: {packages} both add this name; uninstall one of them")
        try:
            return points[0].load()
        except Exception as error:  # another package may raise anything
            raise TfvidError(
                f"{self.kind} {name!r}: {points[0].value} of {_package(points[0])} cannot be loaded "
                f"({error_line(error)}); reinstall the package"
            ) from error

    def _extensions(self) -> dict[str, list[EntryPoint]]:
        """The entry points of other packages, by name. A name of a built-in part is left out, with a warning."""
        found: dict[str, list[EntryPoint]] = {}
        for point in entry_points(group=self.group) if self.group else ():
            if point.name in self.parts:
                warnings.warn(
                    f"{self.kind} {point.name!r} of {_package(point)} is ignored: tfvid has a built-in {self.kind} of "
                    "this name",
                    RuntimeWarning,
                    stacklevel=4,
                )
            else:
                found.setdefault(point.name, []).append(point)
        return found


def _package(point: EntryPoint) -> str:
    """``my-package 1.0``: the distribution of an entry point."""
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unnamed package"
