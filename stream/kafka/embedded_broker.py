"""The embedded broker: librdkafka's in-process cluster, for demos and tests where no Kafka is configured.

It speaks Kafka's protocol over TCP, so everything else uses it through kafka-python like any other broker. It keeps
5 MiB a partition, in memory, and starts empty each time. Which process runs it is written down in a file that this
process holds locked: the lock is gone when the process is, however it ended.
"""

import fcntl
import json
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import IO

from stream.kafka.cluster import Cluster

__all__ = ["ANNOUNCEMENT", "BrokerTakenError", "EmbeddedBroker", "is_locked", "running_embedded"]

ANNOUNCEMENT = "embedded-broker.json"
LOCKED_WITHIN_S = 0.5
API_VERSION = (2, 3)  # what the in-process cluster speaks; it does not answer kafka-python's question for it


class BrokerTakenError(OSError):
    """The embedded broker of this folder is run by another process already."""


class EmbeddedBroker:
    """A running in-process cluster of one broker, announced in `folder` for others.

    Raises
    ------
    BrokerTakenError
        If another process runs one for the same folder.
    """

    def __init__(self, folder: Path) -> None:
        self.announcement = _lock_announcement(folder)
        try:
            self.start()
        except BaseException:
            self.announcement.close()  # gives the lock back
            raise

    def start(self) -> None:
        """Start the cluster and announce its address."""
        from confluent_kafka import Producer  # here: images that only serve bring no embedded broker

        self.producer = Producer({"bootstrap.servers": "none", "test.mock.num.brokers": 1, "log_level": 2})
        brokers = self.producer.list_topics(timeout=10).brokers.values()
        self.cluster = Cluster(
            bootstrap_servers=",".join(f"{broker.host}:{broker.port}" for broker in brokers),
            api_version=API_VERSION,
            life=uuid.uuid4().hex,
        )
        content = {"bootstrap_servers": self.cluster.bootstrap_servers, "life": self.cluster.life}
        self.announcement.write(json.dumps(content))
        self.announcement.flush()

    def close(self) -> None:
        """Stop the broker; what it held is gone."""
        if not self.announcement.closed:
            self.announcement.truncate(0)
            self.announcement.close()  # gives the lock back
            del self.producer  # the cluster lives as long as this client

    def __enter__(self) -> "EmbeddedBroker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _lock_announcement(folder: Path) -> IO[str]:
    """Open the announcement, empty and locked."""
    folder.mkdir(parents=True, exist_ok=True)
    stream = (folder / ANNOUNCEMENT).open("a+", encoding="utf-8")
    deadline = time.monotonic() + LOCKED_WITHIN_S
    while True:  # more than once: is_locked() holds it for an instant too
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() > deadline:
                stream.close()
                raise BrokerTakenError(f"an embedded broker of {folder} is running already") from None
            time.sleep(0.01)
    stream.truncate(0)
    return stream


def running_embedded(folder: Path, wait_s: float = 5) -> Cluster | None:
    """Return the embedded broker that some process runs for this folder; None if none does.

    One that is just starting is waited for.
    """
    deadline = time.monotonic() + wait_s
    while is_locked(folder / ANNOUNCEMENT):
        content = (folder / ANNOUNCEMENT).read_text(encoding="utf-8")
        with suppress(ValueError):
            return Cluster(api_version=API_VERSION, **json.loads(content))
        if time.monotonic() > deadline:
            raise OSError(f"the embedded broker of {folder} does not say its address within {wait_s:.0f} s")
        time.sleep(0.02)
    return None


def is_locked(file: Path) -> bool:
    """Tell whether some process (this one too) holds the file's lock."""
    if not file.exists():
        return False
    with file.open(encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
