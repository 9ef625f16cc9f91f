"""A Kafka cluster: its address, its topics, and the one place that makes kafka-python's clients."""

import logging
import socket
import time
from dataclasses import dataclass, field
from typing import Any

from kafka import KafkaAdminClient, KafkaProducer
from kafka.cluster import collect_hosts
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import KafkaError, RetriableError, TopicAlreadyExistsError
from kafka.net.compat import KafkaNetClient

from mindstream.settings import Settings
from stream.kafka.credentials.handshake import shake_hands
from stream.kafka.fetch.tolerant_fetch import TolerantConsumer
from stream.kafka.partitioners import partitioner_of
from stream.kafka.security import PLAINTEXT, Security

__all__ = ["CONNECTED_WITHIN_S", "BrokerAwayError", "Cluster", "close_producer"]

log = logging.getLogger(__name__)

CONNECTED_WITHIN_S = 5.0
USUAL_RECORD, HEADERS = 1_048_576, 65_536  # bytes
ALL_CLIENTS: dict[str, Any] = {
    "bootstrap_timeout_ms": 10_000,
    "reconnect_backoff_max_ms": 1_000,  # by default clients come back as late as 30 s after the broker
}
REAL_CONSUMER: dict[str, Any] = {
    "session_timeout_ms": 10_000,  # how long a crashed member's partitions wait; the default is 45 s
    "isolation_level": "read_committed",  # what a transaction took back never happened
    "heartbeat_interval_ms": 1_000,  # a member hears of others that come and go so late; the default is 3 s
}
EMBEDDED_CONSUMER: dict[str, Any] = {
    "fetch_max_wait_ms": 20,  # it waits that long even when it has events; with less an idle consumer keeps a core warm
    "session_timeout_ms": 4_000,  # whoever joins after another has left waits that long less a second
    "heartbeat_interval_ms": 1_000,
}


class BrokerAwayError(OSError):
    """No broker answers now; one may do so later."""


@dataclass(frozen=True)
class Cluster:
    """The address of a cluster, and how it knows us.

    Attributes
    ----------
    bootstrap_servers : host:port list, comma separated.
    api_version : for a broker that cannot be asked for it (the embedded one); None asks.
    life : identity of all topics of a cluster that starts empty each time; None: each topic has its own topic_id.
    security : TLS and SASL; by default neither.
    partitioner : of producers, one of `mindstream.settings.PARTITIONERS`.
    """

    bootstrap_servers: str
    api_version: tuple[int, ...] | None = None
    life: str | None = None
    security: Security = PLAINTEXT
    partitioner: str = field(default="murmur2", compare=False)  # another one makes it no other cluster

    @classmethod
    def configured(cls, settings: Settings) -> "Cluster | None":
        """Return the Kafka that the environment names; None if it names none.

        Raises
        ------
        ValueError
            Names the variable of TLS or SASL that is wrong.
        """
        security = Security.configured(settings)
        if settings.bootstrap_servers:
            return cls(settings.bootstrap_servers, security=security, partitioner=settings.partitioner)
        if security.tls or security.sasl:
            raise ValueError(
                f"KAFKA_SECURITY_PROTOCOL is {security.protocol}, but KAFKA_BOOTSTRAP_SERVERS names no Kafka, and the "
                "embedded broker knows PLAINTEXT only; set KAFKA_BOOTSTRAP_SERVERS"
            )
        return None

    def producer(self, most_bytes: int = 0) -> KafkaProducer:
        """Make a producer that waits for all replicas and never writes an event twice.

        Parameters
        ----------
        most_bytes : of a record's key, or value, where that is more than Kafka takes by default.

        Raises
        ------
        OSError
            If no broker answers.
        """
        return self._client(
            KafkaProducer,
            acks="all",
            linger_ms=1,  # with 0 each event is a request of its own, which takes more time than it saves
            partitioner=partitioner_of(self.partitioner),
            max_request_size=max(USUAL_RECORD, 2 * most_bytes + HEADERS),
            enable_idempotence=self.life is None,
            max_block_ms=10_000,
            request_timeout_ms=10_000,
            delivery_timeout_ms=20_000,  # also bounds how long close() waits for a broker that is gone
        )

    def consumer(self, group: str | None, **options: Any) -> TolerantConsumer:
        """Make a consumer that commits only when told to, and never jumps to another offset.

        What it cannot parse is an UnreadableRecord among what it brings.
        """
        made: TolerantConsumer = self._client(
            TolerantConsumer,
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="none",
            partition_assignment_strategy=[CooperativeStickyAssignor],  # only what has to move is taken away
            metadata_max_age_ms=10_000,  # how long new partitions wait; the default is 5 minutes
            **(EMBEDDED_CONSUMER if self.life else REAL_CONSUMER),
            **options,
        )
        return made

    def admin(self, **options: Any) -> KafkaAdminClient:
        """Make a client for describing and creating topics."""
        return self._client(KafkaAdminClient, **options)

    def ensure_topics(self, topics: list[str], partitions: int, config: dict[str, str] | None = None) -> None:
        """Create those topics that are not there, with this configuration."""
        if self.life:
            self._ask_for(topics)
            return
        admin = self.admin()
        try:
            for topic in sorted(set(topics) - set(admin.list_topics())):
                _create_topic(admin, topic, partitions, config or {})
        except KafkaError as error:
            kind = BrokerAwayError if isinstance(error, RetriableError) else OSError
            raise kind(f"topics {topics} on {self.bootstrap_servers} cannot be created: {error}") from error
        finally:
            admin.close()

    def _ask_for(self, topics: list[str]) -> None:
        """Ask for topics by name, upon which the embedded broker makes them."""
        producer = self.producer()
        try:
            for topic in topics:
                producer.partitions_for(topic)
        except KafkaError as error:
            raise OSError(f"topics {topics} on {self.bootstrap_servers} cannot be created: {error}") from error
        finally:
            producer.close()

    def check(self) -> None:
        """Connect to a broker to hear whether it accepts us; kafka-python's clients do not say.

        Raises
        ------
        OSError
            If no broker answers, or one refuses us.
        """
        try:
            address = _wait_until_one_listens(self.bootstrap_servers)
        except (OSError, ValueError) as error:  # a ValueError: an address that is none
            raise self._no_answer(error) from error
        if self.security.tls or self.security.sasl:
            shake_hands(address, self.security)

    def _client(self, kind: type, **options: Any) -> Any:
        """Make one of kafka-python's clients, once a broker accepts us."""
        self.check()
        try:
            servers = self.bootstrap_servers.split(",")
            shared = {"bootstrap_servers": servers, "api_version": self.api_version, **ALL_CLIENTS}
            if self.life is None:
                shared["kafka_client"] = _AskingClient
            return kind(**shared, **self.security.options(), **options)
        except (KafkaError, OSError, ValueError) as error:
            raise self._no_answer(error) from error

    def _no_answer(self, error: Exception) -> OSError:
        """Return the error that says that no broker answers."""
        kind = OSError if isinstance(error, ValueError) else BrokerAwayError  # an address that is none stays so
        return kind(
            f"no Kafka broker answers at {self.bootstrap_servers} ({error}); "
            "is KAFKA_BOOTSTRAP_SERVERS right and the broker up?"
        )


