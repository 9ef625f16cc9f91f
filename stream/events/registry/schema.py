"""A schema as a registry keeps it, and where schemas come from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["AVRO", "JSON", "PROTOBUF", "Schema", "SchemaError", "SchemaSource"]

AVRO, JSON, PROTOBUF = "AVRO", "JSON", "PROTOBUF"  # as registries name them


@dataclass(frozen=True)
class Schema:
    """The text of a schema.

    Attributes
    ----------
    kind : AVRO, JSON or PROTOBUF, or what else a registry calls it.
    text : JSON, or for Protobuf a .proto file.
    references : name -> text of the schemas that it, or one of these, refers to: Avro's full names, Protobuf's imports.
    """

    kind: str
    text: str
    references: Mapping[str, str] = field(default_factory=dict)


class SchemaError(ValueError):
    """There is no such schema, or it is none that can be read by; records of it are dead letters."""


class SchemaSource(Protocol):
    """Where schemas are looked up by their ids.

    Attributes
    ----------
    name : where it is, without a password, for messages.
    """

    @property
    def name(self) -> str:
        """Return where it is, without a password."""

    def get(self, schema_id: int) -> Schema:
        """Look up a schema.

        Raises
        ------
        SchemaError
            If there is no schema of this id.
        OSError
            If the source does not answer now; asking again later may help.
        """
