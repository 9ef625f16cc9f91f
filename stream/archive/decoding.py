"""The decoder of records that an archive works with."""

from collections.abc import Sequence
from typing import Protocol

from stream.events.event import Event, Forget, decode

__all__ = ["Decoder", "StrictDecoder"]


class Decoder(Protocol):
    """What makes events of a record's value and key."""

    def decode(self, value: bytes | None, key: bytes | None, published_ms: int) -> Sequence[Event | Forget]:
        """Return the events of a record, or raise BadEventError if it has none."""


class StrictDecoder:
    """The decoder of the stream's own events: one a record.

    Parameters
    ----------
    most_bytes : of a value.
    """

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes

    def decode(self, value: bytes | None, key: bytes | None, published_ms: int) -> Sequence[Event | Forget]:
        """Return the event of a record, or raise BadEventError if it is none."""
        return (decode(value, key, published_ms, self.most_bytes),)
