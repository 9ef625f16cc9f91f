"""Readers of records' values: bytes in, an object of Python out."""

from typing import Protocol

import msgspec

from mindstream.parsing.trackers import SNOWPLOW_FIELDS
from stream.events.event import NO_JSON, BadEventError, excerpt

__all__ = ["JsonReader", "SnowplowReader", "ValueReader", "schema_id_of"]

_MAGIC = 0  # what a schema registry's serializers begin a value with


class ValueReader(Protocol):
    """A reader of values."""

    def read(self, value: bytes) -> object:
        """Return the object, list or plain value in some bytes.

        Raises
        ------
        BadEventError
            If they hold none.
        """
        ...


class JsonReader:
    """A reader of JSON."""

    def read(self, value: bytes) -> object:
        """Return what a text of JSON holds."""
        try:
            return msgspec.json.decode(value)
        except NO_JSON as error:
            raise BadEventError("json", f"not JSON in UTF-8: {error}; {_what_it_is(value)}") from None


class SnowplowReader:
    """A reader of Snowplow's enriched events: lines of TSV, as its pipeline writes them, or what another reader reads.

    Parameters
    ----------
    others : reader of what is no such line.
    """

    def __init__(self, others: ValueReader) -> None:
        self.others = others

    def read(self, value: bytes) -> object:
        """Return the fields of an enriched event by their names."""
        if value.count(b"\t") != len(SNOWPLOW_FIELDS) - 1 or value.startswith(b"{"):
            return self.others.read(value)
        try:
            cells = value.decode().rstrip("\r\n").split("\t")
        except UnicodeDecodeError as error:
            raise BadEventError("json", f"an enriched event that is not in UTF-8: {error}; {excerpt(value)}") from None
        return {name: cell or None for name, cell in zip(SNOWPLOW_FIELDS, cells, strict=True)}


def schema_id_of(value: bytes) -> int | None:
    """Return the id of the schema in the five bytes that a registry's serializers put first; None without them."""
    return int.from_bytes(value[1:5], "big") if len(value) > 5 and value[0] == _MAGIC else None


def _what_it_is(value: bytes) -> str:
    """Say what a value that is no JSON looks like, and what would be right."""
    if (schema_id := schema_id_of(value)) is not None:
        return (
            f"it begins with the prefix of a schema registry (schema {schema_id}); MINDSTREAM_SCHEMA_REGISTRY names "
            f"that registry, or a folder of its schemas; the value is {excerpt(value)}"
        )
    return f"the value is {excerpt(value)}"
