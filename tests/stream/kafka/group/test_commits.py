"""Commits on a real Kafka: none waits for the broker, none is lost, none goes backwards."""

import logging
from collections.abc import Iterator
from contextlib import closing

import pytest
from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.errors import CommitFailedError, KafkaError, KafkaTimeoutError, RebalanceInProgressError

from stream.kafka.cluster import Cluster
from stream.kafka.group.commits import Commits
from testbed.real_kafka import RealKafka
from testbed.stream_process import wait_until


class Group:
    """A consumer of all partitions of a topic, in a group of its own."""

    def __init__(self, kafka: RealKafka, topic: str) -> None:
        self.cluster, self.name = Cluster(kafka.bootstrap_servers), f"{topic}-group"
        self.first, self.second = TopicPartition(topic, 0), TopicPartition(topic, 1)
        self.consumer: KafkaConsumer = self.cluster.consumer(self.name)
        self.consumer.assign([self.first, self.second])
        self.consumer.seek_to_beginning()
        self.commits = Commits(self.consumer)

    def settle(self) -> None:
        """Poll until nothing is pending."""

        def settled() -> bool:
            self.commits.send_pending()
            self.consumer.poll(timeout_ms=10)
            return not self.commits.pending

        wait_until(settled, "all is committed")

    def committed(self) -> list[int | None]:
        """As somebody else sees it."""
        with closing(self.cluster.consumer(self.name)) as other:
            return [other.committed(one) for one in (self.first, self.second)]


@pytest.fixture
def group(real_kafka: RealKafka, topic: str) -> Iterator[Group]:
    group = Group(real_kafka, topic)
    with closing(group.consumer):
        yield group


def at(offset: int) -> OffsetAndMetadata:
    return OffsetAndMetadata(offset, "", -1)


def test_a_commit_waits_its_time_after_the_one_before(group: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.kafka.group.commits.EVERY_S", 1_000.0)
    group.commits.add({group.first: at(1)})
    group.settle()
    group.commits.add({group.first: at(2)})
    assert group.commits.pending == {group.first: at(2)}
    assert group.commits.sent == {group.first: at(1)}  # the second one is not on its way
    group.commits.finish()  # who stops does not wait for that
    assert group.committed() == [2, None]


def test_what_is_added_meanwhile_goes_with_the_next_commit(group: Group) -> None:
    group.commits.add({group.first: at(1)})
    group.commits.add({group.first: at(2)})
    group.commits.add({group.second: at(7)})
    assert group.commits.sent == {group.first: at(1)}
    assert group.commits.pending == {group.first: at(2), group.second: at(7)}
    group.settle()
    assert group.committed() == [2, 7]


def test_finish_waits_for_everything(group: Group) -> None:
    group.commits.add({group.first: at(1)})
    group.commits.add({group.first: at(3), group.second: at(4)})
    group.commits.finish()
    assert group.commits.pending == {}
    assert group.committed() == [3, 4]


def test_what_others_have_by_now_is_not_committed(group: Group) -> None:
    group.commits.add({group.first: at(1)})
    group.commits.add({group.first: at(2), group.second: at(5)})
    group.commits.drop([group.second, TopicPartition("another", 0)])
    group.commits.finish()
    assert group.committed() == [2, None]


@pytest.mark.parametrize("error", [KafkaTimeoutError("away"), RebalanceInProgressError(), CommitFailedError()])
def test_what_the_broker_did_not_take_is_tried_again(
    group: Group, error: KafkaError, caplog: pytest.LogCaptureFixture
) -> None:
    """Also without anything new: the topic may be quiet."""
    group.commits.pending = {group.first: at(2), group.second: at(1)}
    group.commits.sent = {group.first: at(1), group.second: at(1)}
    with caplog.at_level(logging.WARNING, logger="stream.kafka.group.commits"):
        group.commits.answered(group.commits.sent, {}, error)
    assert "offsets not committed" in caplog.text
    assert group.commits.pending == {group.first: at(2), group.second: at(1)}
    group.settle()
    assert group.committed() == [2, 1]


def test_a_late_answer_is_not_taken_for_that_of_the_last_commit(group: Group) -> None:
    group.commits.add({group.first: at(1)})
    on_its_way, next_try = group.commits.sent, group.commits.next_try
    group.commits.answered({group.first: at(0)}, {}, KafkaTimeoutError("away"))
    assert (group.commits.sent, group.commits.next_try) == (on_its_way, next_try)
    group.commits.answered({group.first: at(0)}, {}, None)
    assert group.commits.pending == {group.first: at(1)}


def test_an_answer_that_never_comes_is_not_waited_for_for_ever(group: Group) -> None:
    group.commits.add({group.first: at(1), group.second: at(4)})
    group.commits.next_try -= 61
    group.commits.add({group.first: at(2)})
    assert group.commits.sent == {group.first: at(2), group.second: at(4)}
