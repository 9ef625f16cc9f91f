"""Ids of events: the producer's own, and those that are made of the place of their record.

Without one an event of a topic whose key is not the user could not be told from its replay: a user's events lie on
several partitions then, and one Position says nothing of the others.
"""

from base64 import urlsafe_b64encode
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b

__all__ = ["LONGEST_EVENT_ID", "numbered", "own_id", "place_id", "place_prefix"]

LONGEST_EVENT_ID = 128
_LIFE_BYTES = 4  # of the hash of a topic's life: two of one topic's lives are not the same by chance


def own_id(words: Sequence[str | None], number: int) -> str | None:
    """Return the id that a record gives one of its events; None if it gives none.

    Parameters
    ----------
    words : the parts of the record's own id.
    number : of the event in the record.
    """
    if not words or None in words:
        return None
    text = "/".join(word for word in words if word) + (f"#{number}" if number else "")
    return text if len(text) <= LONGEST_EVENT_ID else _hashed(text, 24)


def place_prefix(topic_life: str, partition: int) -> str:
    """Return what the ids of a partition's records begin with."""
    return f"{_life_id(topic_life)}{partition:x}-"


def place_id(prefix: str, offset: int) -> str:
    """Return the id of a record by its place: some 18 characters, in the order of the partition."""
    return f"{prefix}{offset:010x}"


def numbered(record_id: str | None, number: int) -> str | None:
    """Return the id of one of a record's events: that of the record, from the second one on with its number."""
    return f"{record_id}.{number:04x}" if number and record_id else record_id


@lru_cache(maxsize=64)
def _life_id(topic_life: str) -> str:
    """Return the short form of a topic's life."""
    return _hashed(topic_life, _LIFE_BYTES)


def _hashed(text: str, size: int) -> str:
    """Return the hash of a text as letters and digits."""
    return urlsafe_b64encode(blake2b(text.encode(), digest_size=size).digest()).decode().rstrip("=")
