"""One producer that many threads publish with; it is opened when it is first needed, and replaced when it fails."""

import logging
import threading
import time
from collections.abc import Sequence
from typing import Any, Self

from kafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError

from mindstream.settings import Settings
from stream.events.posted import PostedRecord
from stream.events.producer import EventProducer
from stream.kafka.cluster import Cluster
from stream.kafka.connect import existing_cluster
from stream.kafka.topics import NoTopicError

__all__ = ["EventPublisher", "NotPublishedError"]

log = logging.getLogger(__name__)

ACKNOWLEDGED_WITHIN_S = 10.0
TRIED_AGAIN_S = 1.0  # after a producer could not be opened
TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)


class NotPublishedError(OSError):
    """Records that Kafka has not acknowledged; the message is for whoever sent them, and names no address.

    Attributes
    ----------
    in_doubt : whether some of them may have been written; else none was.
    too_large : whether one is larger than the topic takes, so that it is of no use to send them again.
    """

    def __init__(self, message: str, in_doubt: bool = False, too_large: bool = False) -> None:
        super().__init__(message)
        self.in_doubt, self.too_large = in_doubt, too_large


class EventPublisher:
    """A publisher of events for many threads at once.

    A producer of kafka-python (3.0.12) that was refused a record for good may refuse all that come later, and one whose
    embedded broker has ended knows no other; so after any failure a new one takes its place.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._lock = threading.Lock()  # held while a producer is opened
        self._counting = threading.Lock()
        self._producer: EventProducer | None = None
        self._failure = ""
        self._failed_at = 0.0
        self._leaving: list[threading.Thread] = []  # each closes a producer that has failed
        self._closed = False
        self._unpublished = 0  # requests since the last one that was published

    def check(self) -> None:
        """Raise ValueError, which names the variable, if the settings of Kafka are not right."""
        Cluster.configured(self.settings)

    def publish(self, records: Sequence[PostedRecord]) -> None:
        """Publish records, and return when Kafka has acknowledged all.

        Raises
        ------
        NotPublishedError
            If it does not do so in time, or cannot be asked.
        """
        try:
            self._publish(self._connected(), records)
        except NotPublishedError as error:
            self._note(error)
            raise
        if self._unpublished:
            self._note(None)

    def _publish(self, producer: EventProducer, records: Sequence[PostedRecord]) -> None:
        """Send records and wait for the broker; leave a producer that fails."""
        deadline = time.monotonic() + ACKNOWLEDGED_WITHIN_S
        futures: list[Any] = []
        acknowledged = 0
        try:
            for record in records:
                futures.append(producer.send_record(record.key, record.value, headers=record.headers))
            for future in futures:
                future.get(timeout=max(0.0, deadline - time.monotonic()))
                acknowledged += 1
        except (KafkaError, OSError) as error:
            self._replace(producer)
            if isinstance(error, TOO_LARGE):
                raise _too_large(acknowledged, records) from error
            reason = error.__cause__ or error  # Kafka's own; ours may name a user, which no log does
            raise _not_acknowledged(len(records), bool(futures)) from reason

    def _note(self, failure: NotPublishedError | None) -> None:
        """Log that events are not published, once until they are again."""
        with self._counting:
            before, self._unpublished = self._unpublished, self._unpublished + 1 if failure else 0
        if failure and not before:
            log.warning("posted events are not published: %s (%s)", failure, failure.__cause__ or "no more is known")
        elif before and not failure:
            log.info("posted events are published again; %d requests were told that theirs are not", before)

    def _connected(self) -> EventProducer:
        """Return the producer; open one if there is none.

        A try that failed counts for those who waited meanwhile, and for who comes soon after: else, while Kafka is
        away, each would wait for all that came before it.
        """
        asked = time.monotonic()
        with self._lock:
            if self._closed:
                raise NotPublishedError("events are not taken any more, since the API is ending; nothing was written")
            if self._producer is None:
                if self._failure and asked - self._failed_at < TRIED_AGAIN_S:
                    raise NotPublishedError(self._failure)
                try:
                    self._producer = self._opened()
                except NotPublishedError as failure:
                    self._failure, self._failed_at = str(failure), time.monotonic()
                    raise
            return self._producer

    def _opened(self) -> EventProducer:
        """Open a producer on the Kafka that there is now.

        An embedded broker is another one after each start.
        """
        topic = self.settings.topic
        try:
            cluster = existing_cluster(self.settings)
            if cluster is None:
                raise NotPublishedError(
                    "there is no Kafka to take events: KAFKA_BOOTSTRAP_SERVERS is not set where the API runs, and no "
                    "embedded broker runs for its home; nothing was written"
                )
            return EventProducer(cluster, topic, self.settings.event_bytes)
        except NotPublishedError:
            raise
        except NoTopicError as error:
            raise NotPublishedError(
                f"Kafka has no topic {topic} to take events; where all is new the first updater makes it (`mindstream "
                "stream run`), and one that was deleted has to be made again; nothing was written"
            ) from error
        except (OSError, ValueError, KafkaError) as error:
            raise NotPublishedError("Kafka does not answer, so nothing was written; send it again later") from error

    def _replace(self, producer: EventProducer) -> None:
        """Leave a producer that has failed to a thread that closes it; others get a new one."""
        if self._producer is not producer:
            return  # another thread was quicker; it may hold the lock for seconds
        with self._lock:
            if self._producer is not producer:
                return
            self._producer = None
            self._leaving = [one for one in self._leaving if one.is_alive()]
            self._leaving.append(threading.Thread(target=producer.close, name="closing a producer"))
            self._leaving[-1].start()

    def close(self) -> None:
        """Close the connections; what is not acknowledged in time is given up."""
        with self._lock:
            self._closed = True
            producer, self._producer = self._producer, None
        if producer is not None:
            producer.close()
        for thread in self._leaving:
            thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _too_large(place: int, records: Sequence[PostedRecord]) -> NotPublishedError:
    """Say that the topic does not take the record at a place of a request for its size."""
    return NotPublishedError(
        f"the event at place {place} has {len(records[place].value):,} bytes, which is more than the topic takes (its "
        f"max.message.bytes); {'nothing was written' if len(records) == 1 else 'the others may have been written'}",
        in_doubt=len(records) > 1,
        too_large=True,
    )


def _not_acknowledged(records: int, in_doubt: bool) -> NotPublishedError:
    """Say that Kafka has not acknowledged records, and what may have become of them."""
    if not in_doubt:
        return NotPublishedError("Kafka takes no events now, so nothing was written; send it again later")
    return NotPublishedError(
        f"Kafka has not acknowledged {'the event' if records == 1 else f'all {records:,} events'} within "
        f"{ACKNOWLEDGED_WITHIN_S:.0f} s, so what was sent may have been written or not; send it again: what has an "
        "event_id, or came with an Idempotency-Key, counts once",
        in_doubt=True,
    )
