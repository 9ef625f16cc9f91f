"""The producer of behaviour events, keyed by user, so that one user's events stay in order."""

import time
from collections.abc import Sequence
from typing import Any

from kafka.errors import KafkaError

from mindstream.counted import counted
from stream.events.decoders import RecordDecoder, StrictDecoder
from stream.events.event import MOST_BYTES, Event, Forget, decode, encode, excerpt
from stream.events.published import header_of
from stream.kafka.cluster import Cluster, close_producer
from stream.kafka.topics import check_topic

__all__ = ["EventProducer"]

ACKNOWLEDGED_WITHIN_S = 10


class EventProducer:
    """A producer of behaviour events on one topic.

    Raises
    ------
    OSError
        If no broker answers, or there is no such topic: it is not made here.
    """

    def __init__(
        self, cluster: Cluster, topic: str, most_bytes: int = MOST_BYTES, decoder: RecordDecoder | None = None
    ) -> None:
        """Connect.

        Parameters
        ----------
        most_bytes : of an event's value, as it is encoded.
        decoder : of the topic, by which `send_record` checks records; None: of our own form.
        """
        check_topic(cluster, topic)
        self.topic, self.most_bytes = topic, most_bytes
        self.decoder = decoder or StrictDecoder(most_bytes)
        self.producer = cluster.producer(most_bytes)
        self.refused = 0  # events since the last flush
        self.reason: BaseException | None = None  # of the last refusal

    def send(self, event: Event) -> Any:
        """Send an event without waiting for the broker.

        The returned future gives its partition and offset once it is acknowledged.

        Raises
        ------
        BadEventError
            If no consumer would take it for an event.
        OSError
            If the broker does not know the topic, or does not answer.
        """
        key, value = encode(event)
        decode(value, key, _now_ms(), self.most_bytes)
        return self._send(key, value, None)

    def forget(self, user_id: str) -> list[Any]:
        """Ask that everything known of a user be deleted; return futures, as `send` does.

        A copy goes to every partition, all with the same time: the user's events may lie on any of them, as other
        producers have other partitioners. The time is the next millisecond, which is waited for, so that what is
        published from then on is later and what was published before is earlier.

        Raises
        ------
        BadEventError, OSError
            As from `send`.
        """
        now_ms = _now_ms() + 1
        key = user_id.encode()
        decode(None, key)
        try:
            partitions = sorted(self.producer.partitions_for(self.topic))
        except KafkaError as error:
            raise OSError(f"the partitions of {self.topic} are not known: {error}") from error
        futures = [self._send(key, None, now_ms, partition, stamped_ms=now_ms) for partition in partitions]
        time.sleep(0.001)
        return futures

    def send_record(
        self,
        key: bytes | None,
        value: bytes,
        published_ms: int | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> Any:
        """Send an event that is encoded already; its bytes stay as they are, see `send`.

        Parameters
        ----------
        published_ms : when it was published first, where it was; Unix time in milliseconds.
        headers : more of the record's.

        Raises
        ------
        BadEventError, OSError
            As from `send`.
        """
        now_ms = _now_ms() if published_ms is None else published_ms
        if any(isinstance(one, Forget) for one in self.decoder.decode(value, key, now_ms)):
            raise ValueError("a record without a value forgets a user; `forget` sends it, to every partition")
        return self._send(key, value, published_ms, headers=headers)

    def _send(
        self,
        key: bytes | None,
        value: bytes | None,
        published_ms: int | None,
        partition: int | None = None,
        stamped_ms: int | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> Any:
        """Send a record, with a header if it stands for another time.

        See `published`.
        """
        headers = [*headers, *([] if published_ms is None else [header_of(published_ms)])]
        try:
            future = self.producer.send(
                self.topic, key=key, value=value, headers=headers, partition=partition, timestamp_ms=stamped_ms
            )
        except KafkaError as error:
            raise OSError(f"the event of user {excerpt(key)} cannot be sent to {self.topic}: {error}") from error
        future.add_errback(self.note)
        return future

    def note(self, reason: BaseException) -> None:
        """Remember that an event was refused, for those who do not look at its future."""
        self.refused += 1
        self.reason = reason

    def publish(self, event: Event) -> tuple[int, int]:
        """Send an event and wait for the broker.

        Returns
        -------
        partition, offset

        Raises
        ------
        OSError
            If the broker does not acknowledge it in time.
        """
        future = self.send(event)
        try:
            record = future.get(timeout=ACKNOWLEDGED_WITHIN_S)
        except KafkaError as error:
            raise OSError(f"the event of user {event.user_id!r} was not accepted by {self.topic}: {error}") from error
        return record.partition, record.offset

    def flush(self) -> None:
        """Wait until everything sent is acknowledged.

        Raises
        ------
        OSError
            If that takes too long, or the broker refused an event that was sent since the last flush.
        """
        try:
            self.producer.flush(timeout=ACKNOWLEDGED_WITHIN_S)
        except KafkaError as error:
            raise OSError(f"events sent to {self.topic} were not acknowledged: {error}") from error
        refused, self.refused = self.refused, 0
        if refused:
            raise OSError(f"{self.topic} did not accept {counted(refused, 'event')}: {self.reason}")

    def close(self) -> None:
        """Close the connection; what is not acknowledged in time is given up."""
        close_producer(self.producer, ACKNOWLEDGED_WITHIN_S)

    def __enter__(self) -> "EventProducer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _now_ms() -> int:
    """Return the time, Unix time in milliseconds."""
    return int(time.time() * 1000)
