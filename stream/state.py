"""What is kept of a user: the history, the capsules made from it, and the Position of the last applied event."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TypeVar

import msgspec
import numpy as np

from model_export.extractor import Capsules
from stream.event import Event

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Position:
    """Where an event stands on Kafka.

    Attributes
    ----------
    topic_life : identity of the topic. One that is deleted and made again has another and starts at offset 0.
    partition, offset : as Kafka counts them.
    """

    topic_life: str
    partition: int
    offset: int

    def covers(self, other: "Position") -> bool:
        """Whether an event at `other` was applied by the time this one was."""
        return self.same_log(other) and other.offset <= self.offset

    def precedes(self, other: "Position") -> bool:
        """Whether an event at `other` comes later on the same partition."""
        return self.same_log(other) and self.offset < other.offset

    def same_log(self, other: "Position") -> bool:
        return self.topic_life == other.topic_life and self.partition == other.partition


@dataclass(frozen=True, slots=True)
class History:
    """A user's behaviours in the order they were applied: item_ids (T,), event_times_ms (T,)."""

    item_ids: tuple[str, ...] = ()
    event_times_ms: tuple[int, ...] = ()

    def extended(self, events: Iterable[Event], most: int) -> "History":
        """This history with more behaviours at its end; the most recent `most` are kept."""
        events = list(events)
        return History(
            (self.item_ids + tuple(event.item_id for event in events))[-most:],
            (self.event_times_ms + tuple(event.event_time_ms for event in events))[-most:],
        )


@dataclass(frozen=True, slots=True)
class UserState:
    """One user, as stored.

    Attributes
    ----------
    capsules : made from exactly this history and profile.
    position : of the last event that was applied.
    """

    user_id: str
    history: History
    capsules: Capsules
    position: Position
    profile: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Applied:
    """A user's history with new events, before its capsules are computed.

    Attributes
    ----------
    events : how many behaviours were appended.
    """

    user_id: str
    history: History
    profile: dict[str, str]
    position: Position
    events: int

    def with_capsules(self, capsules: Capsules) -> UserState:
        return UserState(self.user_id, self.history, capsules, self.position, self.profile)


def apply(
    user_id: str, state: UserState | None, events: Iterable[tuple[Event, Position]], history_length: int
) -> Applied | None:
    """Append a user's events, in the order of their partition, to what is stored.

    An event at or before the stored Position was applied already and is skipped, so a replay changes nothing.

    Returns
    -------
    None where every event was applied before.
    """
    last = state.position if state else None
    fresh: list[Event] = []
    for event, position in events:
        if last is not None and last.covers(position):
            continue
        fresh.append(event)
        last = position
    if not fresh or last is None:
        return None
    history = (state.history if state else History()).extended(fresh, history_length)
    profiles = [event.profile for event in fresh if event.profile is not None]
    profile = profiles[-1] if profiles else (state.profile if state else {})
    return Applied(user_id, history, profile, last, len(fresh))


class _Record(msgspec.Struct, frozen=True, array_like=True):
    """A UserState as bytes: MessagePack, arrays as little-endian float32."""

    format: int
    user_id: str
    item_ids: list[str]
    event_times_ms: list[int]
    profile: dict[str, str]
    topic_life: str
    partition: int
    offset: int
    model_version: str
    num_capsules: int
    vectors: bytes
    importance: bytes
    routing_weights: bytes


class _Head(msgspec.Struct, frozen=True, array_like=True):
    """The beginning of a _Record, without reading what is large."""

    format: int
    user_id: str
    item_ids: msgspec.Raw
    event_times_ms: msgspec.Raw
    profile: msgspec.Raw
    topic_life: str
    partition: int
    offset: int


_AnyRecord = TypeVar("_AnyRecord", _Record, _Head)
_decoder = msgspec.msgpack.Decoder(_Record)
_head_decoder = msgspec.msgpack.Decoder(_Head)
_encoder = msgspec.msgpack.Encoder()


def to_bytes(state: UserState) -> bytes:
    """A UserState in the form that stores keep. Equal states give equal bytes."""
    capsules = state.capsules
    return _encoder.encode(
        _Record(
            FORMAT,
            state.user_id,
            list(state.history.item_ids),
            list(state.history.event_times_ms),
            dict(sorted(state.profile.items())),
            state.position.topic_life,
            state.position.partition,
            state.position.offset,
            capsules.model_version,
            len(capsules.vectors),
            *(a.astype("<f4").tobytes() for a in (capsules.vectors, capsules.importance, capsules.routing_weights)),
        )
    )


def from_bytes(value: bytes) -> UserState:
    """Read what `to_bytes` wrote.

    Raises
    ------
    ValueError
        If the bytes are none of ours, or of another format.
    """
    record = _read(_decoder, value)
    number = record.num_capsules
    capsules = Capsules(
        vectors=_matrix(record.vectors, number),
        importance=np.frombuffer(record.importance, dtype="<f4"),
        routing_weights=_matrix(record.routing_weights, number),
        model_version=record.model_version,
    )
    return UserState(
        record.user_id,
        History(tuple(record.item_ids), tuple(record.event_times_ms)),
        capsules,
        Position(record.topic_life, record.partition, record.offset),
        record.profile,
    )


def position_of(value: bytes) -> Position:
    """The Position in what `to_bytes` wrote.

    Raises
    ------
    ValueError
        As `from_bytes` does.
    """
    head = _read(_head_decoder, value)
    return Position(head.topic_life, head.partition, head.offset)


def _read(decoder: msgspec.msgpack.Decoder[_AnyRecord], value: bytes) -> _AnyRecord:
    try:
        record = decoder.decode(value)
    except msgspec.DecodeError as error:
        raise ValueError(f"a stored user cannot be read: {error}") from None
    if record.format != FORMAT:
        raise ValueError(f"a stored user is of format {record.format}; this version of Mindstream reads {FORMAT}")
    return record


def _matrix(value: bytes, rows: int) -> np.ndarray:
    flat = np.frombuffer(value, dtype="<f4")
    return flat.reshape(rows, flat.size // rows if rows else 0)


def recomputed(state: UserState, capsules: Capsules) -> UserState:
    """The same user with capsules of another model."""
    return replace(state, capsules=capsules)