class _AskingClient(KafkaNetClient):  # type: ignore[misc]  # kafka-python has no types
    """A network client that asks for topics without making them.

    By default a broker with `auto.create.topics.enable` makes each topic that is asked for, so whoever still reads a
    topic that was deleted brings it back, with the broker's own number of partitions. kafka-python (3.0.12) has an
    option for it, `allow_auto_create_topics`, which it does not pass on.
    """

    def __init__(self, *arguments: Any, **configs: Any) -> None:
        super().__init__(*arguments, **configs)
        self.cluster.config["allow_auto_create_topics"] = False


def close_producer(producer: KafkaProducer, within_s: float) -> None:
    """Close a producer, giving up what is not acknowledged in time.

    kafka-python (3.0.12) waits for ever without a timeout, and with one leaves its thread behind where it is over.
    """
    try:
        producer.close(timeout=within_s)
    except KafkaError as error:
        log.warning("what a producer had not sent yet is given up: %s", error)
        producer._sender.force_close()


def _wait_until_one_listens(bootstrap_servers: str) -> str:
    """Return the first of the addresses (host:port) that takes a connection.

    Asked first because a client of kafka-python that cannot connect leaves its thread and sockets behind.

    Raises
    ------
    OSError
        What the last address answered, if none takes one in time.
    ValueError
        If one is no address.
    """
    deadline = time.monotonic() + CONNECTED_WITHIN_S
    while True:
        for host, port, _ in collect_hosts(bootstrap_servers):
            try:
                socket.create_connection((host, port), timeout=2).close()
                return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            except OSError as error:
                refused = error
        if time.monotonic() > deadline:
            raise refused
        time.sleep(0.2)


def _create_topic(admin: KafkaAdminClient, topic: str, partitions: int, config: dict[str, str]) -> None:
    """Create one topic, unless another process was quicker."""
    try:
        shape = {"num_partitions": partitions, "replication_factor": -1, "configs": config}
        admin.create_topics({topic: shape}, wait_for_metadata=True)
        log.info("created topic %s with %d partitions", topic, partitions)
    except TopicAlreadyExistsError:
        pass
