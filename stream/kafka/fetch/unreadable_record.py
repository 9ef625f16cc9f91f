"""A record that the client cannot parse, in the place where it stands on its partition."""

from typing import Any

from kafka import TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

__all__ = ["UnreadableRecord", "last_offset_of"]

NO_TIMESTAMP = -1


class UnreadableRecord(ConsumerRecord):  # type: ignore[misc]  # kafka-python has no types
    """Offsets of a partition whose records cannot be parsed: one record, or all that a damaged batch holds.

    It goes the way of a ConsumerRecord. `offset` is the first; key and value are there where they could be read.

    Attributes
    ----------
    last_offset : the last one, which is often the first too.
    error : a sentence that says why, without anything of the content.
    """

    last_offset: int
    error: str

    @classmethod
    def at(cls, partition: TopicPartition, first: int, last: int, error: str, **known: Any) -> "UnreadableRecord":
        """Make the record of some offsets.

        `known` are fields of ConsumerRecord that could be read.
        """
        fields = dict.fromkeys(ConsumerRecord._fields) | {
            "topic": partition.topic,
            "partition": partition.partition,
            "leader_epoch": -1,
            "offset": first,
            "timestamp": NO_TIMESTAMP,
            "headers": [],
        }
        made = cls(**(fields | known))
        made.last_offset, made.error = last, error
        return made


def last_offset_of(record: ConsumerRecord) -> int:
    """Return the last offset that a record stands for."""
    return record.last_offset if isinstance(record, UnreadableRecord) else int(record.offset)
