"""Writes users as the versions before stored them, so that what reads them today can be tried on many.

Small users that those versions themselves wrote are in the tests, and must come out of this bit for bit.
"""

from collections.abc import Callable

import msgspec
import numpy as np

from stream.store.codec import to_bytes
from stream.store.state import UserState

__all__ = ["WRITERS", "as_hash", "format_1", "format_2", "format_2_at_first", "format_3", "format_4"]


def _numbers(array: np.ndarray) -> bytes:
    """Return numbers as those versions wrote them: little-endian, single precision."""
    return array.astype("<f4").tobytes()


def _weights(state: UserState) -> np.ndarray:
    """Return routing weights (K', T): each behaviour in equal shares in all interests."""
    number, behaviours = len(state.capsules.vectors), len(state.history.item_ids)
    return np.full((number, behaviours), 1 / max(number, 1), dtype=np.float32)


def _arrays(state: UserState) -> tuple[bytes, bytes, bytes]:
    """Return vectors, importance and routing weights."""
    capsules = state.capsules
    return _numbers(capsules.vectors), _numbers(capsules.importance), _numbers(_weights(state))


def _place(state: UserState) -> tuple[str, int, int]:
    """Return topic life, partition and offset."""
    return state.position.topic_life, state.position.partition, state.position.offset


def format_1(state: UserState) -> bytes:
    """Write the first format, which knew no event_ids, no forgetting and no negative feedback."""
    history, capsules = state.history, state.capsules
    fields = [1, state.user_id, history.item_ids, history.event_times_ms, dict(sorted(state.profile.items()))]
    made_of = [*_place(state), capsules.model_version, len(capsules.vectors), *_arrays(state)]
    return msgspec.msgpack.encode([*fields, *made_of])


def format_2_at_first(state: UserState) -> bytes:
    """Write the second format as it was at first: 16 fields, every array by itself."""
    history, capsules = state.history, state.capsules
    fields = [2, *_place(state), state.user_id, history.item_ids, history.event_times_ms, history.event_ids]
    known = [dict(sorted(state.profile.items())), state.profile_time_ms, state.forgotten_ms]
    return msgspec.msgpack.encode([*fields, *known, capsules.model_version, len(capsules.vectors), *_arrays(state)])


def format_2(state: UserState) -> bytes:
    """Write the second format, with the position first."""
    return msgspec.msgpack.encode(_fields(2, state))


def format_3(state: UserState) -> bytes:
    """Write the third format, which was for users who had refused an item."""
    return msgspec.msgpack.encode([*_fields(3, state), state.feedback])


def format_4(state: UserState) -> bytes:
    """Write the fourth format, which is today's without event types."""
    _, *fields = msgspec.msgpack.decode(to_bytes(state))
    return msgspec.msgpack.encode([4, *fields[:14]])


def _fields(number: int, state: UserState) -> list[object]:
    """Return the fields that formats 2 and 3 share."""
    capsules, known = state.capsules, dict(sorted(state.profile.items()))
    history = msgspec.structs.astuple(state.history)[:3]  # without event types
    head = [number, state.position, state.user_id, history, known, state.profile_time_ms, state.forgotten_ms]
    return [*head, capsules.model_version, len(capsules.vectors), b"".join(_arrays(state))]


def as_hash(state: UserState, value: bytes) -> dict[str, bytes]:
    """Return the hash that those versions kept of a user in Redis."""
    life, partition, offset = _place(state)
    return {"log": f"{life}/{partition}".encode(), "offset": b"%020d" % offset, "state": value}


WRITERS: dict[str, Callable[[UserState], bytes]] = {
    "1": format_1,
    "2 at first": format_2_at_first,
    "2": format_2,
    "3": format_3,
    "4": format_4,
}
