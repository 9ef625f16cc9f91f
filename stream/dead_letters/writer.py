"""Writing dead letters: records that are no events go to a topic of their own, with the fault and their origin."""

from dataclasses import dataclass

from kafka.consumer.fetcher import ConsumerRecord

from stream.events.event import BadEventError
from stream.events.published import published_ms
from stream.kafka.outbox import Outbox

__all__ = ["KEPT_BYTES", "DeadLetter", "write_letters"]

KEPT_BYTES = 500_000  # of a key and of a value: together with the headers they must fit into Kafka's 1 MB a record


@dataclass(frozen=True)
class DeadLetter:
    """A record that could not be read, and why."""

    record: ConsumerRecord
    error: BadEventError

    @property
    def source(self) -> str:
        """Return topic[partition]@offset of the record."""
        return f"{self.record.topic}[{self.record.partition}]@{self.record.offset}"

    @property
    def key(self) -> bytes | None:
        """Return the record's key; only its beginning if it is too large for a letter."""
        key: bytes | None = self.record.key
        return key and key[:KEPT_BYTES]

    @property
    def value(self) -> bytes | None:
        """Return the record's value; only its beginning if it is too large for a letter.

        With the headers it would not be accepted otherwise.
        """
        value: bytes | None = self.record.value
        if value is None and self.record.key is None:
            return b""  # other clients can send such a record, kafka-python cannot
        return value and value[:KEPT_BYTES]

    @property
    def truncated(self) -> int | None:
        """Return the bytes of the whole key and value if the letter cannot hold them all."""
        key, value = self.record.key or b"", self.record.value or b""
        return len(key) + len(value) if max(len(key), len(value)) > KEPT_BYTES else None

    def headers(self) -> list[tuple[str, bytes]]:
        """Return the letter's headers: where the record came from and what is wrong."""
        fields: dict[str, object] = {
            "source-topic": self.record.topic,
            "source-partition": self.record.partition,
            "source-offset": self.record.offset,
            "source-published-ms": published_ms(self.record),
            "reason": self.error.reason,
            "error": self.error,
        }
        if self.truncated is not None:
            fields["truncated"] = self.truncated
        return [(name, str(value).encode()) for name, value in fields.items()]


def write_letters(outbox: Outbox, topic: str, letters: list[DeadLetter]) -> None:
    """Write dead letters and wait until the broker has them all.

    Raises
    ------
    OSError
        If one is not acknowledged in time; none of them may then count as dealt with.
    """
    records = [{"key": one.key, "value": one.value, "headers": one.headers()} for one in letters]
    outbox.send_all(topic, records, "dead letters")
