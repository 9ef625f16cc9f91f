"""Publishing that is over only when the broker has everything."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError, MessageSizeTooLargeError, RecordListTooLargeError

from stream.kafka.cluster import Cluster, close_producer
from stream.kafka.topics import is_gone

__all__ = ["Outbox"]

log = logging.getLogger(__name__)

ACKNOWLEDGED_WITHIN_S = 10.0
ASKED_AFTER_S = 1.0  # whether the topic is there; while it is not, the client only tries again, without a word
CLOSED_WITHIN_S = 2
TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)


class Outbox:
    """Writing of records to topics that waits for the broker and may be tried again.

    A producer of kafka-python (3.0.12) that was refused a record for good refuses all that come later, even when the
    reason is gone; so a new one takes its place. Before it waits for a topic, it is asked whether that is there.
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
        errors = self._errors(topic, list(records), what)
        if errors:
            raise _unwritten(what, topic, errors)

    def send_fitting(self, topic: str, records: Sequence[Mapping[str, Any]], what: str) -> list[int]:
        """Publish records and wait, as `send_all` does; return those to be sent again.

        What is returned are the numbers of the records that are too large for the topic, and of what was under way
        together with them.

        Raises
        ------
        OSError
            If one is not acknowledged in time, for another reason.
        """
        errors = self._errors(topic, records, what)
        if errors and not any(isinstance(error, TOO_LARGE) for error in errors.values()):
            raise _unwritten(what, topic, errors)
        return sorted(errors)

    def _errors(self, topic: str, records: Sequence[Mapping[str, Any]], what: str) -> dict[int, KafkaError]:
        """Publish records and wait; return why some are not on the broker, by their numbers.

        Raises
        ------
        OSError
            If the topic is gone.
        """
        if self.producer is None:
            self._check_topic(topic, what)
        futures, errors = self._send(topic, records)
        patience = ACKNOWLEDGED_WITHIN_S  # for the next one: as long as some arrive, there is progress
        for number, future in futures.items():
            try:
                self._wait(future, patience, topic, what)
            except KafkaError as error:
                errors[number] = error
                patience = 0.0 if isinstance(error, KafkaTimeoutError) else patience
        if errors:
            self.close()
        return errors

    def _send(self, topic: str, records: Sequence[Mapping[str, Any]]) -> tuple[dict[int, Any], dict[int, KafkaError]]:
        """Give records to the producer.

        Return the futures, and why some were not taken, by their numbers.
        """
        futures: dict[int, Any] = {}
        errors: dict[int, KafkaError] = {}
        for number, record in enumerate(records):
            try:
                futures[number] = self._connected().send(topic, **record)
            except TOO_LARGE as error:
                errors[number] = error
            except KafkaError as error:  # each of those behind it would wait as long, for the same
                return futures, errors | dict.fromkeys(range(number, len(records)), error)
        return futures, errors

    def _wait(self, future: Any, patience_s: float, topic: str, what: str) -> None:
        """Wait for a record's acknowledgement; ask meanwhile whether the topic is there."""
        try:
            future.get(timeout=min(patience_s, ASKED_AFTER_S))
        except KafkaTimeoutError:
            if patience_s <= ASKED_AFTER_S or future.is_done:
                raise
            self._check_topic(topic, what)
            future.get(timeout=patience_s - ASKED_AFTER_S)

    def _check_topic(self, topic: str, what: str) -> None:
        """Raise OSError if the broker says that the topic is gone."""
        try:
            gone = is_gone(self.cluster, topic)
        except (KafkaError, OSError) as error:  # the client comes to say it
            log.debug("whether there is a topic %s cannot be asked: %s", topic, error)
            return
        if gone:
            self.close()
            raise OSError(
                f"{what} cannot be written: topic {topic} is gone from {self.cluster.bootstrap_servers}; make it "
                "again, or restart an updater, which makes it; their offsets stay uncommitted"
            )

    def _connected(self) -> KafkaProducer:
        """Return the producer; make one if there is none."""
        self.producer = self.producer or self.cluster.producer(self.most_bytes)
        return self.producer

    def close(self) -> None:
        """Close the connection; what was not acknowledged is given up."""
        if self.producer is not None:
            close_producer(self.producer, CLOSED_WITHIN_S)
            self.producer = None


def _unwritten(what: str, topic: str, errors: Mapping[int, KafkaError]) -> OSError:
    """Return the error that says why records are not on their topic."""
    first = errors[min(errors)]
    made = OSError(f"{what} cannot be written to {topic}: {first}; their offsets stay uncommitted")
    made.__cause__ = first
    return made
