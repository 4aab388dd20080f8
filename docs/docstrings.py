"""Extension of mkdocstrings' reader (mkdocs.yml): a section ``Example:`` is read as ``Examples:``, the name it knows."""

import griffe


class Examples(griffe.Extension):
    def on_object(self, *, obj, **_):
        if obj.docstring:
            obj.docstring.value = obj.docstring.value.replace("\nExample:\n", "\nExamples:\n")
