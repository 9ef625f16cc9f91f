"""Records that are no events, for showing what becomes of them, and the dead letters that they become."""

import json
import time
from collections.abc import Callable

from kafka.errors import KafkaError

from stream.dead_letters.letter import Letter
from stream.dead_letters.topic_reader import DeadLetterTopic
from stream.events.producer import EventProducer
from stream.kafka.cluster import Cluster

__all__ = ["MALFORMED", "last_letters", "send"]

SENT_WITHIN_S = 10
SHOWN = 5
SHOPPER = "careless-producer"


def _record(**fields: object) -> tuple[bytes, bytes]:
    """Make key and value of a record with these fields beside a right user, item and time."""
    event = {"user_id": SHOPPER, "item_id": "teapot", "event_time_ms": int(time.time() * 1000)} | fields
    return SHOPPER.encode(), json.dumps(event).encode()


MALFORMED: dict[str, Callable[[], tuple[bytes, bytes]]] = {
    "Not JSON": lambda: (SHOPPER.encode(), b'{"user_id": "careless-producer", "item_'),
    "Time in seconds": lambda: _record(event_time_ms=int(time.time())),
    "Empty item": lambda: _record(item_id=""),
    "Somebody else's key": lambda: (b"somebody-else", _record()[1]),
    "Next week's event": lambda: _record(event_time_ms=int((time.time() + 7 * 86_400) * 1000)),
}


def send(producer: EventProducer, kind: str) -> str:
    """Publish a malformed record as a careless producer would; return where it lies.

    The place reads "topic[partition]@offset".

    Raises
    ------
    OSError
        If the broker does not take it.
    """
    key, value = MALFORMED[kind]()
    try:  # past EventProducer, which would refuse it
        found = producer.producer.send(producer.topic, key=key, value=value).get(timeout=SENT_WITHIN_S)
    except KafkaError as error:
        raise OSError(f"the record was not accepted by {producer.topic}: {error}") from error
    return f"{found.topic}[{found.partition}]@{found.offset}"


def last_letters(cluster: Cluster, topic: str) -> list[Letter]:
    """Read the last dead letters, the newest first.

    Raises
    ------
    OSError
        If the broker does not answer.
    """
    with DeadLetterTopic(cluster, topic) as letters:
        letters.bounds = {where: (max(begin, end - SHOWN), end) for where, (begin, end) in letters.bounds.items()}
        return sorted(letters, key=lambda letter: -letter.published_ms)[:SHOWN]
