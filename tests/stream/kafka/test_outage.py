"""A producer whose broker has gone for good: it gives up in time, and nothing of it stays."""

import threading

import pytest

from stream.events import producer
from stream.events.event import Event
from stream.events.producer import EventProducer
from stream.kafka.cluster import Cluster
from testbed import system_packages
from testbed.real_kafka import RealKafka, needed_commands
from testbed.stream_process import wait_until


@pytest.mark.kafka
def test_closing_a_producer_ends_without_the_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(producer, "ACKNOWLEDGED_WITHIN_S", 1)
    system_packages.provide(*needed_commands())
    with RealKafka(low_cpu=True) as kafka:
        if not kafka.can_restart:
            pytest.skip("only a broker that was started here can be killed")
        cluster = Cluster(kafka.bootstrap_servers)
        cluster.ensure_topics(["clicks"], partitions=1)
        before = threading.active_count()
        events = EventProducer(cluster, "clicks")
        events.publish(Event("anna", "mug", 1_720_000_000_000))
        kafka.kill()
        events.send(Event("anna", "bowl", 1_720_000_000_001))
        events.close()
        wait_until(lambda: threading.active_count() <= before, "the producer's threads have ended")
