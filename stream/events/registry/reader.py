"""Reading values by the schemas that their prefixes name."""

import struct
import time
from collections.abc import Callable

import msgspec

from stream.events.event import NO_JSON, BadEventError, excerpt
from stream.events.registry.avro import avro_reader
from stream.events.registry.prefix import LENGTH, foreign_prefix, is_prefixed, schema_id_of
from stream.events.registry.protobuf import protobuf_reader
from stream.events.registry.schema import AVRO, JSON, PROTOBUF, Schema, SchemaError, SchemaSource

__all__ = ["RegistryReader"]

MOST_FAULTS = 10_000  # that are remembered: what is no schema's id may be any number
UNKNOWN_FOR_S = 60.0  # then the source is asked again: a follower of a registry may be late
PREFIX = "a zero byte and four bytes of a schema's id"

Read = Callable[[bytes], object]

_FAULTS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (
    ((EOFError, struct.error), "the bytes end before the value does"),
    ((IndexError, KeyError, OverflowError), "a number in it stands for nothing that the schema has"),
    (RecursionError, "it is nested too deep"),
    (UnicodeDecodeError, "a text in it is not in UTF-8"),
)


class RegistryReader:
    """Reads the values of a topic behind a schema registry; plain JSON among them too, as our own commands send it.

    Parameters
    ----------
    source : where schemas are looked up; each is asked for once.
    clock : seconds that only grow.
    """

    def __init__(self, source: SchemaSource, clock: Callable[[], float] = time.monotonic) -> None:
        self.source, self.clock = source, clock
        self.readers: dict[int, Read] = {}
        self.faults: dict[int, tuple[float, str]] = {}  # schema's id -> until when it is taken for wrong, and why

    def read(self, value: bytes) -> object:
        """Return what a value says as objects, lists, text and numbers.

        Raises
        ------
        BadEventError
            If it is neither behind the prefix nor JSON, there is no such schema, or the bytes are not of it.
        OSError
            If a schema is not known yet and the source does not answer now.
        """
        if not is_prefixed(value):
            return _json_of(value)
        schema_id = schema_id_of(value)
        try:
            return self._reader(schema_id)(value[LENGTH:])
        except (BadEventError, OSError):
            raise
        except Exception as error:  # whatever a library does with bytes that are not of the schema
            raise BadEventError(
                "schema",
                f"not a value of schema {schema_id} of {self.source.name} ({_said(error)}); the value is "
                f"{excerpt(value)}",
            ) from None

    def _reader(self, schema_id: int) -> Read:
        """Return what reads values of a schema, which is asked for once."""
        if schema_id not in self.readers:
            until, why = self.faults.get(schema_id, (0.0, ""))
            if self.clock() >= until:
                why = self._learn(schema_id)
            if why:
                raise BadEventError("schema", f"schema {schema_id} of {self.source.name}: {why}")
        return self.readers[schema_id]

    def _learn(self, schema_id: int) -> str:
        """Ask for a schema and remember what reads its values; return why there is none."""
        if len(self.faults) >= MOST_FAULTS:
            self.faults.clear()
        self.faults.pop(schema_id, None)
        try:
            self.readers[schema_id] = _reader_of(self.source.get(schema_id))
            return ""
        except SchemaError as error:
            self.faults[schema_id] = self.clock() + UNKNOWN_FOR_S, str(error)
            return str(error)


def _said(error: Exception) -> str:
    """Say in a sentence what a library found wrong with bytes.

    Of some faults libraries say no more than their class.
    """
    said = next((sentence for kinds, sentence in _FAULTS if isinstance(error, kinds)), None)
    return said or (str(error) if isinstance(error, ValueError) else "") or f"{type(error).__name__}: {error}"


def _reader_of(schema: Schema) -> Read:
    """Return what reads the values of a schema."""
    made: dict[str, Callable[[Schema], Read]] = {
        AVRO: avro_reader,
        JSON: lambda _: msgspec.json.decode,  # the mapping says what must be in it
        PROTOBUF: protobuf_reader,
    }
    if schema.kind not in made:
        raise SchemaError(f"it is of the type {schema.kind}, which is not read; right is one of {', '.join(made)}")
    return made[schema.kind](schema)


def _json_of(value: bytes) -> object:
    """Read a value without the prefix, which is JSON or of no kind that is read."""
    if prefix := foreign_prefix(value):
        raise BadEventError("schema", f"{prefix}; the value is {excerpt(value)}")
    try:
        return msgspec.json.decode(value)
    except NO_JSON as error:
        raise BadEventError(
            "schema", f"neither {PREFIX} nor JSON in UTF-8 ({error}); the value is {excerpt(value)}"
        ) from None
