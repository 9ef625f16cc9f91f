"""The topics as an AsyncAPI document, made from the classes that read and write them and from the settings."""

from typing import Any

from mindstream.settings import PARTITIONERS, Settings
from stream.events.event import LONGEST_USER_ID, REASONS, Event
from stream.events.event_schema import EXAMPLE, schema_of
from stream.events.published import HEADER
from stream.updater.interest_updates import TOPIC_CONFIG, InterestUpdate

__all__ = ["asyncapi_document"]

ASYNCAPI = "3.0.0"
KAFKA_BINDING = "0.5.0"
JSON, BYTES = "application/json", "application/octet-stream"
USER_KEY = {
    "type": "string",
    "minLength": 1,
    "maxLength": LONGEST_USER_ID,
    "description": "the user_id, UTF-8 without quotes",
}
ABOUT = (
    "What Mindstream reads from Kafka and writes to it. An updater keeps every user's interests fresh from the events; "
    "what is no event becomes a dead letter; each new set of interests can be published too."
)
NUMBER = r"^\d+$"
# Header of a dead letter -> what it holds; those of OPTIONAL are there only where they say something.
LETTER_HEADERS: dict[str, dict[str, Any]] = {
    "source-topic": {"description": "topic of the record that is no valid event"},
    "source-partition": {"description": "its partition", "pattern": NUMBER},
    "source-offset": {"description": "its offset", "pattern": NUMBER},
    "source-published-ms": {"description": "when it was published, Unix time in milliseconds", "pattern": r"^-?\d+$"},
    "reason": {"description": "one word for what is wrong", "enum": list(REASONS)},
    "error": {"description": "the same as a sentence"},
    "source-last-offset": {"description": "of a damaged batch: the offset of its last record", "pattern": NUMBER},
    "truncated": {"description": "bytes of the whole key and value where the letter holds less", "pattern": NUMBER},
}
OPTIONAL = ("source-last-offset", "truncated")


def asyncapi_document(settings: Settings) -> dict[str, Any]:
    """Return the topics of these settings as an AsyncAPI document, made of plain values."""
    return {
        "asyncapi": ASYNCAPI,
        "info": {"title": "Mindstream", "version": "1", "description": ABOUT},
        "defaultContentType": JSON,
        "channels": _channels(settings),
        "operations": _operations(),
        "components": {"messages": _messages(), "schemas": _schemas()},
    }


def _channels(settings: Settings) -> dict[str, Any]:
    """Return the topics, each with the messages on it."""
    events = _channel(
        settings.topic,
        "Behaviour events, keyed by user. All events of a user are on one partition: let all producers choose it "
        f"alike, by {settings.partitioner} of the key ({PARTITIONERS[settings.partitioner]}).",
        ("event", "forget"),
    )
    updates = _channel(
        settings.updates_topic or None,
        "The interests of each user whenever they are made anew, keyed by user; compacted. Published where "
        "MINDSTREAM_UPDATES_TOPIC names a topic.",
        ("interestUpdate", "noInterests"),
        TOPIC_CONFIG["cleanup.policy"],
    )
    letters = _channel(
        settings.dead_letter_topic,
        "Records that are no valid events, with key and value as they were, and what is wrong in their headers.",
        ("deadLetter",),
    )
    return {
        "events": events | {"x-partitioner": settings.partitioner},
        "deadLetters": letters,
        "interestUpdates": updates,
    }


def _channel(
    topic: str | None, description: str, messages: tuple[str, ...], cleanup_policy: str = ""
) -> dict[str, Any]:
    """Return a topic; without a name it is one that the settings leave out."""
    kafka: dict[str, Any] = {"bindingVersion": KAFKA_BINDING}
    if topic:
        kafka["topic"] = topic
    if cleanup_policy:
        kafka["topicConfiguration"] = {"cleanup.policy": [cleanup_policy]}
    return {
        "address": topic,
        "description": description,
        "messages": {name: _ref("components", "messages", name) for name in messages},
        "bindings": {"kafka": kafka},
    }


def _operations() -> dict[str, Any]:
    """Return what updaters do with the topics."""
    done = {
        "readEvents": ("receive", "events", "Apply events, and forget users of whom a record without a value comes."),
        "writeDeadLetters": ("send", "deadLetters", "Set aside what is no valid event."),
        "publishInterests": ("send", "interestUpdates", "Publish the interests that events have changed."),
    }
    return {
        name: {"action": action, "channel": _ref("channels", channel), "summary": summary}
        for name, (action, channel, summary) in done.items()
    }


def _messages() -> dict[str, Any]:
    """Return the messages: keys, values and headers of the records."""
    return {
        "event": _message(
            "A behaviour of a user.",
            _ref("components", "schemas", "event"),
            headers=_headers(
                {HEADER: {"description": "when it was published first, if it was sent again", "pattern": NUMBER}}, ()
            ),
            examples=[{"name": "cart", "payload": EXAMPLE}],
        ),
        "forget": _message(
            "A record without a value, which forgets the user of its key: the same on every partition.",
            {"type": "null"},
            headers=_headers(
                {HEADER: {"description": "when it was asked for; the same on all copies", "pattern": NUMBER}}, ()
            ),
        ),
        "deadLetter": _message(
            "A record that is no valid event, as it was.",
            {"description": "the record's value, whatever its bytes are"},
            key={"description": "the record's key, whatever its bytes are"},
            headers=_headers(LETTER_HEADERS, tuple(name for name in LETTER_HEADERS if name not in OPTIONAL)),
            content_type=BYTES,
        ),
        "interestUpdate": _message(
            "A user's interests as of the last applied event.", _ref("components", "schemas", "interestUpdate")
        ),
        "noInterests": _message(
            "A record without a value: the user was forgotten, or has no history any more.", {"type": "null"}
        ),
    }


def _message(
    summary: str, payload: dict[str, Any], key: dict[str, Any] = USER_KEY, content_type: str = JSON, **more: Any
) -> dict[str, Any]:
    """Return a message with its key."""
    binding = {"kafka": {"key": key, "bindingVersion": KAFKA_BINDING}}
    return {"summary": summary, "contentType": content_type, "payload": payload, "bindings": binding, **more}


def _headers(known: dict[str, dict[str, Any]], required: tuple[str, ...]) -> dict[str, Any]:
    """Return the headers of a message, all of them text."""
    properties = {name: {"type": "string", **about} for name, about in known.items()}
    return {"type": "object", "properties": properties} | ({"required": list(required)} if required else {})


def _schemas() -> dict[str, Any]:
    """Return the schemas of the values that are JSON."""
    return {
        "event": schema_of(Event) | {"examples": [EXAMPLE]},
        "interestUpdate": _in_draft_7(schema_of(InterestUpdate)),
    }


def _in_draft_7(schema: Any) -> Any:
    """Return a JSON Schema in the words of draft 7, as AsyncAPI's own schemas are."""
    if isinstance(schema, list):
        return [_in_draft_7(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: _in_draft_7(value) for name, value in schema.items()}
    if "prefixItems" in found:
        found |= {"items": found.pop("prefixItems"), "additionalItems": found.pop("items", True)}
    return found


def _ref(*names: str) -> dict[str, str]:
    """Return a reference to another part of the document."""
    return {"$ref": "/".join(("#", *names))}
