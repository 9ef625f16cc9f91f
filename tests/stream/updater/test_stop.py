"""`mindstream stream run` is told to stop. (What SIGKILL and SIGTERM leave under load: benchmarks/faults.)"""

import signal
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from benchmarks.scenario.home import Home, counted
from benchmarks.scenario.load import clicks
from model_export.bundle.bundle import Bundle
from stream.events.event import Event
from stream.events.producer import EventProducer
from testbed.real_kafka import RealKafka

EVENTS = 20_000


@pytest.fixture
def home(real_kafka: RealKafka, topic: str, bundle: Bundle, tmp_path: Path) -> Iterator[Home]:
    with Home(real_kafka, topic, tmp_path / "home", bundle) as home:
        yield home


def test_ctrl_c_in_the_middle_commits_everything(home: Home) -> None:
    with EventProducer(home.cluster, home.settings.topic) as producer:
        for event in islice(clicks(home.bundle.item_ids), EVENTS):
            producer.send(event)
        producer.flush()
    with home.run() as first:
        home.applies_more_than(0)
        assert first.end(signal.SIGINT) == 0
    before = home.applied()
    assert counted(first)["applied"] == before == home.committed()
    assert 0 < before < EVENTS
    with home.run() as second:
        home.catches_up()
        assert second.end() == 0
    assert counted(second)["applied"] == EVENTS - before
    assert counted(second)["replayed"] == 0


def test_it_stops_at_once_while_it_waits_for_events(home: Home) -> None:
    with home.run() as command:
        with EventProducer(home.cluster, home.settings.topic) as producer:
            producer.publish(Event("anna", "mug", 1_720_000_000_000))
        home.applies_more_than(0)
        time.sleep(0.5)  # now it waits in poll
        assert command.end() == 0
    assert counted(command)["applied"] == 1
    assert "Traceback" not in command.said
