"""One real Kafka for tests and benchmarks: a given address, else Docker, else Java with Kafka's own jars."""

import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Self

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import MemberToRemove
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError

from mindstream import settings
from testbed import kafka_jars
from testbed.java_broker import JavaBroker
from testbed.kafka_jars import KafkaUnavailable

if TYPE_CHECKING:
    from testcontainers.community.kafka import KafkaContainer

__all__ = ["KafkaUnavailable", "RealKafka", "needed_commands"]

DOCKER_SECONDS = 40.0
CONTAINER_SECONDS = 240


class RealKafka:
    """A real Kafka, from entering the context until leaving it.

    It takes, in this order: KAFKA_BOOTSTRAP_SERVERS; Docker, by testcontainers; one KRaft broker in Java.

    Parameters
    ----------
    low_cpu : bool
        See JavaBroker: for tests, not for figures.

    Attributes
    ----------
    bootstrap_servers : str
        host:port list, comma separated; empty before the start.

    Raises
    ------
    KafkaUnavailable
        On entering, if none of the three can be had here.
    RuntimeError
        On entering, if one can be had but does not answer.
    """

    def __init__(self, low_cpu: bool = False) -> None:
        self.bootstrap_servers = ""
        self._low_cpu = low_cpu
        self._java: JavaBroker | None = None
        self._container: KafkaContainer | None = None

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:  # Ctrl-C too: __exit__ will not be called
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def can_restart(self) -> bool:
        """Tell whether `kill` and `restart` work: only if the broker is our own process."""
        return self._java is not None

    @property
    def data(self) -> Path:
        """Return the folder with the logs of the broker, which must be our own process."""
        return self._own_broker("looked into").folder / "data"

    def stop(self) -> None:
        """Stop what was started here and drop its data; a Kafka that was given stays as it is."""
        java, container = self._java, self._container
        self._java = self._container = None
        if java is not None:
            java.remove()
        if container is not None:
            container.stop()

    def records(self, topic: str) -> list[ConsumerRecord]:
        """Read all records that are on a topic now, one partition after the other.

        Without those that a transaction took back, or has not committed yet.
        """
        options = {"max_poll_records": 10_000, "isolation_level": "read_committed"}
        with KafkaConsumer(bootstrap_servers=self.bootstrap_servers, **options) as consumer:
            partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
            consumer.assign(partitions)
            consumer.seek_to_beginning()
            ends = consumer.end_offsets(partitions)
            found: list[ConsumerRecord] = []
            while any(consumer.position(one) < ends[one] for one in partitions):
                for records in consumer.poll(timeout_ms=1_000).values():
                    found += records
        return sorted(found, key=lambda record: record.partition)

    def remove_members(self, group: str) -> None:
        """Remove a group's members, as the broker does with those it has not heard of.

        That takes it the session timeout.
        """
        with self.admin() as admin:
            members = admin.describe_groups([group])[group]["members"]
            if members:
                admin.remove_group_members(group, [MemberToRemove(member["member_id"]) for member in members])

    def kill(self) -> None:
        """End the broker with SIGKILL, as in a crash; its address and data stay for `restart`."""
        self._own_broker("killed").kill()

    def restart(self) -> None:
        """Start the broker again with the same address and data, and wait for it.

        A running one is killed.
        """
        broker = self._own_broker("restarted")
        broker.kill()
        broker.start()

    def admin(self) -> KafkaAdminClient:
        """Connect a new admin client; use it as a context manager."""
        try:
            return KafkaAdminClient(bootstrap_servers=self.bootstrap_servers, bootstrap_timeout_ms=40_000)
        except KafkaError as error:
            raise RuntimeError(f"Kafka at {self.bootstrap_servers} does not answer: {error}") from error

    def _start(self) -> None:
        if given := settings.load().bootstrap_servers:
            self.bootstrap_servers = given
            self.admin().close()
        elif _docker_answers():
            self._container = _new_container()
            self._container.start(timeout=CONTAINER_SECONDS)
            self.bootstrap_servers = self._container.get_bootstrap_server()
        else:
            self._java = JavaBroker(kafka_jars.fetch_jars(), low_cpu=self._low_cpu)
            self._java.start()
            self.bootstrap_servers = self._java.bootstrap_servers

    def _own_broker(self, done: str) -> JavaBroker:
        if self._java is None:
            raise RuntimeError(
                f"Kafka at {self.bootstrap_servers or '(not started)'} cannot be {done}: only a Java broker"
                " started here can, that is without KAFKA_BOOTSTRAP_SERVERS and without Docker"
            )
        return self._java


def needed_commands() -> tuple[str, ...]:
    """Name the commands that `RealKafka` needs on this machine.

    None if an address or Docker serves.
    """
    if settings.load().bootstrap_servers or _docker_answers():
        return ()
    return kafka_jars.needed_commands()


@cache
def _docker_answers() -> bool:
    """Tell whether testcontainers reaches a Docker daemon.

    Asked in another process: the client leaks its socket if there is none, and may wait for ssh or a proxy.
    """
    ask = "from testcontainers.core.docker_client import DockerClient; DockerClient(timeout=3).client.ping()"
    command = [sys.executable, "-c", ask]
    try:
        asked = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=DOCKER_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return asked.returncode == 0


def _new_container() -> "KafkaContainer":
    """Make a Kafka container, not yet started, with the Java broker's settings."""
    from testcontainers.community.kafka import KafkaContainer  # slow to import, and for Docker only

    container = KafkaContainer().with_kraft()  # its default image: it cannot start cp-kafka 8
    container.with_env("KAFKA_NUM_PARTITIONS", "4")
    container.with_env("KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR", "1")
    container.with_env("KAFKA_TRANSACTION_STATE_LOG_MIN_ISR", "1")
    return container
