"""Events that come in the body of a request: the records to publish, or what is wrong with each.

A record holds an event as it was sent, byte for byte, with two exceptions, which are written anew, field for field: an
event without a time gets that of the request, and one without an event_id one made of the request's idempotency key,
where there is such a key.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from stream.events.event import MOST_BYTES, NO_JSON, BadEventError, decode, excerpt

__all__ = [
    "LONGEST_REQUEST_KEY",
    "MOST_EVENTS",
    "BadEventsError",
    "BadRequestError",
    "EventFault",
    "PostedRecord",
    "records_in",
]

MOST_EVENTS = 1_000  # of one request
LONGEST_REQUEST_KEY = 120  # characters; with the place behind it it is an event_id, which has at most 128

_NULL = b"null"


class PostedRecord(NamedTuple):
    """The key and the value of a record for the topic of the events, and its headers."""

    key: bytes
    value: bytes
    headers: Sequence[tuple[str, bytes]] = ()


@dataclass(frozen=True)
class EventFault:
    """What is wrong with one event of a request.

    Attributes
    ----------
    place : of the event in the request, from 0.
    reason : one word, as dead letters have it.
    error : a sentence.
    """

    place: int
    reason: str
    error: str


class BadRequestError(ValueError):
    """A request whose body is neither an event nor a list of events, or whose key cannot name events."""


class BadEventsError(ValueError):
    """A request of which some events are not valid.

    Attributes
    ----------
    faults : one for each of these events.
    events : how many the request has.
    """

    def __init__(self, faults: Sequence[EventFault], events: int) -> None:
        first = faults[0]
        super().__init__(
            f"{len(faults):,} of {events:,} events {'is' if len(faults) == 1 else 'are'} not valid, so none was "
            f"written; the first is that at place {first.place}: {first.error}"
        )
        self.faults, self.events = tuple(faults), events


class _Head(msgspec.Struct):
    """The fields of an event that its record is made of, as they stand in it."""

    user_id: msgspec.Raw = msgspec.Raw(_NULL)
    event_time_ms: msgspec.Raw = msgspec.Raw(_NULL)
    event_id: msgspec.Raw = msgspec.Raw(_NULL)


_list_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_fields_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_head_decoder = msgspec.json.Decoder(_Head)


def _check_key(key: str | None) -> None:
    """Raise BadRequestError unless the key of a request can be part of an event_id."""
    if key is not None and not re.fullmatch(rf"[!-~]{{1,{LONGEST_REQUEST_KEY}}}", key):
        raise BadRequestError(
            f"the header Idempotency-Key is {excerpt(key.encode())}; right are 1 to {LONGEST_REQUEST_KEY} visible "
            "ASCII characters without spaces, such as a UUID"
        )


def records_in(
    body: bytes, now_ms: int, request_key: str | None = None, most_bytes: int = MOST_BYTES
) -> list[PostedRecord]:
    """Read the events of a body, one JSON object or a list of them, as records keyed by user.

    Parameters
    ----------
    now_ms : time of the request, Unix time in milliseconds; events that name none, or null, get it.
    request_key : name of the request, the same where it is sent again; events without an event_id get it with their
        place behind it. None: they stay without one.
    most_bytes : of an event.

    Raises
    ------
    BadRequestError
        If the body is no JSON, or has no event or more than MOST_EVENTS, or the key cannot be part of an event_id.
    BadEventsError
        If any event is not valid: names each.
    """
    _check_key(request_key)
    values = _values_in(body)
    records: list[PostedRecord] = []
    faults: list[EventFault] = []
    for place, value in enumerate(values):
        try:
            records.append(_record_of(value, now_ms, f"{request_key}/{place}" if request_key else "", most_bytes))
        except BadEventError as error:
            faults.append(EventFault(place, error.reason, f"{error.plain}; the event is {excerpt(value)}"))
    if faults:
        raise BadEventsError(faults, len(values))
    return records


def _values_in(body: bytes) -> list[bytes]:
    """Split a body into its events, each as it was sent."""
    try:
        body.decode()
        whole = bytes(msgspec.json.decode(body, type=msgspec.Raw))
        values = [whole] if whole.startswith(b"{") else [bytes(one) for one in _list_decoder.decode(whole)]
    except msgspec.ValidationError:
        raise BadRequestError(
            f"the body is {excerpt(body)}; right is an event (an object), or a list of them"
        ) from None
    except NO_JSON as error:
        raise BadRequestError(f"the body is no JSON in UTF-8: {error}") from None
    if not 1 <= len(values) <= MOST_EVENTS:
        raise BadRequestError(f"the body has {len(values):,} events; right are 1 to {MOST_EVENTS:,}")
    return values


def _record_of(value: bytes, now_ms: int, event_id: str, most_bytes: int) -> PostedRecord:
    """Return the record of one event, with what it lacks.

    Raises
    ------
    BadEventError
        If it is none.
    """
    key = b""
    with suppress(*NO_JSON):  # what is no event is refused below, in words
        head = _head_decoder.decode(value)
        added = {}
        if bytes(head.event_time_ms) == _NULL:
            added["event_time_ms"] = msgspec.Raw(b"%d" % now_ms)
        if event_id and bytes(head.event_id) in (_NULL, b'""'):
            added["event_id"] = msgspec.Raw(msgspec.json.encode(event_id))
        if added:
            value = msgspec.json.encode(_fields_decoder.decode(value) | added)
        key = msgspec.json.decode(head.user_id, type=str).encode()
    decode(value, key, now_ms, most_bytes)
    return PostedRecord(key, value)
