"""Ids of events: the producer's own, and those that are made of the place of their record.

Without one an event of a topic whose key is not the user could not be told from its replay: a user's events lie on
several partitions then, and one Position says nothing of the others.
"""

import re
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from hashlib import blake2b

from kafka.consumer.fetcher import ConsumerRecord

__all__ = ["HEADER", "LONGEST_EVENT_ID", "RecordIds", "id_of_source", "numbered", "own_id"]

HEADER = "mindstream-record-id"
LONGEST_EVENT_ID = 128
_SOURCE_BYTES = 12
_ID = re.compile(rb"[A-Za-z0-9_.-]{1,100}")
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


def numbered(record_id: str | None, number: int) -> str | None:
    """Return the id of an event: its record's, from the second event on with its number."""
    return f"{record_id}.{number:04x}" if number and record_id else record_id


def id_of_source(source: str) -> str:
    """Return an id for the record at a source, where what was read of it does not say one."""
    return _hashed(source, _SOURCE_BYTES)


class RecordIds:
    """The ids of the records of a topic, by their places.

    A record that was sent again, from a dead letter, says in a header which one it stands for.
    """

    def __init__(self, topic_life: str) -> None:
        self.life = _hashed(topic_life, _LIFE_BYTES)
        self.beginnings: dict[int, str] = {}  # partition -> what its ids begin with

    def at(self, partition: int, offset: int) -> str:
        """Return the id of the record at a place: 18 characters, in order on a partition."""
        try:
            return f"{self.beginnings[partition]}{offset:010x}"
        except KeyError:
            self.beginnings[partition] = f"{self.life}{partition:x}-"
            return self.at(partition, offset)

    def of(self, record: ConsumerRecord) -> str:
        """Return the id of a record."""
        if record.headers:
            for name, value in record.headers:
                if name == HEADER and value and _ID.fullmatch(value):
                    return str(value.decode())
        if (beginning := self.beginnings.get(record.partition)) is not None:  # for each record of a topic
            return f"{beginning}{record.offset:010x}"
        return self.at(record.partition, record.offset)


def _hashed(text: str, size: int) -> str:
    """Return the hash of a text as letters and digits."""
    return urlsafe_b64encode(blake2b(text.encode(), digest_size=size).digest()).decode().rstrip("=")
