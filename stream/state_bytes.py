"""User states as bytes, the form that stores keep: MessagePack, arrays as little-endian float32."""

from typing import TypeVar

import msgspec
import numpy as np

from model_export.extractor import Capsules
from stream.history import History
from stream.position import Position
from stream.state import UserState

FORMAT = 2


class _Head(msgspec.Struct, frozen=True, array_like=True):
    """The beginning of a _Record: what tells whether it may be replaced, or removed."""

    format: int
    topic_life: str
    partition: int
    offset: int


class _Record(_Head, frozen=True, array_like=True):
    """A UserState."""

    user_id: str
    item_ids: list[str]
    event_times_ms: list[int]
    event_ids: list[str]
    profile: dict[str, str]
    profile_time_ms: int
    forgotten_ms: int
    model_version: str
    num_capsules: int
    vectors: bytes
    importance: bytes
    routing_weights: bytes


_AnyRecord = TypeVar("_AnyRecord", bound=_Head)
_decoder = msgspec.msgpack.Decoder(_Record)
_head_decoder = msgspec.msgpack.Decoder(_Head)
_encoder = msgspec.msgpack.Encoder()


def to_bytes(state: UserState) -> bytes:
    """A UserState in the form that stores keep. Equal states give equal bytes."""
    capsules, position, history = state.capsules, state.position, state.history
    return _encoder.encode(
        _Record(
            FORMAT,
            position.topic_life,
            position.partition,
            position.offset,
            state.user_id,
            list(history.item_ids),
            list(history.event_times_ms),
            list(history.event_ids),
            dict(sorted(state.profile.items())),
            state.profile_time_ms,
            state.forgotten_ms,
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
        History(tuple(record.item_ids), tuple(record.event_times_ms), tuple(record.event_ids)),
        capsules,
        Position(record.topic_life, record.partition, record.offset),
        record.profile,
        record.profile_time_ms,
        record.forgotten_ms,
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
        found = record.format
    except msgspec.DecodeError as error:
        found = _format_of(value, error)  # another format has other fields behind its head
    if found != FORMAT:
        raise ValueError(
            f"a stored user is of format {found}; this version of Mindstream reads {FORMAT}: "
            "start with an empty store and replay the topic"
        )
    return record


def _format_of(value: bytes, error: msgspec.DecodeError) -> int:
    """The format of a record that could not be read; what was wrong where it is of ours."""
    try:
        found = _head_decoder.decode(value).format
    except msgspec.DecodeError:
        found = FORMAT
    if found == FORMAT:
        raise ValueError(f"a stored user cannot be read: {error}") from None
    return found


def _matrix(value: bytes, rows: int) -> np.ndarray:
    flat = np.frombuffer(value, dtype="<f4")
    return flat.reshape(rows, flat.size // rows if rows else 0)
