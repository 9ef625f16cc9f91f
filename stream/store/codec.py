"""User states as bytes, the form that stores keep: MessagePack, as small as half precision and differences make it.

A user with 10 behaviours of three types, 4 interests and d = 64 takes about 750 bytes, and one with 100 about 2,020;
see `python -m benchmarks cost`. A store's key is the user_id, so the bytes do not repeat it.
"""

import struct
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from math import gcd
from operator import sub
from typing import TypeVar
from uuid import UUID
from zlib import crc32

import msgspec
import numpy as np

from model_export.bundle.extractor import Capsules
from stream.events.position import Position
from stream.store import older_formats
from stream.store.feedback import Feedback, ItemFeedback
from stream.store.history import History
from stream.store.state import UserState

__all__ = [
    "FORMAT",
    "HEAD",
    "format_of",
    "from_bytes",
    "head_of",
    "is_at",
    "is_same",
    "position_of",
    "renewed",
    "to_bytes",
]

FORMAT = 5
MOST_IN_BYTES = 256  # event types of one user whose places a byte can tell
LIVES = 64  # of topics, remembered: a store has users of one or two
HALF, WHOLE = np.dtype("<f2"), np.dtype("<f4")


class _Tag(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The first field of a _Record, in every format."""

    format: int


# A topic's life: 16 bytes where it is a UUID, as Kafka's are; another one alone in a list, which tells it from those.
_Life = bytes | tuple[str]
_Place = tuple[_Life, int, int]  # a Position


class _Head(_Tag, frozen=True, array_like=True, gc=False):
    """The beginning of a _Record: what tells whether it may be replaced."""

    place: _Place


class _Record(_Head, frozen=True, array_like=True, gc=False):
    """A UserState as bytes, without its user_id.

    Attributes
    ----------
    owner : CRC-32 of the user_id, so that a state which stands under another one's key is noticed.
    first_ms, unit_ms, gaps : the first event time, and the differences to the next ones in this unit: little-endian
        32 bits each, or plain numbers where one does not fit.
    event_ids : empty where no behaviour has one.
    shape, floats : (K', d), and vectors (K', d) and importance (K'), one after the other, little-endian, in half or
        single precision as the state has them.
    type_names, type_places : the event types that occur, in the order of their first behaviours, and the place of each
        behaviour's among them: a byte each, or plain numbers where there are more than 256 types. Without places all
        have the one name, and without a name all are unknown. Not in format 4.
    """

    owner: int
    item_ids: tuple[str, ...]
    first_ms: int
    unit_ms: int
    gaps: bytes | list[int]
    event_ids: tuple[str, ...]
    profile: dict[str, str]
    profile_time_ms: int
    forgotten_ms: int
    model_version: str
    shape: tuple[int, int]
    floats: bytes
    feedback: tuple[ItemFeedback, ...]
    type_names: tuple[str, ...] = ()
    type_places: bytes | list[int] = b""


_AnyRecord = TypeVar("_AnyRecord", bound=_Head)
_decoder = msgspec.msgpack.Decoder(_Record)
_head_decoder = msgspec.msgpack.Decoder(_Head)
_tag_decoder = msgspec.msgpack.Decoder(_Tag)
_encoder = msgspec.msgpack.Encoder()

# MessagePack's mark of an array of so many fields, and the format: so begins every state of this format, and no other.
HEAD = bytes([0xDC, 0, len(_Record.__struct_fields__), FORMAT])
HEAD_4 = bytes([0x90 | 15, 4])  # likewise of the format before, which is a _Record without types
READ_HERE = (HEAD, HEAD_4)


def to_bytes(state: UserState) -> bytes:
    """Write a UserState in the form that stores keep. Equal states give equal bytes."""
    history, capsules = state.history, state.capsules
    times_ms = history.event_times_ms
    return _encoder.encode(
        _Record(
            FORMAT,
            _place_of(state.position),
            crc32(state.user_id.encode()),
            history.item_ids,
            times_ms[0] if times_ms else 0,
            *_packed(times_ms),
            history.event_ids if any(history.event_ids) else (),
            dict(sorted(state.profile.items())) if state.profile else state.profile,
            state.profile_time_ms,
            state.forgotten_ms,
            capsules.model_version,
            (len(capsules.vectors), capsules.vectors.shape[1]),
            _floats(capsules),
            state.feedback.items,
            *_packed_types(history.event_types),
        )
    )


def head_of(position: Position) -> bytes:
    """Return the bytes that a state with this position begins with, and no other state."""
    return HEAD + _encoder.encode(_place_of(position))


def _place_of(position: Position) -> _Place:
    """Return a Position as it is stored."""
    return _packed_life(position.topic_life), position.partition, position.offset


def _position_at(place: _Place) -> Position:
    """Return the Position that is stored so."""
    life, partition, offset = place
    return Position(_unpacked_life(life) if isinstance(life, bytes) else life[0], partition, offset)


@lru_cache(maxsize=LIVES)
def _packed_life(life: str) -> _Life:
    """Return a topic's life as it is stored."""
    try:
        uuid = UUID(life)
    except ValueError:
        return (life,)
    return uuid.bytes if str(uuid) == life else (life,)


@lru_cache(maxsize=LIVES)
def _unpacked_life(packed: bytes) -> str:
    """Return the UUID of these 16 bytes."""
    return str(UUID(bytes=packed))


def _packed(times_ms: tuple[int, ...]) -> tuple[int, bytes | list[int]]:
    """Return the differences of times, and the unit that they are in.

    It is larger than a millisecond only if they need it.
    """
    gaps = list(map(sub, times_ms[1:], times_ms))
    try:
        return 1, struct.pack(f"<{len(gaps)}I", *gaps)
    except struct.error:
        unit = gcd(*gaps)
    gaps = [gap // unit for gap in gaps]
    try:
        return unit, struct.pack(f"<{len(gaps)}I", *gaps)
    except struct.error:
        return unit, gaps


def _times_in(record: _Record) -> tuple[int, ...]:
    """Return the event times of a record."""
    gaps: Sequence[int] | bytes = record.gaps
    if isinstance(gaps, bytes):
        gaps = struct.unpack(f"<{len(gaps) // 4}I", gaps)
    if record.unit_ms != 1:
        gaps = [gap * record.unit_ms for gap in gaps]
    return tuple(accumulate(gaps, initial=record.first_ms)) if record.item_ids else ()


def _packed_types(types: tuple[str, ...]) -> tuple[tuple[str, ...], bytes | list[int]]:
    """Return the event types that occur, and each behaviour's place among them: see _Record."""
    names = tuple(dict.fromkeys(types))
    if len(names) < 2:
        return names if any(names) else (), b""
    place_of = {name: place for place, name in enumerate(names)}
    places = [place_of[name] for name in types]
    return names, bytes(places) if len(names) <= MOST_IN_BYTES else places


def _types_in(record: _Record) -> tuple[str, ...]:
    """Return the event types of a record; raise ValueError if one is not named."""
    names = record.type_names
    if not record.type_places:
        if len(names) > 1:
            raise ValueError(f"there are {len(names)} event types, and it is not said which behaviours have which")
        return (names or ("",)) * len(record.item_ids)
    if not 0 <= min(record.type_places) <= max(record.type_places) < len(names):
        raise ValueError(f"an event type has the place {max(record.type_places)} among {len(names)}")
    return tuple(names[place] for place in record.type_places)


def _floats(capsules: Capsules) -> bytes:
    """Return vectors and importance as bytes, in the precision that they have."""
    vectors, importance = capsules.vectors, capsules.importance
    if not vectors.dtype == importance.dtype == HALF:
        vectors, importance = vectors.astype(WHOLE, copy=False), importance.astype(WHOLE, copy=False)
    return vectors.tobytes() + importance.tobytes()


def _capsules_in(record: _Record) -> Capsules:
    """Return the capsules of a record: vectors (K', d) and importance (K')."""
    number, dim = record.shape
    is_half = len(record.floats) == number * (dim + 1) * HALF.itemsize
    floats = np.frombuffer(record.floats, HALF if is_half else WHOLE)
    vectors_end = number * dim
    return Capsules(
        floats[:vectors_end].reshape(number, dim), floats[vectors_end:].reshape(number), record.model_version
    )


def from_bytes(user_id: str, value: bytes) -> UserState:
    """Read what `to_bytes` wrote, or the versions before.

    Raises
    ------
    ValueError
        If the bytes are none of ours, or of a format that this version does not know.
    """
    if not value.startswith(READ_HERE):
        return _whole(user_id, _older(value))
    try:
        record = _decoder.decode(value)
        if record.owner != crc32(user_id.encode()):
            raise ValueError("it is the state of another user")
        times_ms = _times_in(record)
        state = UserState(
            user_id,
            History(record.item_ids, times_ms, record.event_ids or ("",) * len(times_ms), _types_in(record)),
            _capsules_in(record),
            _position_at(record.place),
            record.profile,
            record.profile_time_ms,
            record.forgotten_ms,
            Feedback(record.feedback),
        )
    except (msgspec.DecodeError, struct.error, ValueError) as error:
        raise _unreadable(error) from None
    return _whole(user_id, state)


def _whole(user_id: str, state: UserState) -> UserState:
    """Return a state that is this user's and whose parts fit; raise ValueError for another."""
    history, capsules = state.history, state.capsules
    if state.user_id != user_id:
        raise ValueError(f"the state that is stored there is that of user {state.user_id!r}")
    if len(set(map(len, msgspec.structs.astuple(history)))) > 1:
        raise ValueError(
            f"the history has {len(history.item_ids)} items, {len(history.event_times_ms)} times, "
            f"{len(history.event_ids)} event_ids and {len(history.event_types)} event types"
        )
    if len(capsules.vectors) != len(capsules.importance):
        raise ValueError(f"there are {len(capsules.vectors)} capsules, and importance of {len(capsules.importance)}")
    return state


def position_of(value: bytes) -> Position:
    """Read the Position in what `to_bytes` wrote, or the versions before.

    Raises
    ------
    ValueError
        As `from_bytes` does.
    """
    if not value.startswith(READ_HERE):
        return _older(value).position
    try:
        return _position_at(_head_decoder.decode(value).place)
    except (msgspec.DecodeError, ValueError) as error:
        raise _unreadable(error) from None


def is_at(value: bytes | None, position: Position | None) -> bool:
    """Tell whether a stored state has this position.

    None stands for nothing stored, and is at None.

    What cannot be read is at none: nobody can have read it.
    """
    if value is None or position is None:
        return value is None and position is None
    if value.startswith(HEAD):
        return value.startswith(head_of(position))
    try:
        return position_of(value) == position
    except ValueError:
        return False


def renewed(user_id: str, value: bytes) -> bytes:
    """Return a stored state in this format; one that is in it comes back as it is.

    Raises
    ------
    ValueError
        As `from_bytes` does, of a state that is not of this format.
    """
    return value if value.startswith(HEAD) else to_bytes(from_bytes(user_id, value))


def is_same(user_id: str, value: bytes | None, written: bytes) -> bool:
    """Tell whether a stored state, of any format, is the one that gives these bytes."""
    if value is None or value.startswith(HEAD):
        return value == written
    try:
        return renewed(user_id, value) == written
    except ValueError:  # not ours, or of a later version
        return False


def format_of(value: bytes) -> int:
    """Return the format of a stored state, this one or an older one.

    Raises
    ------
    ValueError
        If it is none of ours, or of a later version's.
    """
    if value.startswith(READ_HERE):
        return FORMAT if value.startswith(HEAD) else 4
    try:
        found = _tag_decoder.decode(value).format
    except msgspec.DecodeError as error:
        raise _unreadable(error) from None
    if found not in older_formats.OLDER:
        raise ValueError(
            f"a stored user is of format {found}; this version of Mindstream reads 1 to {FORMAT}: "
            "a later version wrote it; use that one"
        )
    return found


def _older(value: bytes) -> UserState:
    """Read a state that a version before wrote."""
    found = format_of(value)
    try:
        return older_formats.state_in(value, found)
    except (msgspec.DecodeError, ValueError) as error:
        raise _unreadable(error) from None


def _unreadable(error: Exception) -> ValueError:
    """Return the error that says that stored bytes are no user."""
    return ValueError(f"a stored user cannot be read: {error}")
