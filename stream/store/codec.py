"""User states as bytes, the form that stores keep: MessagePack, arrays as little-endian float32."""

from typing import TypeVar

import msgspec
import numpy as np

from model_export.bundle.extractor import Capsules
from stream.events.position import Position
from stream.store.feedback import Feedback
from stream.store.history import History
from stream.store.state import UserState

__all__ = ["from_bytes", "position_of", "to_bytes"]

# A user without negative feedback is written in the older format, bit for bit as the version before wrote it. So what
# is made of a state from before an upgrade still replaces it (`Store.replace_many` compares bytes), and processes of
# the version before read all users but those who have refused an item.
WITHOUT_FEEDBACK = 2
WITH_FEEDBACK = 3
FORMATS = (WITHOUT_FEEDBACK, WITH_FEEDBACK)


class _Tag(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The first field of a _Record, in every format."""

    format: int


class _Head(_Tag, frozen=True, array_like=True, gc=False):
    """The beginning of a _Record: what tells whether it may be replaced."""

    position: Position


class _Record(_Head, frozen=True, array_like=True, gc=False):
    """A UserState as bytes.

    `floats` are its capsules' vectors, importance and routing weights, one after the other.
    """

    user_id: str
    history: History
    profile: dict[str, str]
    profile_time_ms: int
    forgotten_ms: int
    model_version: str
    num_capsules: int
    floats: bytes


class _RecordWithFeedback(_Record, frozen=True, array_like=True, gc=False):
    """A UserState with negative feedback as bytes; one without reads as such too."""

    feedback: Feedback = Feedback()


_AnyRecord = TypeVar("_AnyRecord", bound=_Head)
_decoder = msgspec.msgpack.Decoder(_RecordWithFeedback)
_head_decoder = msgspec.msgpack.Decoder(_Head)
_tag_decoder = msgspec.msgpack.Decoder(_Tag)
_encoder = msgspec.msgpack.Encoder()


def to_bytes(state: UserState) -> bytes:
    """Write a UserState in the form that stores keep. Equal states give equal bytes."""
    capsules = state.capsules
    arrays = capsules.vectors, capsules.importance, capsules.routing_weights
    fields = (
        state.position,
        state.user_id,
        state.history,
        dict(sorted(state.profile.items())),
        state.profile_time_ms,
        state.forgotten_ms,
        capsules.model_version,
        len(capsules.vectors),
        b"".join([array.astype("<f4", copy=False).tobytes() for array in arrays]),
    )
    if not state.feedback.items:
        return _encoder.encode(_Record(WITHOUT_FEEDBACK, *fields))
    return _encoder.encode(_RecordWithFeedback(WITH_FEEDBACK, *fields, state.feedback))


def from_bytes(value: bytes) -> UserState:
    """Read what `to_bytes` wrote.

    Raises
    ------
    ValueError
        If the bytes are none of ours, or of another format.
    """
    record = _read(_decoder, value)
    return UserState(
        record.user_id,
        record.history,
        _capsules_in(record),
        record.position,
        record.profile,
        record.profile_time_ms,
        record.forgotten_ms,
        record.feedback,
    )


def _capsules_in(record: _Record) -> Capsules:
    """Read the capsules: vectors (K', d), importance (K') and routing weights (K', T)."""
    floats = np.frombuffer(record.floats, "<f4")
    number, behaviours = record.num_capsules, len(record.history.item_ids)
    weights_at = floats.size - number * behaviours
    vectors_end = weights_at - number
    return Capsules(
        floats[:vectors_end].reshape(number, vectors_end // number if number else 0),
        floats[vectors_end:weights_at],
        floats[weights_at:].reshape(number, behaviours),
        record.model_version,
    )


def position_of(value: bytes) -> Position:
    """Read the Position in what `to_bytes` wrote.

    Raises
    ------
    ValueError
        As `from_bytes` does.
    """
    return _read(_head_decoder, value).position


def _read(decoder: msgspec.msgpack.Decoder[_AnyRecord], value: bytes) -> _AnyRecord:
    """Decode a record, and raise ValueError if it is of another format."""
    try:
        record = decoder.decode(value)
        found = record.format
    except msgspec.DecodeError as error:
        found = _format_of(value, error)  # another format has other fields behind its head
    if found not in FORMATS:
        way_on = "start with an empty store and replay the topic"
        if found > max(FORMATS):
            way_on = f"a later version wrote it; use that one, or {way_on}"
        raise ValueError(
            f"a stored user is of format {found}; this version of Mindstream reads "
            f"{' and '.join(map(str, FORMATS))}: {way_on}"
        )
    return record


def _format_of(value: bytes, error: msgspec.DecodeError) -> int:
    """Return the format of a record that could not be read.

    ValueError says what is wrong with one of ours.
    """
    try:
        found = _tag_decoder.decode(value).format
    except msgspec.DecodeError:
        found = max(FORMATS)
    if found in FORMATS:
        raise ValueError(f"a stored user cannot be read: {error}") from None
    return found
