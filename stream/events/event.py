"""A behaviour event as it travels on Kafka: one JSON object, keyed by its user_id; no value forgets the user."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

import msgspec

from mindstream.limits import EARLIEST_MS, LATEST_MS
from mindstream.printable import printable
from stream.events.registry.prefix import prefix_without_registry

__all__ = [
    "AHEAD_MS",
    "EARLIEST_MS",
    "LATEST_MS",
    "LONGEST_USER_ID",
    "MOST_BYTES",
    "NO_JSON",
    "REASONS",
    "BadEventError",
    "Event",
    "Forget",
    "check_size",
    "decode",
    "encode",
    "excerpt",
    "no_json",
    "read_lines",
    "user_named_in",
]

AHEAD_MS = 86_400_000  # an event of the future would stay the user's last for ever; a day lets wrong time zones pass
MOST_BYTES = 100_000  # of a value, unless it is set otherwise; an event with a rich profile has some hundreds
LONGEST_USER_ID = 127  # characters, at most 508 bytes; LMDB's keys hold 511

# The descriptions are those of the schema of events that others get.
UserId = Annotated[
    str,
    msgspec.Meta(min_length=1, max_length=LONGEST_USER_ID, description="the user; also the key of the event's record"),
]
ItemId = Annotated[str, msgspec.Meta(min_length=1, max_length=512, description="the item")]
EventType = Annotated[
    str, msgspec.Meta(min_length=1, max_length=64, description="what was done: click, cart, buy, dislike, ...")
]
EventId = Annotated[
    str, msgspec.Meta(max_length=128, description="your own name of the event; one that is sent twice counts once")
]
EventTime = Annotated[
    int,
    msgspec.Meta(
        ge=EARLIEST_MS,
        le=LATEST_MS,
        description="when, Unix time in milliseconds; at most a day after the event is published",
    ),
]
Profile = Annotated[
    dict[str, str],
    msgspec.Meta(description="profile field -> value, where it is known or changed; replaces the profile known so far"),
]

REASONS = ("empty", "size", "json", "schema", "field", "time", "key", "user", "record")  # why a record is not applied


_MAGIC = 0  # what a schema registry's serializers begin a value with
OTHER_SHAPES = "MINDSTREAM_MAPPING says what is what in records of another shape"


class Event(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One behaviour of one user.

    Attributes
    ----------
    user_id, item_id : who and what, 1 to 127 and 1 to 512 characters.
    event_time_ms : when, Unix time in milliseconds (1973 to 2100).
    event_type : "click", "cart", "buy", ...
    event_id : the producer's own name of the event, if it has one; at most 128 characters. One sent twice counts once.
    profile : profile field -> value, where it is known or changed; it replaces the profile known so far.
    """

    user_id: UserId
    item_id: ItemId
    event_time_ms: EventTime
    event_type: EventType = "click"
    event_id: EventId | None = None
    profile: Profile | None = None


@dataclass(frozen=True, slots=True)
class Forget:
    """The request to delete everything known of a user: a record without a value.

    Attributes
    ----------
    event_time_ms : when it was asked.
    """

    user_id: str
    event_time_ms: int


class BadEventError(ValueError):
    """A record that is no event, or one of a user to whom it cannot be applied.

    The message names the field, what it holds and what would be right.

    Attributes
    ----------
    reason : one word for counters and headers, one of REASONS.
    plain : the message without what the record holds, and without what to set for records of another shape.
    """

    def __init__(self, reason: str, message: str, beside: str = "") -> None:
        super().__init__(f"{message}; {beside}" if beside else message)
        self.reason, self.plain = reason, message


# A RecursionError comes from brackets nested by the thousand; it must not stop whoever reads them.
NO_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Named(msgspec.Struct):
    """A JSON object that names a user, whatever else is wrong with it."""

    user_id: str


_FIELD = re.compile(r"`(?:\$\.)?(\w+)(?:\[[^`]*)?`$")
_RIGHT = {
    "user_id": f"text of 1 to {LONGEST_USER_ID} characters",
    "item_id": "text of 1 to 512 characters",
    "event_time_ms": "Unix time in milliseconds as a whole number, such as 1769860800000",
    "event_type": "text of 1 to 64 characters",
    "event_id": "text of at most 128 characters",
    "profile": "an object whose values are text",
}

_decoder = msgspec.json.Decoder(Event)
_named_decoder = msgspec.json.Decoder(_Named)
_encoder = msgspec.json.Encoder()


