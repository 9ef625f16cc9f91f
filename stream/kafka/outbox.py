"""Publishing that is over only when the broker has everything."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError

from stream.kafka.cluster import Cluster, close_producer

__all__ = ["Outbox"]

ACKNOWLEDGED_WITHIN_S = 10
CLOSED_WITHIN_S = 2
TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)


class Outbox:
    """Writing of records to topics that waits for the broker and may be tried again.

    A producer of kafka-python (3.0.12) that was refused a record for good refuses all that come later, even when the
    reason is gone; so a new one takes its place.
    """

    def __init__(self, cluster: Cluster, most_bytes: int = 0) -> None:
        """Connect when the first records are sent.

        Parameters
        ----------
        most_bytes : of a record's key, or value, where that is more than Kafka takes by default.
        """
        self.cluster, self.most_bytes = cluster, most_bytes
        self.producer: KafkaProducer | None = None

    def send_all(self, topic: str, records: Iterable[Mapping[str, Any]], what: str) -> None:
        """Publish records and wait until the broker has them all.

        Each is the arguments of `KafkaProducer.send`.

        Raises
        ------
        OSError
            If one is not acknowledged in time; none of them may then count as dealt with.
        """
        try:
            producer = self._connected()
            futures = [producer.send(topic, **record) for record in records]
            for future in futures:
                future.get(timeout=ACKNOWLEDGED_WITHIN_S)
        except KafkaError as error:
            self.close()
            raise OSError(f"{what} cannot be written to {topic}: {error}; their offsets stay uncommitted") from error

    def send_fitting(self, topic: str, records: Sequence[Mapping[str, Any]], what: str) -> list[int]:
        """Publish records and wait, as `send_all` does; return those to be sent again.

        What is returned are the numbers of the records that are too large for the topic, and of what was under way
        together with them.

        Raises
        ------
        OSError
            If one is not acknowledged in time, for another reason.
        """
        errors: dict[int, KafkaError] = {}
        futures = {}
        for number, record in enumerate(records):
            try:
                futures[number] = self._connected().send(topic, **record)
            except KafkaError as error:
                errors[number] = error
        for number, future in futures.items():
            try:
                future.get(timeout=ACKNOWLEDGED_WITHIN_S)
            except KafkaError as error:
                errors[number] = error
        if errors:
            self.close()
        if errors and not any(isinstance(error, TOO_LARGE) for error in errors.values()):
            first = next(iter(errors.values()))
            raise OSError(f"{what} cannot be written to {topic}: {first}; their offsets stay uncommitted") from first
        return sorted(errors)

    def _connected(self) -> KafkaProducer:
        """Return the producer; make one if there is none."""
        self.producer = self.producer or self.cluster.producer(self.most_bytes)
        return self.producer

    def close(self) -> None:
        """Close the connection; what was not acknowledged is given up."""
        if self.producer is not None:
            close_producer(self.producer, CLOSED_WITHIN_S)
            self.producer = None
