"""Structs made of names, into which msgspec decodes records: only what is looked for."""

from collections.abc import Callable
from operator import attrgetter
from typing import Any, ClassVar

import msgspec

__all__ = ["ID", "NOTHING", "TIME", "WORD", "Tree", "TwoMeaningsError", "all_of", "put", "struct_of"]

ID, WORD = str | int | None, str | None
TIME = ID  # a number, or a text
NOTHING = "nothing"  # the attribute of what a mapping does not name

Tree = dict[str, Any]  # name -> what is nested in it, or the type of a value


class _Shape(msgspec.Struct, gc=False):
    """A record, or an object in it, with only what is looked for."""

    nothing: ClassVar[None] = None


class TwoMeaningsError(Exception):
    """A name that is a value for one field and an object for another."""


def put(tree: Tree, names: tuple[str, ...], kind: Any) -> str:
    """Add a name to a tree; return the attributes on the way to it."""
    attributes = []
    for place, name in enumerate(names):
        is_last = place == len(names) - 1
        inner = tree.setdefault(name, kind if is_last else {})
        if isinstance(inner, dict) == is_last:
            raise TwoMeaningsError
        if is_last and inner != kind:
            tree[name] = _narrower(inner, kind)
        attributes.append(f"at{list(tree).index(name)}")
        tree = inner
    return ".".join(attributes)


def _narrower(one: Any, other: Any) -> Any:
    """Return the type that both of two readings of one value take."""
    if {one, other} == {WORD, ID}:
        return WORD
    raise TwoMeaningsError


def struct_of(tree: Tree) -> type[msgspec.Struct]:
    """Make the struct of a tree, in which what is missing is None or empty."""
    fields: list[tuple[str, Any, Any]] = []
    for place, inner in enumerate(tree.values()):
        if isinstance(inner, dict):
            kind = struct_of(inner)
            fields.append((f"at{place}", kind, msgspec.field(default_factory=kind)))
        elif getattr(inner, "__origin__", None) is list:
            fields.append((f"at{place}", inner, msgspec.field(default_factory=list)))
        else:
            fields.append((f"at{place}", inner, None))
    rename = {f"at{place}": name for place, name in enumerate(tree)}
    return msgspec.defstruct("Shape", fields, bases=(_Shape,), rename=rename, gc=False)


def all_of(names: list[str]) -> Callable[[Any], tuple[Any, ...]]:
    """Return a function that gets these attributes as a tuple, with None at its end."""
    return attrgetter(*names, NOTHING, NOTHING)
