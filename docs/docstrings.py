"""Extension of mkdocstrings (mkdocs.yml): reads a section ``Example:`` as ``Examples:``, the name that it knows."""

import griffe


class Examples(griffe.Extension):
    def on_object(self, *, obj, **_):
        if obj.docstring:
            obj.docstring.value = obj.docstring.value.replace("\nExample:\n", "\nExamples:\n")
