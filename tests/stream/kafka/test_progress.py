"""What an operator sees of the reading: open transactions and their marks, a taken name, a topic that is gone."""

import logging
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from kafka import KafkaProducer, TopicPartition
from kafka.errors import SaslAuthenticationFailedError

from stream.events.event import encode
from stream.kafka.progress import OpenTransactions, Progress
from stream.updater.updater import Updater
from testbed.stream_process import wait_until
from tests.support.updater_world import World, work

ONE = TopicPartition("shop", 1)
PARTITION = 2  # to which all records of this file go


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.kafka.group.progress_watch.WATCH_S", 0.2)
    monkeypatch.setattr("stream.kafka.group.life_watch.LIFE_CHECK_S", 0.2)


@contextmanager
def transactional(world: World) -> Iterator[KafkaProducer]:
    with KafkaProducer(bootstrap_servers=world.kafka.bootstrap_servers, transactional_id=world.topic) as producer:
        producer.init_transactions()
        yield producer


def send(world: World, producer: KafkaProducer, *items: int) -> None:
    for event in world.clicks("anna", *items):
        key, value = encode(event)
        producer.send(world.topic, key=key, value=value, partition=PARTITION)
    producer.flush()


def lag(updater: Updater) -> tuple[float | None, float | None]:
    """Of the partition: all that waits, and what an open transaction holds back."""
    value = updater.metrics.registry.get_sample_value
    return tuple(  # type: ignore[return-value]
        value(f"mindstream_{name}", {"partition": str(PARTITION)}) for name in ("lag_events", "open_transaction_events")
    )


def committed(world: World) -> int | None:
    with closing(world.cluster.consumer(world.settings.group)) as consumer:
        found: int | None = consumer.committed(TopicPartition(world.topic, PARTITION))
        return found


def test_lag_reaches_to_the_high_watermark() -> None:
    assert [Progress(5, 9, 12).lag, Progress(5, 9, 12).readable, Progress(5, 9, 12).held] == [7, 4, 0]
    assert [Progress(9, 9, 12).lag, Progress(9, 9, 12).readable, Progress(9, 9, 12).held] == [3, 0, 3]


def test_a_transaction_is_noted_at_once_and_logged_after_long(caplog: pytest.LogCaptureFixture) -> None:
    seen = OpenTransactions()
    with caplog.at_level(logging.INFO):
        for now in (0.0, 29.0):
            seen.look({ONE: Progress(9, 9, 12)}, now)
        assert seen.note == ("shop[1] is behind an open transaction: 3 records wait, those from offset 9 on for 29 s")
        assert caplog.messages == []
        seen.look({ONE: Progress(10, 10, 12)}, 31.0)  # that one has ended: the next counts anew
        seen.look({ONE: Progress(10, 10, 12)}, 61.0)
        seen.look({ONE: Progress(10, 10, 12)}, 99.0)
        assert [line.split(":")[0] for line in caplog.messages] == ["shop[1] is behind an open transaction"]
        seen.look({ONE: Progress(12, 12, 12)}, 100.0)
    assert seen.note is None
    assert caplog.messages[1:] == ["shop[1] waits behind no open transaction any more"]


def test_an_open_transaction_is_lag_and_no_reason_to_join_again(world: World, watched: None) -> None:
    updater = world.updater()
    work(updater, updater.reader.ready.is_set)
    updater.reader.watch.watchdog.patience_s = updater.reader.watch.watchdog.patience_polls = 0
    with transactional(world) as producer:
        producer.begin_transaction()
        send(world, producer, *range(20))
        work(updater, lambda: lag(updater) == (20, 20))
        updater.tell_health()
        assert "is behind an open transaction: 20 records wait" in (updater.health.note or "")
        assert updater.health.unready() is None
        assert updater.counts["stuck"] == 0
        producer.commit_transaction()
    work(updater, lambda: updater.counts["applied"] == 20 and lag(updater) == (0, 0))
    updater.tell_health()
    assert updater.health.note is None


