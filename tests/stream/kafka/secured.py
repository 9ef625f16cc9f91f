"""Ways into a secured Kafka, and what is said where there is none."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from kafka import TopicPartition
from pydantic import SecretStr

from mindstream.settings import Settings
from stream.events.event import Event, decode
from stream.events.producer import EventProducer
from stream.kafka.cluster import Cluster
from stream.kafka.group.reader import EventReader
from stream.monitoring.metrics import Metrics
from stream.monitoring.observer import Observer
from testbed import kafka_jars, system_packages
from testbed.access.listeners import NAMES, OAUTH, USER, Listeners
from testbed.access.token_issuer import TokenIssuer
from testbed.java_broker import JavaBroker, free_ports
from tests.support.certificates import Authority

CANARY = "canary-7f3b"  # stands in every secret, and must stand nowhere else


def settings_for(listeners: Listeners, listener: str, **more: Any) -> Settings:
    """What the environment says for a listener."""
    protocol = OAUTH.get(listener, listener)
    return Settings(bootstrap_servers=listeners.address(listener), security_protocol=protocol, **more)


def configured(listeners: Listeners, listener: str, **more: Any) -> Cluster:
    """The cluster that the environment would name."""
    found = Cluster.configured(settings_for(listeners, listener, **more))
    assert found is not None
    return found


def login(mechanism: str, password: str = CANARY) -> dict[str, Any]:
    return {"sasl_mechanism": mechanism, "sasl_username": USER, "sasl_password": SecretStr(password)}


def goes_through(cluster: Cluster, topic: str) -> bool:
    """Whether an event that is produced is consumed."""
    cluster.ensure_topics([topic], partitions=1)
    event = Event("ann", "mug", 1_720_000_000_000)
    with EventProducer(cluster, topic) as producer:
        _, offset = producer.publish(event)
    consumer = cluster.consumer(None, consumer_timeout_ms=80_000)
    try:
        consumer.assign([TopicPartition(topic, 0)])
        consumer.seek(TopicPartition(topic, 0), offset)
        record = next(consumer)
        return decode(record.value, record.key, record.timestamp) == event
    finally:
        consumer.close()


def refusal(cluster: Cluster) -> str:
    """What is said where the broker does not take us; every client says it."""
    said = set()
    for client in (cluster.producer, lambda: cluster.consumer(None), cluster.admin):
        with pytest.raises(OSError, match="the Kafka broker at") as refused:
            client()
        said.add(str(refused.value).split(" (")[0])
    assert len(said) == 1, said
    return str(refused.value)


class Traffic:
    """A producer, and a reader of the group, on one topic."""

    def __init__(self, settings: Settings) -> None:
        cluster = Cluster.configured(settings)
        assert cluster is not None
        cluster.ensure_topics([settings.topic], partitions=1)
        self.reader = EventReader(cluster, settings, Metrics(), lambda _: None, Observer())
        self.producer = EventProducer(cluster, settings.topic)
        self.read = 0

    def step(self) -> None:
        """Send an event, and read what there is; while the broker is away, neither is done."""
        with suppress(OSError):
            self.producer.send(Event("ann", "mug", 1_720_000_000_000))
        self.read += len(self.reader.poll(50))
        time.sleep(0.05)

    def goes_on(self) -> bool:
        """Whether another event is read."""
        before = self.read
        self.step()
        return self.read > before

    def close(self) -> None:
        self.producer.close()
        self.reader.close()


@contextmanager
def running_broker(authority: Authority) -> Iterator[tuple[JavaBroker, Listeners]]:
    """A broker with all listeners; of our own even where the other tests' Kafka is given or in Docker."""
    system_packages.provide(*kafka_jars.needed_commands())
    both = authority.folder / "broker.both"
    sign_broker(authority, both)
    ports = dict(zip(NAMES, free_ports(len(NAMES)), strict=True))
    issuer = TokenIssuer.made_in(authority.folder)
    listeners = Listeners(ports, authority.certificate, both, CANARY, issuer)
    broker = JavaBroker(kafka_jars.fetch_jars(), listeners, low_cpu=True)
    try:
        broker.start()
        yield broker, listeners
    finally:
        broker.remove()


def sign_broker(authority: Authority, both: Path) -> None:
    """Write a broker's new key and certificate into one file."""
    certificate, key = authority.sign("broker", host="127.0.0.1")
    both.write_text(key.read_text() + certificate.read_text())
