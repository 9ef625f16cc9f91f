"""Records that are no events, sent among events, and what the letter of each has to say."""

from dataclasses import dataclass
from typing import Any

from stream.events.producer import EventProducer
from testbed.bad_records import BAD_RECORDS, BadRecord

__all__ = ["KINDS", "Injected", "Sent", "send_bad"]

KINDS = (
    "empty",
    "too large",
    "not JSON",
    "cut off",
    "not UTF-8",
    "a list",
    "wrong type",
    "missing field",
    "the future",
    "wrong key",
)


@dataclass(frozen=True)
class Injected:
    """A bad record on the topic, and the reason that its letter has to give."""

    source: str
    reason: str
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True)
class Sent:
    """A bad record on its way.

    Attributes
    ----------
    future : gives its place, once it is acknowledged.
    """

    kind: BadRecord
    future: Any

    def injected(self) -> Injected:
        """Wait for the broker, and return the record with its place."""
        place = self.future.get()
        source = f"{place.topic}[{place.partition}]@{place.offset}"
        return Injected(source, self.kind.reason, self.kind.key, self.kind.value)


def send_bad(producer: EventProducer, number: int) -> Sent:
    """Send a bad record.

    By their numbers they are of all kinds, on all partitions.
    """
    kind = BAD_RECORDS[KINDS[number % len(KINDS)]]
    partition = number % len(producer.producer.partitions_for(producer.topic))
    # Not by EventProducer itself, which sends nothing that is no event.
    return Sent(kind, producer.producer.send(producer.topic, key=kind.key, value=kind.value, partition=partition))
