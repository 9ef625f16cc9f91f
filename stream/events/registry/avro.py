"""Avro's binary encoding, read by fastavro."""

import json
from collections.abc import Callable, Mapping
from datetime import time
from io import BytesIO
from typing import Any

import fastavro
from fastavro import _read_py as in_python
from fastavro.repository import SchemaRepositoryError
from fastavro.schema import SchemaParseException, UnknownType, load_schema

from stream.events.registry.schema import Schema, SchemaError

__all__ = ["avro_reader"]

ROOT = "$root"  # no name that a schema can have


def avro_reader(schema: Schema) -> Callable[[bytes], object]:
    """Return the function that reads the values of a schema.

    Records and maps are dicts, arrays lists, a union is its value, an enum text. Logical types are as fastavro has them
    (datetime, date, Decimal, UUID), but times of day are text.

    Raises
    ------
    SchemaError
        If the text is no Avro schema, or refers to one that is not there.
    """
    parsed = _parsed(schema)
    # fastavro's compiled reader ends the process where a type holds itself thousands of times; Python's own raises.
    read_one = in_python.schemaless_reader if _is_recursive(parsed, ()) else fastavro.schemaless_reader

    def read(data: bytes) -> object:
        stream = BytesIO(data)
        value = _joinable(read_one(stream, parsed, None))
        if stream.tell() != len(data):
            raise ValueError(f"{len(data) - stream.tell()} bytes are left over")
        return value

    return read


class _Referred:
    """What fastavro asks for schemas by their full names."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self.texts = texts

    def load(self, name: str) -> Any:
        """Return the schema that a reference calls so, or that calls itself so."""
        if name in self.texts:
            return json.loads(self.texts[name])
        for text in self.texts.values():
            if _full_name(text) == name:
                return json.loads(text)
        raise SchemaRepositoryError(f"{name} is not there")


def _parsed(schema: Schema) -> Any:
    try:
        return load_schema(ROOT, repo=_Referred({**schema.references, ROOT: schema.text}))
    except UnknownType as error:
        raise SchemaError(f"it refers to {error.name}, which is not there") from None
    except (SchemaParseException, SchemaRepositoryError, ValueError, KeyError, TypeError, RecursionError) as error:
        what = f"{type(error).__name__}: {error}"
        raise SchemaError(f"it is no Avro schema ({what}): {schema.text[:200]!r}") from None


def _full_name(text: str) -> str:
    """Return the name of a type with its namespace; empty if the text is none of a named type."""
    try:
        schema = json.loads(text)
    except ValueError:
        return ""
    if not isinstance(schema, dict):
        return ""
    name, namespace = str(schema.get("name", "")), schema.get("namespace")
    return f"{namespace}.{name}" if namespace and "." not in name else name


def _is_recursive(schema: Any, within: tuple[str, ...]) -> bool:
    """Tell whether a type holds itself, however deep; `within` are the types around it."""
    if isinstance(schema, str):
        return schema in within
    if isinstance(schema, list):
        return any(_is_recursive(one, within) for one in schema)
    inner = [schema[key] for key in ("type", "items", "values") if isinstance(schema.get(key), dict | list | str)]
    inner += [one["type"] for one in schema.get("fields", ())]
    return any(_is_recursive(one, (*within, schema.get("name", ROOT))) for one in inner)


def _joinable(value: Any) -> Any:
    """Turn times of day into text.

    A mapping joins them to a date; all else it reads as fastavro gives it.
    """
    kind = type(value)
    if kind is dict:
        return {name: _joinable(one) for name, one in value.items()}
    if kind is list:
        return [_joinable(one) for one in value]
    return value.isoformat() if kind is time else value