def decode(
    value: bytes | None, key: bytes | None, published_ms: int = LATEST_MS, most_bytes: int = MOST_BYTES
) -> Event | Forget:
    """Read the event of one Kafka record.

    Parameters
    ----------
    published_ms : when Kafka got the record. It is the clock here, so that a replay reads what was read before.
        Negative where the record does not say it; then no event is of the future.
    most_bytes : of a value.

    Raises
    ------
    BadEventError
        If the value is empty, too large, is not JSON, breaks a rule of Event, is of the future, or the key is not the
        user_id. (One user's events are in order only within one partition, so the key has to be the user.)
    """
    if value is None:
        return Forget(_user_of(key), max(0, published_ms))
    if not 0 < len(value) <= most_bytes:
        check_size(value, most_bytes)
    try:
        event = _decoder.decode(value)
    except msgspec.ValidationError as error:
        said = f"{error}{_right_for(str(error))}"
        raise BadEventError("field", said, f"the value is {excerpt(value)}; {OTHER_SHAPES}") from None
    except NO_JSON as error:
        if prefix := prefix_without_registry(value):
            raise BadEventError("schema", prefix, f"the value is {excerpt(value)}") from None
        raise BadEventError("json", no_json(error), f"the value is {excerpt(value)}") from None
    if event.event_time_ms > published_ms + AHEAD_MS and published_ms >= 0:
        raise BadEventError(
            "time",
            f"event_time_ms is {event.event_time_ms}, more than a day after the event was published ({published_ms})",
            f"the value is {excerpt(value)}",
        )
    if key != event.user_id.encode():
        raise BadEventError(
            "key", f"the record's key is {excerpt(key)}; it must be the user_id {event.user_id!r}", OTHER_SHAPES
        )
    return event


def _right_for(fault: str) -> str:
    """Return what would be right for the field that a fault of msgspec names; else ""."""
    named = _FIELD.search(fault)
    return f"; right is {_RIGHT[named[1]]}" if named and named[1] in _RIGHT else ""


def no_json(error: Exception) -> str:
    """Say why a value cannot be read as JSON: by what it raised, one of NO_JSON."""
    if isinstance(error, RecursionError):
        return "nested too deep to be read; right is a JSON object"
    return f"not JSON in UTF-8: {error}; right is a JSON object"


def check_size(value: bytes, most_bytes: int) -> None:
    """Raise BadEventError if a value is empty or too large."""
    if not value:
        raise BadEventError("empty", "the record's value is empty; an event is a JSON object, no value forgets a user")
    if len(value) > most_bytes:
        raise BadEventError(
            "size",
            f"{len(value):,} bytes; an event has at most {most_bytes:,} (MINDSTREAM_EVENT_BYTES)",
            f"the value is {excerpt(value)}",
        )


def _user_of(key: bytes | None) -> str:
    """Return the user_id in the key of a record without a value."""
    try:
        user_id = (key or b"").decode()
    except UnicodeDecodeError:
        user_id = ""
    if not 1 <= len(user_id) <= LONGEST_USER_ID:
        raise BadEventError(
            "key",
            f"the record has no value, which forgets a user, but its key is {excerpt(key)}; "
            f"it must be a user_id of 1 to {LONGEST_USER_ID} characters",
        )
    return user_id


def user_named_in(value: bytes | None) -> set[str]:
    """Return the user_id in a JSON object, whatever else is wrong with it; {} without one."""
    try:
        return {_named_decoder.decode(value or b"").user_id} - {""}
    except NO_JSON:
        return set()


def encode(event: Event) -> tuple[bytes, bytes]:
    """Return the key and value of the record that carries an event."""
    return event.user_id.encode(), _encoder.encode(event)


def excerpt(value: bytes | None, most: int = 200) -> str:
    """Return the beginning of some bytes, printable, for messages."""
    if value is None:
        return "missing"
    text = printable(value[:most].decode(errors="backslashreplace"))
    return f"'{text}'" + ("..." if len(value) > most else "")


def read_lines(lines: Iterable[bytes], source: str) -> Iterable[Event]:
    """Read events from lines of JSON; skip empty lines.

    Raises
    ------
    ValueError
        Names the source and the line of the first one that is no event.
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            yield _decoder.decode(line)
        except NO_JSON as error:
            why = error if isinstance(error, msgspec.ValidationError) else no_json(error)
            raise ValueError(f"{source}, line {number}: {why}; the line is {excerpt(line)}") from None
