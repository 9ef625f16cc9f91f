"""The JSON Schema of an event, made from the class that reads events."""

from copy import deepcopy
from typing import Any

import msgspec

from stream.events.event import Event

__all__ = ["DIALECT", "EXAMPLE", "event_schema", "posted_schema", "schema_of"]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
EXAMPLE: dict[str, Any] = {
    "user_id": "ann",
    "item_id": "oak-serving-board",
    "event_time_ms": 1_782_777_600_000,
    "event_type": "cart",
    "event_id": "4f1d-17",
    "profile": {"country": "France"},
}


def schema_of(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the JSON Schema of a class of messages, in one piece.

    Its description is the docstring's first line.
    """
    [schema], components = msgspec.json.schema_components([kind], ref_template="{name}")
    found: dict[str, Any] = deepcopy(components[schema["$ref"]])
    return found | {"description": str(kind.__doc__).partition("\n")[0]}


def event_schema() -> dict[str, Any]:
    """Return the JSON Schema of an event on Kafka.

    Fields that it does not name are allowed, and passed over.
    """
    return {"$schema": DIALECT, **schema_of(Event), "examples": [EXAMPLE]}


def posted_schema() -> dict[str, Any]:
    """Return the JSON Schema of an event as it may be posted, with or without a time."""
    schema = schema_of(Event)
    time = schema["properties"]["event_time_ms"]
    schema["properties"]["event_time_ms"] = {
        "anyOf": [time, {"type": "null"}],
        "default": None,
        "description": f"{time.pop('description')}; null or left out: when the request came",
    }
    return schema | {"required": [name for name in schema["required"] if name != "event_time_ms"]}
