"""User states as the versions before wrote them: read here, and written anew in today's format by `codec`.

1   behaviours in the order they arrived, without event_ids; numbers in single precision, with routing weights
2   histories by event time, event_ids, forgotten users; at first the position in three fields (16 fields in all)
3   negative feedback too; who had refused nothing was still written in format 2

Format 4 is today's without event types, and `codec` reads it itself.
"""

import msgspec
import numpy as np

from model_export.bundle.extractor import Capsules
from stream.events.position import Position
from stream.store.feedback import Feedback
from stream.store.history import History
from stream.store.state import UserState, in_half_precision

__all__ = ["OLDER", "state_in"]

OLDER = (1, 2, 3)
FIRST_2 = b"\xdc\x00\x10\x02"  # MessagePack's array of 16 fields, the first of which is 2


class _Record1(msgspec.Struct, frozen=True, array_like=True):
    """A user in format 1."""

    format: int
    user_id: str
    item_ids: tuple[str, ...]
    event_times_ms: tuple[int, ...]
    profile: dict[str, str]
    topic_life: str
    partition: int
    offset: int
    model_version: str
    num_capsules: int
    vectors: bytes
    importance: bytes
    routing_weights: bytes


class _FirstRecord2(msgspec.Struct, frozen=True, array_like=True):
    """A user in format 2 as it was at first."""

    format: int
    topic_life: str
    partition: int
    offset: int
    user_id: str
    item_ids: tuple[str, ...]
    event_times_ms: tuple[int, ...]
    event_ids: tuple[str, ...]
    profile: dict[str, str]
    profile_time_ms: int
    forgotten_ms: int
    model_version: str
    num_capsules: int
    vectors: bytes
    importance: bytes
    routing_weights: bytes


class _Record3(msgspec.Struct, frozen=True, array_like=True):
    """A user in format 3; one in format 2 lacks the last field.

    `floats` are vectors, importance and routing weights, one after the other.
    """

    format: int
    position: Position
    user_id: str
    history: History
    profile: dict[str, str]
    profile_time_ms: int
    forgotten_ms: int
    model_version: str
    num_capsules: int
    floats: bytes
    feedback: Feedback = Feedback()


_decoder_1 = msgspec.msgpack.Decoder(_Record1)
_first_decoder_2 = msgspec.msgpack.Decoder(_FirstRecord2)
_decoder_3 = msgspec.msgpack.Decoder(_Record3)


def state_in(value: bytes, found: int) -> UserState:
    """Read a state of an older format, with its capsules rounded as today.

    Parameters
    ----------
    found : the format, one of OLDER.

    Raises
    ------
    msgspec.DecodeError, ValueError
        If the bytes are not of that format.
    """
    if found == 1:
        return _state_1(_decoder_1.decode(value))
    if value.startswith(FIRST_2):
        return _first_state_2(_first_decoder_2.decode(value))
    return _state_3(_decoder_3.decode(value))


def _state_1(record: _Record1) -> UserState:
    """Read format 1, with its behaviours in the order of their times."""
    behaviours = sorted(zip(record.event_times_ms, record.item_ids, strict=True), key=lambda one: one[0])
    item_ids, times_ms = tuple(one[1] for one in behaviours), tuple(one[0] for one in behaviours)
    return UserState(
        record.user_id,
        History(item_ids, times_ms, ("",) * len(behaviours)),
        _capsules(record.vectors + record.importance, record.num_capsules, record.model_version),
        Position(record.topic_life, record.partition, record.offset),
        record.profile,
    )


def _first_state_2(record: _FirstRecord2) -> UserState:
    """Read format 2 as it was at first."""
    return UserState(
        record.user_id,
        History(record.item_ids, record.event_times_ms, record.event_ids),
        _capsules(record.vectors + record.importance, record.num_capsules, record.model_version),
        Position(record.topic_life, record.partition, record.offset),
        record.profile,
        record.profile_time_ms,
        record.forgotten_ms,
    )


def _state_3(record: _Record3) -> UserState:
    """Read format 3, or format 2."""
    weights = record.num_capsules * len(record.history.item_ids) * 4
    floats = record.floats[: len(record.floats) - weights]
    return UserState(
        record.user_id,
        record.history,
        _capsules(floats, record.num_capsules, record.model_version),
        record.position,
        record.profile,
        record.profile_time_ms,
        record.forgotten_ms,
        record.feedback,
    )


def _capsules(numbers: bytes, num_capsules: int, model_version: str) -> Capsules:
    """Return capsules of vectors (K', d) and importance (K'), which stand one after the other."""
    floats = np.frombuffer(numbers, "<f4")
    vectors_end = floats.size - num_capsules
    vectors = floats[:vectors_end].reshape(num_capsules, vectors_end // num_capsules if num_capsules else 0)
    [capsules] = in_half_precision([Capsules(vectors, floats[vectors_end:], model_version)])
    return capsules
