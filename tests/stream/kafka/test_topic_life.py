"""A Kafka that gives topics no ids: their events are read, and a topic that is made again is not mistaken."""

import logging
from dataclasses import replace

import pytest

from stream.kafka.topic_life import TopicLife
from testbed.stream_process import wait_until
from tests.support.updater_world import World, work

BEFORE_IDS = (2, 3)  # what clients spoke to brokers before 2.8; Kafka 4 still answers it


@pytest.fixture
def old(world: World) -> World:
    """A world whose clients ask as of brokers that give no ids."""
    world.cluster = replace(world.cluster, api_version=BEFORE_IDS)
    return world


def test_the_cluster_and_the_name_stand_for_the_id(old: World, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="stream"):
        life, again = TopicLife(old.cluster, old.topic), TopicLife(old.cluster, old.topic)
    with old.kafka.admin() as admin:
        cluster = admin.describe_cluster()["cluster_id"]
    assert life.id == again.id == f"{cluster}/{old.topic}"
    assert not life.is_known
    assert not life.has_changed()
    assert caplog.text.count("this Kafka gives topics no ids (it is older than 2.8") == 2
    life.close()
    again.close()


def test_a_topic_that_was_made_again_is_not_read(old: World) -> None:
    """Its events would be taken for those of before: that is said, and nothing is applied or lost."""
    old.publish(old.clicks("anna", 3, 4, 5))
    updater = old.updater()
    work(updater, lambda: updater.counts["applied"] == 3)
    old.make_again()
    old.publish(old.clicks("anna", 6))

    def is_said() -> bool:
        updater.step()
        return "its events cannot be told from those of before" in (updater.reader.trouble or "")

    wait_until(is_said, "the updater says that the log ends too early")
    assert "set another MINDSTREAM_TOPIC" in str(updater.reader.trouble)
    assert old.history("anna") == [3, 4, 5]
    assert updater.counts["lost"] == 0