@pytest.mark.parametrize("stopped", [False, True], ids=["while it is idle", "when it stops"])
def test_positions_over_marks_of_transactions_are_committed(world: World, stopped: bool) -> None:
    """Three events and a mark, then one that is taken back and a mark: offset 6 is the next."""
    with transactional(world) as producer:
        producer.begin_transaction()
        send(world, producer, 1, 2, 3)
        producer.commit_transaction()
        producer.begin_transaction()
        send(world, producer, 4)
        producer.abort_transaction()
    updater = world.updater()
    if stopped:
        stop = threading.Event()
        thread = threading.Thread(target=updater.run, args=(stop,))
        thread.start()
        wait_until(lambda: updater.counts["applied"] == 3, "the events are applied")
        stop.set()
        thread.join()
    else:
        work(updater, lambda: committed(world) == 6)
        updater.close()
    assert committed(world) == 6
    with world.kafka.admin() as admin:
        admin.delete_records({TopicPartition(world.topic, PARTITION): 6})
    world.send([encode(event) for event in world.clicks("anna", 5)], PARTITION)
    again = world.updater()
    work(again, lambda: again.counts["applied"] == 1)
    assert again.counts["lost"] == 0


def test_what_is_not_done_is_not_committed_as_passed(world: World, watched: None) -> None:
    """An updater that ends by an error in the middle of a batch, and one whose reading is paused."""
    world.send([encode(event) for event in world.clicks("anna", 1, 2)], PARTITION)
    updater = world.updater()
    records = 0

    def polled() -> bool:
        nonlocal records
        records += len(updater.reader.poll())
        return records == 2

    wait_until(polled, "both events are polled")
    updater.reader.pause()
    for _ in range(10):
        updater.reader.poll()
    updater.close()
    assert committed(world) in (None, 0)


def test_an_idle_updater_whose_name_was_taken_is_not_healthy(world: World, watched: None) -> None:
    first = world.updater(instance="one")
    work(first, first.reader.ready.is_set)
    second = world.updater(instance="one")
    work(second, second.reader.ready.is_set)
    with pytest.raises(ValueError, match=r"another updater of group .* goes by that name"):
        first.run(threading.Event())
    assert "goes by that name" in (first.health.problem() or "")


def test_a_topic_that_is_gone_is_said_and_stays_gone(
    world: World, watched: None, caplog: pytest.LogCaptureFixture
) -> None:
    """Also on a broker that makes every topic that somebody asks for, as this one does."""
    world.publish(world.clicks("anna", 0, 1))
    updater = world.updater()
    work(updater, lambda: updater.counts["applied"] == 2)
    with caplog.at_level(logging.ERROR):
        world.delete()
        work(updater, lambda: not updater.reader.partitions() and not updater.reader.membership.is_joining())
        for _ in range(20):
            updater.step()
    updater.tell_health()
    assert f"topic {world.topic} is gone from the broker" in (updater.health.unready() or "")
    said = [one for one in caplog.records if one.name.startswith("stream.") and one.levelno >= logging.ERROR]
    assert len(said) == 1
    with world.kafka.admin() as admin:
        assert world.topic not in admin.list_topics()
    world.create()
    world.publish(world.clicks("anna", 2, first=2))
    work(updater, lambda: updater.counts["applied"] == 3)
    updater.tell_health()
    assert updater.health.unready() is None
    assert world.history("anna") == [0, 1, 2]


def test_who_is_refused_while_reading_waits_and_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """As by a token that ended on its way."""
    world.publish(world.clicks("anna", 0))
    updater = world.updater()
    with monkeypatch.context() as patched:
        patched.setattr(updater.reader.consumer, "poll", refused)
        assert updater.reader.poll() == []
        assert "invalid_token" in (updater.reader.trouble or "")
    work(updater, lambda: updater.counts["applied"] == 1)


def refused(**_: object) -> None:
    raise SaslAuthenticationFailedError("invalid_token")
