"""A behaviour event as it travels on Kafka: one JSON object, keyed by its user_id."""

from collections.abc import Iterable
from typing import Annotated

import msgspec

EARLIEST_MS = 100_000_000_000  # March 1973: a smaller number is in seconds, not milliseconds
LATEST_MS = 4_102_444_800_000  # January 2100

UserId = Annotated[str, msgspec.Meta(min_length=1, max_length=127)]  # at most 508 bytes; LMDB's keys hold 511
ItemId = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
EventType = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
EventTime = Annotated[int, msgspec.Meta(ge=EARLIEST_MS, le=LATEST_MS)]


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """One behaviour of one user.

    Attributes
    ----------
    user_id, item_id : who and what, 1 to 127 and 1 to 512 characters.
    event_time_ms : when, Unix time in milliseconds (1973 to 2100).
    event_type : "click", "cart", "buy", ...
    event_id : the producer's own name of the event, if it has one.
    profile : profile field -> value, where it is known or changed; it replaces the profile known so far.
    """

    user_id: UserId
    item_id: ItemId
    event_time_ms: EventTime
    event_type: EventType = "click"
    event_id: str | None = None
    profile: dict[str, str] | None = None


class BadEventError(ValueError):
    """A record that is no event. The message names the field, what it holds and what would be right.

    Attributes
    ----------
    reason : one word for counters and headers: empty, json, field or key.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


# A RecursionError comes from brackets nested by the thousand; it must not stop whoever reads them.
NO_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_decoder = msgspec.json.Decoder(Event)
_encoder = msgspec.json.Encoder()


def decode(value: bytes | None, key: bytes | None) -> Event:
    """Read the event of one Kafka record.

    Raises
    ------
    BadEventError
        If the value is empty, is not JSON, breaks a rule of Event, or the key is not the user_id. (One user's
        events are in order only within one partition, so the key has to be the user.)
    """
    if not value:
        raise BadEventError("empty", "the record has no value; an event is a JSON object")
    try:
        event = _decoder.decode(value)
    except msgspec.ValidationError as error:
        raise BadEventError("field", f"{error}; the value is {excerpt(value)}") from None
    except NO_JSON as error:
        raise BadEventError("json", f"not JSON in UTF-8: {error}; the value is {excerpt(value)}") from None
    if key != event.user_id.encode():
        raise BadEventError("key", f"the record's key is {excerpt(key)}; it must be the user_id {event.user_id!r}")
    return event


def encode(event: Event) -> tuple[bytes, bytes]:
    """Key and value of the record that carries an event."""
    return event.user_id.encode(), _encoder.encode(event)


def excerpt(value: bytes | None, most: int = 200) -> str:
    """The beginning of some bytes, printable, for messages."""
    if value is None:
        return "missing"
    return repr(value[:most]) + ("..." if len(value) > most else "")


def read_lines(lines: Iterable[bytes], source: str) -> Iterable[Event]:
    """Events from lines of JSON; empty lines are skipped.

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
            raise ValueError(f"{source}, line {number}: {error}; the line is {excerpt(line)}") from None
