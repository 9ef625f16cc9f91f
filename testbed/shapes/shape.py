"""A shape of records: a mapping, a record, and the events or the dead letter that must come of it."""

import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from mindstream.mapping import Mapping
from stream.events.event import BadEventError, Event, Forget
from stream.events.mapped.decoder import MappedDecoder

__all__ = [
    "FLAT",
    "FROM_KEY",
    "ISO",
    "LIST",
    "NESTED",
    "NOON",
    "PUBLISHED",
    "TIMES",
    "Outcome",
    "Shape",
    "click",
    "decoder_of",
    "faults",
    "flat",
    "has_a_way",
    "outcome_of",
    "timed",
    "value_of",
]

NOON = 1_769_860_800_000  # 2026-01-31T12:00:00Z
PUBLISHED = NOON + 60_000
ISO = "2026-01-31T12:00:00Z"
WITHOUT_WEIGHT = "scroll"  # an event type that counts for nothing

FLAT = {"user": "uid", "item": "product", "time": "ts", "type": "kind"}
NESTED = {"user": "userId,anonymousId", "item": "properties.product_id", "time": "at"}
LIST = {"user": "user", "item": "items[].id", "time": "at"}
FROM_KEY = {"item": "product", "time": "ts"}
TIMES: dict[str, Any] = {"user": "uid", "item": "product", "time": "ts"}

# What a message has in it that says what to set, or what to send instead.
_WAY = re.compile(r"`\w+( = [^`]+)?`|\bMINDSTREAM_[A-Z_]+\b|\bright (is|are)\b|\ban event is\b|\bmust be\b|\bat most\b")


@dataclass(frozen=True)
class Shape:
    """A mapping, a record, and what is right.

    Attributes
    ----------
    value : of the record: its bytes, or what is written as JSON.
    events : what must come of it, if no reason is said.
    reason, says : of its dead letter, and what its message must have in it.
    left_out : what must be in the reason for which something is left out; empty: nothing is.
    """

    mapping: dict[str, Any]
    value: Any
    events: tuple[Event, ...] = ()
    key: bytes | None = None
    reason: str = ""
    says: tuple[str, ...] = ()
    left_out: str = ""


@dataclass(frozen=True)
class Outcome:
    """What came of a record: events and the reasons for which some were left out, or a dead letter."""

    events: tuple[Event | Forget, ...] = ()
    left_out: tuple[str, ...] = ()
    reason: str = ""
    message: str = ""


def click(user: str = "ann", item: str = "mug", time_ms: int = NOON, **more: Any) -> Event:
    """Return an event with a few usual values."""
    return Event(user, item, time_ms, **more)


def timed(ts: Any, **more: Any) -> dict[str, Any]:
    """Return a flat record with this time."""
    return {"uid": "ann", "product": "mug", "ts": ts, **more}


def flat(ts: Any, **more: Any) -> Shape:
    """Return a shape whose time is noon, however it is written."""
    return Shape(TIMES, timed(ts), (click(),), **more)


def decoder_of(mapping: dict[str, Any]) -> MappedDecoder:
    """Make the decoder of a mapping, for which one event type weighs nothing."""
    return MappedDecoder(Mapping(**mapping), "shop.toml", counts=lambda kind: kind != WITHOUT_WEIGHT)


def value_of(shape: Shape) -> bytes:
    """Return the bytes of a shape's value."""
    return shape.value if isinstance(shape.value, bytes) else json.dumps(shape.value).encode()


def outcome_of(shape: Shape) -> Outcome:
    """Decode a shape's record, as an updater does."""
    decoder = decoder_of(shape.mapping)
    try:
        events = tuple(decoder.decode(value_of(shape), shape.key, PUBLISHED))
    except BadEventError as error:
        return Outcome(reason=error.reason, message=str(error))
    return Outcome(events, tuple(+Counter(decoder.left_out)))


def faults(shape: Shape, outcome: Outcome) -> list[str]:
    """Say what is not as the shape says; nothing if all is right."""
    if shape.reason or outcome.reason:
        found = [f"the reason is {outcome.reason!r}"] if outcome.reason != shape.reason else []
        return found + [f"the message lacks {part!r}" for part in shape.says if part not in outcome.message]
    found = [] if outcome.events == shape.events else [f"the events are {outcome.events}"]
    expected = [shape.left_out in reason for reason in outcome.left_out]
    return found + ([] if expected == [True] * bool(shape.left_out) else [f"left out is {outcome.left_out}"])


def has_a_way(outcome: Outcome) -> bool:
    """Tell whether a dead letter's message says what to set, or what to send instead."""
    return bool(_WAY.search(outcome.message))
