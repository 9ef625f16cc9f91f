"""Writing dead letters: records that are no events go to a topic of their own, with the fault and their origin."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kafka.consumer.fetcher import ConsumerRecord

from stream.events.event import BadEventError
from stream.events.published import published_ms
from stream.kafka.fetch.unreadable_record import last_offset_of
from stream.kafka.outbox import Outbox

__all__ = ["KEPT_BYTES", "DeadLetter", "LetterWriter"]

KEPT_BYTES = 500_000  # of a key and of a value: together with the headers they must fit into Kafka's 1 MB a record
FEW_BYTES = 64  # half of less is as good as nothing
SHORT_ERROR = 100  # bytes, in a letter without content
AGAIN_S = 60.0  # after which a topic may take larger letters


@dataclass(frozen=True)
class DeadLetter:
    """A record that could not be read, and why.

    Attributes
    ----------
    record_id : what its events without an id of their own are known by; "" where they are known by their place.
    """

    record: ConsumerRecord
    error: BadEventError
    record_id: str = ""

    @property
    def source(self) -> str:
        """Return topic[partition]@offset of the record."""
        return f"{self.record.topic}[{self.record.partition}]@{self.record.offset}"

    @property
    def records(self) -> int:
        """Return how many records it stands for: of a damaged batch there is one letter."""
        return last_offset_of(self.record) - int(self.record.offset) + 1

    @property
    def size(self) -> int:
        """Return the bytes of the key, or of the value if that has more."""
        return max(len(self.record.key or b""), len(self.record.value or b""))

    def truncated(self, most_bytes: int) -> int | None:
        """Return the bytes of the whole key and value if the letter cannot hold them all."""
        key, value = self.record.key or b"", self.record.value or b""
        return len(key) + len(value) if self.size > most_bytes else None

    def to_record(self, most_bytes: int = KEPT_BYTES, short: bool = False) -> dict[str, Any]:
        """Return the arguments of `KafkaProducer.send`.

        Parameters
        ----------
        most_bytes : of the key, and of the value; of longer ones the letter holds the beginning.
        short : whether to cut the error too.
        """
        key, value = self.record.key, self.record.value
        if value is None and key is None:
            value = b""  # other clients can send such a record, kafka-python cannot
        headers = self._headers(most_bytes)
        if short:
            headers = [(name, content[:SHORT_ERROR]) for name, content in headers]
        return {"key": key and key[:most_bytes], "value": value and value[:most_bytes], "headers": headers}

    def _headers(self, most_bytes: int) -> list[tuple[str, bytes]]:
        """Return the letter's headers: where the record came from and what is wrong."""
        fields: dict[str, object] = {
            "source-topic": self.record.topic,
            "source-partition": self.record.partition,
            "source-offset": self.record.offset,
            "source-published-ms": published_ms(self.record),
            "reason": self.error.reason,
            "error": self.error,
        }
        if self.records > 1:
            fields["source-last-offset"] = last_offset_of(self.record)
        if self.record_id:
            fields["record-id"] = self.record_id
        if (whole := self.truncated(most_bytes)) is not None:
            fields["truncated"] = whole
        return [(name, str(content).encode()) for name, content in fields.items()]


class LetterWriter:
    """A writer of dead letters to their topic, which cuts those that the broker refuses for their size.

    Parameters
    ----------
    most_bytes : of a key, and of a value.
    """

    def __init__(self, outbox: Outbox, topic: str, most_bytes: int = KEPT_BYTES) -> None:
        self.outbox, self.topic, self.most_bytes = outbox, topic, most_bytes
        self.fits, self.tried = most_bytes, 0.0  # what the topic takes, as far as is known, and since when

    def write(self, letters: Sequence[DeadLetter]) -> None:
        """Write dead letters and wait until the broker has them all.

        Raises
        ------
        OSError
            If one is not acknowledged in time; none of them may then count as dealt with.
        """
        if time.monotonic() - self.tried > AGAIN_S:
            self.fits = self.most_bytes
        short = False
        while letters := self._refused(letters, short):
            if short:
                self.fits = self.most_bytes  # once it takes something, that may be everything
                raise OSError(
                    f"dead letters cannot be written to {self.topic}: it takes not even their headers; raise its "
                    "max.message.bytes; their offsets stay uncommitted"
                )
            short = self.fits == 0
            largest = min(self.fits, max(one.size for one in letters))
            self.fits, self.tried = (largest // 2 if largest >= FEW_BYTES else 0), time.monotonic()

    def _refused(self, letters: Sequence[DeadLetter], short: bool) -> Sequence[DeadLetter]:
        """Write letters, cut to what fits; return those that are still too large."""
        records = [one.to_record(self.fits, short) for one in letters]
        return [letters[number] for number in self.outbox.send_fitting(self.topic, records, "dead letters")]
