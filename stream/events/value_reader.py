"""Readers of records' values: bytes in, an object of Python out."""

import codecs
import json
import re
from contextlib import suppress
from typing import Protocol

import msgspec

from mindstream.parsing.trackers import SNOWPLOW_FIELDS
from stream.events.event import NO_JSON, BadEventError, excerpt, no_json
from stream.events.registry.prefix import prefix_without_registry

__all__ = ["JsonReader", "SnowplowReader", "ValueReader"]


_NO_NUMBER = re.compile(rb"NaN|Infinity")


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
        """Return what a text of JSON holds, also one with NaN, as some libraries write it."""
        value = value.removeprefix(codecs.BOM_UTF8)
        try:
            return msgspec.json.decode(value)
        except NO_JSON as error:
            if _NO_NUMBER.search(value):
                with suppress(ValueError, RecursionError):
                    return json.loads(value)
            if prefix := prefix_without_registry(value):
                raise BadEventError("schema", f"{prefix}; the value is {excerpt(value)}") from None
            raise BadEventError("json", f"{no_json(error)}; the value is {excerpt(value)}") from None


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
