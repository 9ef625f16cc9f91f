"""One topic, one group, one store, and the updaters that work on them as processes of their own."""

import re
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from kafka import TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError
from pydantic import SecretStr

from benchmarks.scenario.comparison import states_of
from mindstream.settings import Settings
from model_export.bundle.bundle import Bundle
from model_export.bundle.registry import Registry
from stream.kafka.cluster import Cluster
from stream.store.lmdb_store import LmdbStore
from stream.store.open_store import open_store
from testbed.real_kafka import RealKafka
from testbed.stream_process import WITHIN_S, StreamProcess, wait_until

__all__ = ["Home", "counted"]

CAUGHT_UP_WITHIN_S = 300.0
ANSWER_MS = 5_000


class Home:
    """A home with a published model, a topic, and the group of its updaters.

    The topic is there already.

    Parameters
    ----------
    redis : url of the Redis that holds the capsules; empty: LMDB in the folder.
    prefix : of the keys there.
    more : environment variables of all its processes.

    Attributes
    ----------
    store : what the updaters write, open here too.
    """

    def __init__(
        self,
        kafka: RealKafka,
        topic: str,
        folder: Path,
        bundle: Bundle,
        redis: str = "",
        prefix: str = "mindstream",
        **more: str,
    ) -> None:
        self.kafka, self.bundle, self.more = kafka, bundle, more
        self.cluster = Cluster(kafka.bootstrap_servers)
        self.settings = Settings(
            bootstrap_servers=kafka.bootstrap_servers,
            topic=topic,
            group=f"{topic}-updaters",
            home=folder,
            redis=SecretStr(redis),
            redis_prefix=prefix,
        )
        Registry(self.settings.models).publish(bundle.path)
        self.store = open_store(self.settings)
        self.consumer = self.cluster.consumer(self.settings.group)  # never subscribes, so it is no member

    @contextmanager
    def start(self, **more: str) -> Iterator[StreamProcess]:
        """Start `python -m stream run`, with more variables; kill it at the end of the block."""
        with StreamProcess(self.settings.home, "run", variables=self._variables() | more) as command:
            yield command

    @contextmanager
    def archive(self, *options: str) -> Iterator[StreamProcess]:
        """Start `python -m stream archive`; kill it at the end of the block."""
        with StreamProcess(self.settings.home, "archive", *options, variables=self._variables()) as command:
            yield command

    def does(self, *arguments: str, room: str = "stream", within_s: float = WITHIN_S) -> StreamProcess:
        """Run another command of `python -m stream`, or of another room, to its end."""
        with StreamProcess(self.settings.home, *arguments, variables=self._variables(), room=room) as command:
            command.ends(within_s)
        return command

    def _variables(self) -> dict[str, str]:
        """Return what a process of this home has in its environment."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "MINDSTREAM_TOPIC": self.settings.topic,
            "MINDSTREAM_GROUP": self.settings.group,
            "MINDSTREAM_REDIS": self.settings.redis.get_secret_value(),
            "MINDSTREAM_REDIS_PREFIX": self.settings.redis_prefix,
            **self.more,
        }

    @contextmanager
    def run(self, **more: str) -> Iterator[StreamProcess]:
        """Start `python -m stream run`, and wait until the group has given it partitions."""
        with self.start(**more) as command:
            yield command.says(f"now reading {self.settings.topic}")

    def forget_the_dead(self) -> None:
        """Remove all members, as the broker does 10 s after a process was killed."""
        self.kafka.remove_members(self.settings.group)

    def members(self) -> int:
        """Return the members of the group; 0 while it is changing."""
        with self.kafka.admin() as admin:
            group = admin.describe_groups([self.settings.group])[self.settings.group]
        return len(group["members"]) if group["group_state"] in ("Stable", "Empty") else 0

    def applied(self) -> int:
        """Return the events in all histories; none is so long that it lost its beginning."""
        return sum(len(state.history.item_ids) for state in states_of(self.store))

    def writes(self) -> int:
        """Return a number that grows with every batch that changes something.

        Far quicker to ask for than `applied`.
        """
        assert isinstance(self.store, LmdbStore)
        return int(self.store.environment.info()["last_txnid"])

    def partitions(self) -> list[TopicPartition]:
        """Return the partitions of the events."""
        topic = self.settings.topic
        return [TopicPartition(topic, number) for number in self.consumer.partitions_for_topic(topic) or ()]

    def committed(self) -> int:
        """Return how many records the group has committed."""
        return sum(self.committed_by_partition().values())

    def committed_by_partition(self) -> dict[int, int]:
        """Return partition -> records of it that the group has committed."""
        return {one.partition: self.consumer.committed(one, timeout_ms=ANSWER_MS) or 0 for one in self.partitions()}

    def published(self) -> int:
        """Return how many records are on the topic."""
        return sum(self.consumer.end_offsets(self.partitions(), timeout_ms=ANSWER_MS).values())

    def catches_up(self, within_s: float = CAUGHT_UP_WITHIN_S) -> float:
        """Wait until the group has committed all that is published; return the seconds.

        It returns also where that takes too long: then the comparison says what is missing.
        """
        started = time.monotonic()
        while time.monotonic() - started < within_s:
            try:
                if self.committed() >= self.published():
                    break
            except KafkaError:  # a broker that is just starting
                pass
            time.sleep(0.02)
        return time.monotonic() - started

    def applies_more_than(self, events: int) -> None:
        """Return once so many events and one more are in the histories."""
        wait_until(lambda: self.applied() > events, f"more than {events} events are applied")

    def records(self, topic: str = "") -> list[ConsumerRecord]:
        """Read all that is on a topic now, by default on that of the events."""
        return self.kafka.records(topic or self.settings.topic)

    def close(self) -> None:
        """Close the clients and remove the folder."""
        self.consumer.close(autocommit=False)
        self.store.close()
        shutil.rmtree(self.settings.home, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def counted(command: StreamProcess) -> Counter[str]:
    """Return what an updater that was stopped has counted, from its last line."""
    said = re.findall(r"stopped cleanly: \{(.*)\}", command.said)
    assert len(said) == 1, f"the updater does not say that it stopped cleanly, only:\n{command.said[-2000:]}"
    return Counter({name: int(count) for name, count in re.findall(r"'(\w+)': (\d+)", said[0])})
