"""The schemas of an event and of the topics: those in docs/ are the code's, and say what the code does."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from kafka.consumer.fetcher import ConsumerRecord

from mindstream.settings import Settings
from stream.dead_letters.writer import DeadLetter
from stream.events.event import AHEAD_MS, BadEventError, Event, decode
from stream.events.event_schema import EXAMPLE, event_schema, posted_schema
from stream.schema.asyncapi import asyncapi_document
from stream.updater.interest_updates import InterestUpdate
from tests.support.stream_shell import Shell

DOCS = Path(__file__).parents[3] / "docs"
WRONG: list[dict[str, Any]] = [
    {"user_id": ""},
    {"user_id": 5},
    {"user_id": "u" * 128},
    {"item_id": None},
    {"item_id": "i" * 513},
    {"event_time_ms": 1_782_777_600},
    {"event_time_ms": "2026-06-30"},
    {"event_time_ms": 1.5},
    {"event_type": ""},
    {"event_type": "t" * 65},
    {"event_id": "e" * 129},
    {"profile": {"age": 5}},
    {"profile": []},
]
RIGHT: list[dict[str, Any]] = [
    {},
    {"user_id": "🚲" * 127, "item_id": "🚲" * 512, "event_id": "🚲" * 128, "event_type": "🚲" * 64},
    {"event_id": None, "profile": None},
    {"profile": {}},
    {"price": 5},
]


@pytest.mark.parametrize(
    ("file", "arguments"), [("event.schema.json", ["schema"]), ("asyncapi.json", ["schema", "--asyncapi"])]
)
def test_the_documents_are_the_code_s(file: str, arguments: list[str], shell: Shell) -> None:
    """Where this fails, write them anew: mindstream stream schema > docs/event.schema.json, and --asyncapi."""
    status, said = shell(*arguments)
    assert status == 0
    assert said == (DOCS / file).read_text(encoding="utf-8")


@pytest.mark.parametrize("changed", [*WRONG, *RIGHT], ids=lambda one: ",".join(one)[:30])
def test_the_schema_takes_what_the_stream_takes(changed: dict[str, Any]) -> None:
    event = {**EXAMPLE, **changed}
    value, key = msgspec.json.encode(event), str(event["user_id"]).encode()
    try:
        decode(value, key)
    except BadEventError:
        right = False
    else:
        right = True
    assert right == (changed in RIGHT)
    jsonschema_rs.meta.validate(event_schema())
    assert jsonschema_rs.is_valid(event_schema(), event) == right
    assert jsonschema_rs.is_valid(posted_schema(), event) == right


def test_a_posted_event_needs_no_time() -> None:
    for name in EXAMPLE:
        event = {field: value for field, value in EXAMPLE.items() if field != name}
        assert jsonschema_rs.is_valid(event_schema(), event) == (name not in ("user_id", "item_id", "event_time_ms"))
        assert jsonschema_rs.is_valid(posted_schema(), event) == (name not in ("user_id", "item_id"))
    assert jsonschema_rs.is_valid(posted_schema(), EXAMPLE | {"event_time_ms": None})


def references(document: object) -> Iterator[str]:
    """Every `$ref` in a document."""
    if isinstance(document, dict):
        for name, value in document.items():
            yield from [value] if name == "$ref" else references(value)
    elif isinstance(document, list):
        for one in document:
            yield from references(one)


def at(document: Any, reference: str) -> Any:
    """What a reference within a document leads to."""
    for name in reference.removeprefix("#/").split("/"):
        document = document[name]
    return document


def test_the_topics_are_those_of_the_settings() -> None:
    settings = Settings(topic="clicks", dead_letters="odd", updates_topic="interests", partitioner="crc32")
    document = asyncapi_document(settings)
    channels = document["channels"]
    assert {name: one["address"] for name, one in channels.items()} == {
        "events": "clicks",
        "deadLetters": "odd",
        "interestUpdates": "interests",
    }
    assert (channels["events"]["x-partitioner"], "crc32" in channels["events"]["description"]) == ("crc32", True)
    found = list(references(document))
    assert len(found) > 9
    assert all(at(document, one) for one in found)
    for schema in document["components"]["schemas"].values():
        jsonschema_rs.Draft7Validator(schema)


def test_messages_are_as_the_document_says() -> None:
    components = asyncapi_document(Settings())["components"]
    update = InterestUpdate("ann", "m1", 1_782_777_600_000, ("life", 2, 41), [[0.1, 0.2]], [1.0])
    value = json.loads(msgspec.json.encode(update))
    schema = jsonschema_rs.Draft7Validator(components["schemas"]["interestUpdate"])
    assert schema.is_valid(value)
    assert not schema.is_valid(value | {"position": ["life", 2]})
    assert not schema.is_valid(value | {"position": ["life", 2, "41"]})
    assert jsonschema_rs.Draft7Validator(components["schemas"]["event"]).is_valid(
        msgspec.to_builtins(Event("a", "b", AHEAD_MS * 5_000))
    )


@pytest.mark.parametrize("most_bytes", [100, 2])
def test_the_headers_of_dead_letters_are_as_the_document_says(most_bytes: int) -> None:
    fields = {"topic": "t", "partition": 0, "offset": 7, "timestamp": 5, "headers": (), "key": b"k", "value": b"value"}
    record = ConsumerRecord(**dict.fromkeys(ConsumerRecord._fields) | fields)
    letter = DeadLetter(record, BadEventError("json", "not JSON")).to_record(most_bytes)
    headers = {name: content.decode() for name, content in letter["headers"]}
    said = asyncapi_document(Settings())["components"]["messages"]["deadLetter"]["headers"]
    schema = jsonschema_rs.Draft7Validator(said)
    assert schema.is_valid(headers)
    assert ("truncated" in headers) == (most_bytes == 2)
    assert headers.keys() <= said["properties"].keys()
    assert not schema.is_valid(headers | {"reason": "no reason"})
    assert not schema.is_valid({name: value for name, value in headers.items() if name != "source-offset"})
