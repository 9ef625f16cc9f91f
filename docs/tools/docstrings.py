"""Extension of griffe: our docstrings say what a parameter is, `name : what it is`, and the signature says its type.

NumPy's convention has the type after the colon. Where such an entry has no text of its own, what stands after the
colon is the text, and the type comes from the signature.
"""

from typing import Any

import griffe

LISTS = (griffe.DocstringSectionKind.parameters, griffe.DocstringSectionKind.attributes)


class TextAfterColon(griffe.Extension):
    """Read the entries of Parameters and Attributes the way they are written here."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Look at every object of a module that was loaded."""
        if obj.docstring is None:
            return
        for section in obj.docstring.parsed:
            if section.kind in LISTS:
                for entry in section.value:
                    _corrected(entry, obj)


def _corrected(entry: Any, obj: griffe.Object) -> None:
    """Move the text of an entry to its place."""
    if entry.description or entry.annotation is None:
        return
    entry.description = str(entry.annotation)
    entry.annotation = _type_of(entry.name, obj)


def _type_of(name: str, obj: griffe.Object) -> Any:
    """Find the type of a parameter in the signature, or of an attribute in the class."""
    function = obj.members.get("__init__") if obj.is_class else obj
    if isinstance(function, griffe.Function):
        for parameter in function.parameters:
            if parameter.name == name:
                return parameter.annotation
    attribute = obj.members.get(name) if obj.is_class else None
    return getattr(attribute, "annotation", None)
