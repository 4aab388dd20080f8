"""One table for each kind of part (dataset, model, explainer), found by name or by file.

A part is named by its short name (``"grad_cam"``) or, for a user's own, by file and object
(``"my_file.py:MyExplainer"``). Built-in parts are listed as ``"module:object"`` strings, so that asking for
one imports that one only.
"""

import importlib
import importlib.util
from pathlib import Path

from tfvid.core.errors import TfvidError, unknown


class Registry:
    """Maps short names to objects.

    Args:
      kind: what the parts are called in error messages, e.g. ``"explainer"``.
      parts: short name -> ``"package.module:object"``.
    """

    def __init__(self, kind: str, parts: dict[str, str]):
        self.kind = kind
        self.parts = dict(parts)

    def __iter__(self):
        return iter(self.parts)

    def find(self, name: str):
        """Returns the object called `name`, or the one at ``"path/to/file.py:Object"``.

        Raises:
          TfvidError: no such name (the message lists those there are), file or object.
        """
        if name in self.parts:
            module, _, attribute = self.parts[name].partition(":")
            return getattr(importlib.import_module(module), attribute)
        file, colon, attribute = name.rpartition(":")
        if not colon or not file.endswith(".py"):
            raise TfvidError(unknown(self.kind, name, self.parts) + f", or a file: my_{self.kind}.py:Name")
        return self._from_file(Path(file), attribute)

    def _from_file(self, file: Path, attribute: str):
        if not file.is_file():
            raise TfvidError(f"{self.kind} {file}:{attribute}: no such file")
        spec = importlib.util.spec_from_file_location(file.stem, file)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        if not hasattr(module, attribute):
            raise TfvidError(f"{file}: no {attribute!r} in it")
        return getattr(module, attribute)
