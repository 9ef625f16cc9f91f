"""Publishing that is over only when the broker has everything."""

from collections.abc import Iterable, Mapping
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError

from stream.kafka.cluster import Cluster, close_producer

__all__ = ["Outbox"]

ACKNOWLEDGED_WITHIN_S = 10
CLOSED_WITHIN_S = 2


class Outbox:
    """Writing of records to topics that waits for the broker and may be tried again.

    A producer of kafka-python (3.0.12) that was refused a record for good refuses all that come later, even when the
    reason is gone; so a new one takes its place.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
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
            producer = self.producer = self.producer or self.cluster.producer()
            futures = [producer.send(topic, **record) for record in records]
            for future in futures:
                future.get(timeout=ACKNOWLEDGED_WITHIN_S)
        except KafkaError as error:
            self.close()
            raise OSError(f"{what} cannot be written to {topic}: {error}; their offsets stay uncommitted") from error

    def close(self) -> None:
        """Close the connection; what was not acknowledged is given up."""
        if self.producer is not None:
            close_producer(self.producer, CLOSED_WITHIN_S)
            self.producer = None
