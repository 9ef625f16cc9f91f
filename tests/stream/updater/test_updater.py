"""The updater on a real Kafka: every event is applied once, whatever fails, and nothing is committed too early."""

import io
import json
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest
from kafka import KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaTimeoutError, RebalanceInProgressError
from msgspec import structs
from msgspec.structs import replace

from mindstream.repeats import Repeats
from model_export.bundle.bundle import Bundle
from stream.dead_letters.letter_log import NAMED
from stream.dead_letters.writer import KEPT_BYTES
from stream.events.event import Event, Forget, decode, encode
from stream.events.position import Position
from stream.kafka.batch import RecordBatch
from stream.kafka.cluster import Cluster
from stream.kafka.group.life_watch import LIFE_CHECK_S
from stream.monitoring.metrics import STALLS
from stream.monitoring.observer import PARTS, Observer
from stream.store.codec import to_bytes
from stream.store.contract import Store
from stream.store.history import History
from stream.store.lmdb_store import LmdbStore
from stream.store.state import UserState, routing_weights
from stream.updater.pending_batch import PendingBatch
from stream.updater.updater import MOST_TRIES, Updater
from testbed.bad_records import BAD_RECORDS
from testbed.stream_process import wait_until
from tests.support.updater_world import PARTITIONS, START_MS, World, work


def apply_all(updater: Updater, events: int) -> None:
    """Until it has applied this many events in all, and not one more."""
    work(updater, lambda: updater.counts["applied"] >= events, f"{events} events are applied")
    assert updater.counts["applied"] == events


def test_events_become_histories_and_capsules(world: World) -> None:
    anna, ben = world.clicks("anna", 3, 1, 4, 1, 5), world.clicks("ben", 2, 7)
    profile = {"region": "north", "age": "25-34"}
    anna[1] = Event("anna", anna[1].item_id, anna[1].event_time_ms, "buy", profile=profile)
    places = world.publish([*anna, *ben])
    updater = world.updater()
    apply_all(updater, 7)
    times, no_ids = tuple(START_MS + 1000 * number for number in range(5)), ("",) * 5
    hers, his = ("click", "buy", "click", "click", "click"), ("click", "click")
    clicked = [[event.item_id for event in events] for events in (anna, ben)]
    anna_capsules, ben_capsules = world.extractor.encode(
        clicked, [profile, {}], [times, times[:2]], half=True, types=[hers, his]
    )
    life = world.life()
    positions = [Position(life, partition, offset) for partition, offset in places]
    expected = [
        UserState(
            "anna",
            History(tuple(world.items[i] for i in (3, 1, 4, 1, 5)), times, no_ids, hers),
            anna_capsules,
            positions[4],
        ),
        UserState(
            "ben", History((world.items[2], world.items[7]), times[:2], no_ids[:2], his), ben_capsules, positions[6]
        ),
    ]
    expected[0] = replace(expected[0], profile=profile, profile_time_ms=times[1])
    assert world.stored_bytes() == {state.user_id: to_bytes(state) for state in expected}
    assert len(anna_capsules.vectors) == world.extractor.bundle.manifest.num_interests == 4  # Steady gives all K
    counts = {"applied": 7, "replayed": 0, "dead_letter": 0, "unknown_item": 0}
    assert {name: updater.counts[name] for name in counts} == counts
    assert world.committed() == 7


def test_histories_are_as_long_as_set(world: World) -> None:
    world.publish(world.clicks("anna", 0, 1, 2, 3))
    updater = world.updater(history_length=3)
    apply_all(updater, 4)
    assert world.history("anna") == [1, 2, 3]
    world.publish(world.clicks("anna", 4, first=4))
    apply_all(updater, 5)
    assert world.history("anna") == [2, 3, 4]


def test_batches_do_not_change_a_bit(world: World, tmp_path: Path) -> None:
    """Events applied as they come, or all at once in the company of other users: the same bytes."""
    one_by_one = world.updater()
    applied = 0
    for number in range(4):
        for user_id in ("anna", "ben", "cleo"):
            applied += len(world.publish(world.clicks(user_id, number, 2 * number, first=2 * number)))
            apply_all(one_by_one, applied)
    with LmdbStore(tmp_path / "other") as store:
        at_once = world.updater(store, group=f"{world.topic}-at-once")
        apply_all(at_once, 24)
        assert one_by_one.counts["batches"] >= 12
        assert at_once.counts["batches"] <= 4
        assert world.stored_bytes(store) == world.stored_bytes()


def test_what_is_no_event_goes_to_the_dead_letters(world: World, caplog: pytest.LogCaptureFixture) -> None:
    [good] = world.clicks("anna", 3)
    bad = [one for one in BAD_RECORDS.values() if one != BAD_RECORDS["no value and no key"]]  # kafka-python sends none
    places = world.send([(one.key, one.value) for one in bad])
    world.publish([good])
    updater = world.updater()
    with caplog.at_level(logging.WARNING):
        work(updater, lambda: updater.counts["dead_letter"] + updater.counts["applied"] == len(bad) + 1)
    assert updater.counts["dead_letter"] == len(bad)
    assert world.history("anna") == [3]
    assert list(world.store.users()) == ["anna"]
    assert world.committed() == len(bad) + 1
    letters = sorted(world.dead_letters(len(bad)), key=lambda letter: int(dict(letter.headers)["source-offset"]))
    for letter, one, (partition, offset) in zip(letters, bad, places, strict=True):
        headers = {name: value.decode() for name, value in letter.headers}
        assert (letter.key, letter.value) == (one.key, one.value)
        assert headers.pop("error")
        assert START_MS < int(headers.pop("source-published-ms")) <= letter.timestamp
        assert headers == {
            "source-topic": world.topic,
            "source-partition": str(partition),
            "source-offset": str(offset),
            "reason": one.reason,
        }
        named = f"dead letter: {world.topic}[{partition}]@{offset}: {one.reason};"
        assert (named in caplog.text) == (offset - places[0][1] < NAMED)
    assert "mug" not in caplog.text  # no content


def test_the_largest_record_fits_into_the_dead_letters(world: World) -> None:
    """With the headers it would be larger than what Kafka takes."""
    large = b"x" * 1_048_000
    [(_, offset), _] = world.send([(b"anna", large), (large, b"")])
    updater = world.updater()
    work(updater, lambda: updater.counts["dead_letter"] == 2)
    letters = sorted(world.dead_letters(2), key=lambda letter: int(dict(letter.headers)["source-offset"]))
    assert [letter.value for letter in letters] == [large[:KEPT_BYTES], b""]
    assert [letter.key for letter in letters] == [b"anna", large[:KEPT_BYTES]]
    assert dict(letters[0].headers)["source-offset"] == str(offset).encode()
    assert world.committed() == 2


def test_without_dead_letters_nothing_is_committed(world: World) -> None:
    world.send([(b"anna", b"no event")])
    allow(world, most_bytes=1)
    updater = world.updater()
    work(updater, lambda: updater.counts["stalls"] == 2)
    assert f"{world.topic}.dlq" in str(updater.trouble)
    assert "offsets stay uncommitted" in str(updater.trouble)
    assert world.committed() == 0
    allow(world, most_bytes=1_000_000)
    work(updater, lambda: updater.counts["dead_letter"] == 1)
    assert updater.trouble is None
    assert [letter.value for letter in world.dead_letters(1)] == [b"no event"]
    assert world.committed() == 1


def allow(world: World, most_bytes: int, topic: str = "") -> None:
    """Records of a topic, by default the dead letter topic, may be so large."""
    with world.kafka.admin() as admin:
        changed = {"max.message.bytes": str(most_bytes)}
        admin.alter_configs([ConfigResource("TOPIC", topic or world.settings.dead_letter_topic, changed)])


def test_unknown_items_stay_in_the_history(world: World) -> None:
    """A later model may know them. This one counts them, and makes its capsules of the others."""
    new = [Event("anna", f"new-{number}", START_MS + 9000 + number) for number in range(2)]
    world.publish([*world.clicks("anna", 3, 4), *new, *world.clicks("ben", 5)])
    world.publish([Event("cleo", "new-0", START_MS)])
    updater = world.updater()
    apply_all(updater, 6)
    assert updater.counts["unknown_item"] == 3
    assert world.state("anna").history.item_ids == (world.items[3], world.items[4], "new-0", "new-1")
    [weights] = routing_weights(updater.extractor, [world.state("anna")])
    assert weights.shape[1] == 4
    assert weights[:, :2].sum(axis=0) == pytest.approx([1, 1])
    assert weights[:, 2:].sum() == 0
    assert world.state("cleo").history.item_ids == ("new-0",)


class UnwillingStore(LmdbStore):
    """A store that can be out of order: writes fail, as on a full disk."""

    works = False

    def put_many(self, states: Iterable[UserState], read: Mapping[str, Position | None] = {}) -> set[str]:
        if not self.works:
            raise OSError("no space left")
        return super().put_many(states, read)


def test_while_a_store_is_out_of_order_reading_is_paused_and_nothing_committed(world: World, tmp_path: Path) -> None:
    world.publish([*world.clicks("anna", 1, 2), *world.clicks("ben", 3)])
    with UnwillingStore(tmp_path / "full") as full:
        updater = world.updater(full)
        work(updater, lambda: updater.counts["stalls"] >= 2)
        assert updater.trouble == "no space left"
        assert (updater.counts["applied"], world.committed()) == (0, 0)
        world.publish(world.clicks("anna", 4, first=2))
        work(updater, lambda: updater.counts["stalls"] >= 4)
        assert updater.reader.partitions() == updater.reader.consumer.paused()
        full.works = True
        apply_all(updater, 4)
        assert updater.trouble is None
        [anna] = full.get_many(["anna"])
        assert anna is not None
        assert anna.history.item_ids == tuple(world.items[item] for item in (1, 2, 4))
    assert world.committed() == 4
    assert updater.counts["replayed"] == 0


def test_what_is_not_finished_is_left_to_whoever_gets_the_partition(world: World, tmp_path: Path) -> None:
    """Two updaters: the first cannot write; what the second is given of its partitions, the second applies."""
    world.publish(click for number in range(20) for click in world.clicks(f"user-{number}", number))
    with UnwillingStore(tmp_path / "full") as full:
        first = world.updater(full)
        work(first, lambda: first.counts["stalls"] >= 1 and len(first.pending.batch.records) == 20)
        second = world.updater()

        def shared() -> bool:
            second.step()
            return len(first.reader.partitions()) == PARTITIONS // 2 and second.counts["applied"] > 0

        work(first, shared, "the partitions are shared")
        work(second, lambda: second.counts["applied"] + len(first.pending.batch.records) == 20)
        assert second.counts["applied"] > 0
        first.close()
        apply_all(second, 20)
    assert len(list(world.store.users())) == 20
    assert world.committed() == 20


def test_when_all_that_waits_is_taken_away_reading_goes_on(world: World, tmp_path: Path) -> None:
    world.publish(world.clicks("anna", 1, 2))
    with UnwillingStore(tmp_path / "full") as full:
        updater = world.updater(full)
        work(updater, lambda: updater.counts["stalls"] >= 1)
        updater.leave_to_others(updater.reader.partitions())
        updater.step()
        assert updater.trouble is None
        assert not updater.reader.consumer.paused()


def test_a_topic_made_again_while_the_store_is_out_of_order(world: World, tmp_path: Path) -> None:
    """What waits is of the first life; were it written as of the second, events of that would count as known."""
    world.publish(world.clicks("anna", *range(10)))
    with UnwillingStore(tmp_path / "full") as full:
        updater = world.updater(full)
        work(updater, lambda: updater.counts["stalls"] >= 1 and len(updater.pending.batch.records) == 10)
        world.make_again()
        world.publish(world.clicks("anna", 20, 21, first=10))
        updater.reader.life_watch.checked -= LIFE_CHECK_S
        work(updater, lambda: updater.counts["stalls"] >= 3)
        full.works = True
        apply_all(updater, 12)
        [anna] = full.get_many(["anna"])
        assert anna is not None
        assert anna.history.item_ids == tuple(world.items[item] for item in [*range(10), 20, 21])


def test_one_who_slept_asks_before_writing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after SIGSTOP: the group gave the partitions to another one meanwhile."""
    sleeper = world.updater()
    work(sleeper, sleeper.reader.ready.is_set)
    world.publish(world.clicks("anna", 1, 2))
    arrived: list[ConsumerRecord] = []

    def both_arrived() -> bool:
        arrived.extend(sleeper.reader.poll())
        return len(arrived) == 2

    wait_until(both_arrived, "two events are read")
    world.kafka.remove_members(world.settings.group)
    other = world.updater()
    apply_all(other, 2)
    before = world.stored_bytes()
    monkeypatch.setattr(sleeper.reader.membership, "sure", 0.0)
    sleeper.finish(sleeper.decode(RecordBatch(arrived)))
    assert (sleeper.counts["applied"], world.stored_bytes()) == (0, before)
    world.publish(world.clicks("anna", 3, first=2))
    apply_all(other, 3)


def test_one_who_only_was_slow_goes_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = world.updater()
    work(slow, slow.reader.ready.is_set)
    monkeypatch.setattr("stream.kafka.group.membership.SURELY_OURS_S", 0.0)  # it asks each time
    world.publish(world.clicks("anna", 1, 2))
    apply_all(slow, 2)
    assert world.committed() == 2


def test_what_cannot_be_decoded_yet_is_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """As while a schema registry is away: nothing is a dead letter, nothing is committed before it is applied."""
    updater = world.updater()
    decode_now, away = updater.decode, ["registry away", "registry away"]

    def decode_later(batch: RecordBatch) -> PendingBatch:
        if batch.records and away:
            raise OSError(away.pop())
        return decode_now(batch)

    monkeypatch.setattr(updater, "decode", decode_later)
    world.publish(world.clicks("anna", 1, 2))
    work(updater, lambda: not away)
    assert (updater.trouble, world.committed()) == ("registry away", 0)
    assert updater.metrics.registry.get_sample_value("mindstream_stalls_total", {"of": "decode"}) == 2
    world.publish(world.clicks("anna", 3, first=2))
    apply_all(updater, 3)
    assert (updater.trouble, updater.counts["dead_letter"], world.history("anna")) == (None, 0, [1, 2, 3])


def test_impressions_are_no_behaviours(world: World) -> None:
    seen, clicked = world.clicks("anna", 1, 2)
    world.publish([Event("anna", seen.item_id, seen.event_time_ms, "impression"), clicked])
    updater = world.updater()
    apply_all(updater, 1)
    assert updater.counts["ignored"] == 1
    assert world.history("anna") == [2]
    assert world.committed() == 2


def test_a_user_is_forgotten(world: World) -> None:
    world.publish([*world.clicks("anna", 1, 2), *world.clicks("ben", 3)])
    updater = world.updater()
    apply_all(updater, 3)
    world.forget("anna")
    world.forget("carl")
    work(updater, lambda: updater.counts["forgotten"] == 2)
    anna = world.state("anna")
    assert (anna.history.item_ids, anna.profile, len(anna.capsules.vectors)) == ((), {}, 0)
    assert world.history("ben") == [3]
    world.publish(world.clicks("anna", 5, first=9))
    apply_all(updater, 4)
    assert world.history("anna") == [5]


def test_a_partition_that_stands_still_is_noticed(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("stream.kafka.group.progress_watch.WATCH_S", 0.1)
    updater = world.updater()
    work(updater, updater.reader.ready.is_set)
    updater.reader.watch.watchdog.patience_s = 0.5
    updater.reader.consumer.pause(*updater.reader.partitions())  # nobody means to: as if it were stuck
    world.publish(world.clicks("anna", 1, 2))
    with caplog.at_level(logging.ERROR):
        apply_all(updater, 2)
    assert updater.counts["stuck"] > 0
    assert "has events and did not move" in caplog.text


def test_a_fetch_whose_answer_never_comes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """kafka-python waits for it for ever, so that joining the group again by the same consumer is of no use."""
    monkeypatch.setattr("stream.kafka.group.progress_watch.WATCH_S", 0.1)
    world.publish(world.clicks("anna", 1))
    updater = world.updater()
    apply_all(updater, 1)
    consumer = updater.reader.consumer
    monkeypatch.setattr(consumer._fetcher, "_nodes_with_pending_fetch_requests", _Everything())
    work(updater, lambda: not consumer._fetcher.in_flight_fetches())  # what it had asked for before has come
    updater.reader.watch.watchdog.patience_s = 0.5
    world.publish([*world.clicks("anna", 2, 3), *world.clicks("ben", 4)])
    apply_all(updater, 4)
    assert updater.reader.consumer is not consumer
    assert consumer._closed
    assert (world.history("anna"), world.history("ben")) == ([1, 2, 3], [4])
    assert updater.reader.finish_commits()
    assert world.committed() == 4


class _Everything(set[str]):
    """A set in which all things are."""

    def __contains__(self, thing: object) -> bool:
        return True


def test_interests_are_announced(world: World, bundle: Bundle) -> None:
    updates = f"{world.topic}-interests"
    world.publish([*world.clicks("anna", 1, 2), *world.clicks("ben", 3)])
    updater = world.updater(updates_topic=updates)
    apply_all(updater, 3)
    world.forget("ben")
    work(updater, lambda: updater.counts["forgotten"] == 1)
    last = {record.key: record.value for record in world.kafka.records(updates)}
    told, anna = json.loads(last[b"anna"]), world.state("anna")
    assert np.array_equal(told["capsules"], anna.capsules.vectors)
    assert (told["event_time_ms"], told["model_version"]) == (START_MS + 1000, bundle.version)
    assert told["position"] == [anna.position.topic_life, anna.position.partition, anna.position.offset]
    assert last[b"ben"] is None
    before = len(world.kafka.records(updates))
    again = world.updater(updates_topic=updates, group=f"{world.topic}-again")  # one may die before it announces
    work(again, lambda: again.counts["replayed"] == 4)
    assert len(world.kafka.records(updates)) > before
    with world.kafka.admin() as admin:
        described = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, updates)])
        assert "compact" in str(described)
        admin.delete_topics([updates])


def test_while_updates_cannot_be_written_a_dead_letter_is_written_once(world: World) -> None:
    updates = f"{world.topic}-interests"
    world.send([(b"anna", b"no event")])
    seen = Event("anna", world.items[1], START_MS, "impression")
    world.publish([seen, *world.clicks("anna", 2)])
    updater = world.updater(updates_topic=updates)
    allow(world, most_bytes=1, topic=updates)
    work(updater, lambda: updater.counts["stalls"] >= 3)
    assert f"interest updates cannot be written to {updates}" in str(updater.trouble)
    allow(world, most_bytes=1_000_000, topic=updates)
    work(updater, lambda: updater.trouble is None and world.committed() == 3)
    counts = {"applied": 1, "dead_letter": 1, "ignored": 1, "replayed": 0}
    assert {name: updater.counts[name] for name in counts} == counts
    assert len(world.kafka.records(world.settings.dead_letter_topic)) == 1
    assert [record.key for record in world.kafka.records(updates)] == [b"anna"]
    with world.kafka.admin() as admin:
        admin.delete_topics([updates])


class CountedStore(LmdbStore):
    """A store that remembers who was read, one list a call."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.reads: list[list[str]] = []

    def get_many(self, user_ids: Sequence[str]) -> list[UserState | None]:
        self.reads.append(sorted(user_ids))
        return super().get_many(user_ids)


@pytest.fixture
def updates(world: World) -> Iterator[str]:
    """A topic for interest updates, which is deleted in the end."""
    yield f"{world.topic}-interests"
    with world.kafka.admin() as admin:
        admin.delete_topics([f"{world.topic}-interests"])


def announced(world: World, updates: str) -> dict[str, list[int | str]]:
    """user_id -> the position of the last interest update."""
    last = {record.key.decode(): record.value for record in world.kafka.records(updates)}
    return {user_id: json.loads(value)["position"] for user_id, value in last.items()}


def test_what_a_batch_wrote_is_announced_without_reading_it_again(world: World, updates: str, tmp_path: Path) -> None:
    world.send(list(map(encode, [*world.clicks("anna", 1, 2), *world.clicks("ben", 3)])))
    life = world.life()
    with CountedStore(tmp_path / "counted") as store:
        updater = world.updater(store, updates_topic=updates)
        apply_all(updater, 3)
        assert store.reads == [["anna", "ben"]]  # to apply the events
        assert announced(world, updates) == {"anna": [life, 2, 1], "ben": [life, 2, 2]}
        store.reads.clear()
        world.send(list(map(encode, world.clicks("ben", 4, first=1))))
        again = world.updater(store, updates_topic=updates, group=f"{world.topic}-again")
        work(again, lambda: again.counts["applied"] + again.counts["replayed"] == 4)
        assert (again.counts["applied"], again.counts["replayed"]) == (1, 3)
        assert store.reads == [["anna", "ben"], ["anna"]]  # of anna nothing was written, and she is announced too
        assert announced(world, updates) == {"anna": [life, 2, 1], "ben": [life, 2, 3]}
        assert len(world.kafka.records(updates)) == 4


@pytest.fixture
def decodes(monkeypatch: pytest.MonkeyPatch) -> list[bytes | None]:
    """The value of each record that an updater decodes, as often as it does."""
    values: list[bytes | None] = []

    def noted(value: bytes | None, key: bytes | None, published_ms: int, most_bytes: int) -> Event | Forget:
        values.append(value)
        return decode(value, key, published_ms, most_bytes)

    monkeypatch.setattr("stream.events.decoders.decode", noted)
    return values


def overtake(store: Store, user_id: str) -> Position:
    """Write a user as another updater does that reads another partition."""
    [state] = store.get_many([user_id])
    assert state is not None
    theirs = Position("another life", 0, 9)
    assert store.put_many([replace(state, position=theirs)], {user_id: state.position}) == set()
    return theirs


def test_after_a_stall_nothing_stale_is_announced(
    world: World, updates: str, tmp_path: Path, decodes: list[bytes | None]
) -> None:
    world.send(list(map(encode, [*world.clicks("anna", 1, 2), *world.clicks("ben", 3)])))
    with CountedStore(tmp_path / "counted") as store:
        updater = world.updater(store, updates_topic=updates)
        allow(world, most_bytes=1, topic=updates)
        work(updater, lambda: updater.counts["stalls"] >= 2)
        stalls = {
            one: updater.metrics.registry.get_sample_value("mindstream_stalls_total", {"of": one}) for one in STALLS
        }
        assert stalls == {"decode": 0, "store": 0, "dead_letters": 0, "updates": updater.counts["stalls"]}
        assert world.committed() == 0
        theirs = overtake(store, "anna")
        allow(world, most_bytes=1_000_000, topic=updates)
        work(updater, lambda: updater.trouble is None and world.committed() == 3)
        assert announced(world, updates) == {"anna": list(structs.astuple(theirs)), "ben": [world.life(), 2, 2]}
    assert (updater.counts["applied"], updater.counts["replayed"]) == (3, 0)
    assert len(decodes) == 3  # each record once, however often the batch was tried


def test_one_who_slept_after_writing_announces_what_is_stored(world: World, updates: str, tmp_path: Path) -> None:
    """The group may have given the partitions away meanwhile."""

    class Slept(LmdbStore):
        def put_many(self, states: Iterable[UserState], read: Mapping[str, Position | None] = {}) -> set[str]:
            refused = super().put_many(states, read)
            if updater.reader.membership.sure:
                updater.reader.membership.sure = 0.0
                theirs.append(overtake(self, "anna"))
            return refused

    theirs: list[Position] = []
    world.send(list(map(encode, world.clicks("anna", 1, 2))))
    with Slept(tmp_path / "slept") as store:
        updater = world.updater(store, updates_topic=updates)
        apply_all(updater, 2)
        assert announced(world, updates) == {"anna": list(structs.astuple(theirs[0]))}


def test_a_retry_does_not_decode_anew(world: World, tmp_path: Path, decodes: list[bytes | None]) -> None:
    world.send([(b"anna", b"no event"), *map(encode, world.clicks("anna", 1, 2))])
    with UnwillingStore(tmp_path / "full") as full:
        updater = world.updater(full)
        work(updater, lambda: updater.counts["stalls"] >= 3)
        full.works = True
        apply_all(updater, 2)
    assert len(decodes) == 3
    assert updater.counts["dead_letter"] == 1


class Told(Observer):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def polled(self, records: Sequence[ConsumerRecord]) -> None:
        if records:
            self.heard.append(f"polled {len(records)}")

    def committed(self, records: Sequence[ConsumerRecord]) -> None:
        self.heard.append(f"committed {len(records)}")

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        if part != "poll":
            self.heard.append(part)
        yield
        if part == "apply":
            self.heard.append("applied")


def test_an_observer_is_told_of_each_part_of_a_batch(world: World) -> None:
    world.send([(b"anna", b"no event"), *map(encode, world.clicks("anna", 1, 2))])
    told = Told()
    updater = Updater(world.cluster, world.store, world.serving, world.settings, observer=told)
    world.closing.callback(updater.close)
    apply_all(updater, 2)
    first = told.heard.index("polled 3")
    assert told.heard[first : first + 9] == [
        "polled 3",
        "decode",
        "apply",
        "store get",
        "encode",
        "applied",
        "store put",
        "commit",
        "committed 3",
    ]
    assert set(told.heard) <= {*PARTS, "applied", "polled 3", "committed 3"}


def test_what_a_transaction_took_back_never_happened(world: World) -> None:
    aborted, kept = (encode(event) for event in world.clicks("anna", 1, 2))
    with KafkaProducer(bootstrap_servers=world.kafka.bootstrap_servers, transactional_id=world.topic) as producer:
        producer.init_transactions()
        producer.begin_transaction()
        producer.send(world.topic, key=aborted[0], value=aborted[1])
        producer.flush()
        producer.abort_transaction()
        producer.begin_transaction()
        producer.send(world.topic, key=kept[0], value=kept[1])
        producer.commit_transaction()
    updater = world.updater()
    apply_all(updater, 1)
    assert world.history("anna") == [2]


def test_of_two_with_the_same_name_the_first_ends(world: World) -> None:
    first = world.updater(instance="one")
    work(first, first.reader.ready.is_set)
    second = world.updater(instance="one")
    work(second, second.reader.ready.is_set)

    def first_works() -> bool:
        world.publish(world.clicks("anna", 1))
        first.step()
        return False

    with pytest.raises(ValueError, match=r"MINDSTREAM_INSTANCE is 'one', and another updater of group .* goes by that"):
        wait_until(first_works, "the first notices")


def test_a_broker_that_does_not_answer_is_trouble(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    updater = world.updater()
    work(updater, updater.reader.ready.is_set)
    monkeypatch.setattr("stream.kafka.group.progress_watch.WATCH_S", 0.0)

    def silent(*_: object, **__: object) -> None:
        raise KafkaTimeoutError("silence")

    with monkeypatch.context() as broken:
        broken.setattr(updater.reader.consumer, "end_offsets", silent)
        updater.step()
        updater.tell_health()
        assert "the broker does not answer" in str(updater.health.problem())
    updater.step()
    updater.tell_health()
    assert updater.health.problem() is None


def test_a_replay_changes_no_byte(world: World) -> None:
    world.publish([*world.clicks("anna", 1, 2, 3), *world.clicks("ben", 4), *world.clicks("anna", 5, first=3)])
    world.send([(b"anna", b"no event")])
    first = world.updater()
    apply_all(first, 5)
    before = world.stored_bytes()
    again = world.updater(group=f"{world.topic}-again")
    work(again, lambda: again.counts["replayed"] + again.counts["dead_letter"] == 6)
    assert (again.counts["applied"], again.counts["replayed"]) == (0, 5)
    assert world.stored_bytes() == before


def test_an_updater_goes_on_where_the_last_one_was(world: World) -> None:
    for number in range(2):
        world.publish(world.clicks("anna", number, first=number))
        updater = world.updater()
        apply_all(updater, 1)
        assert updater.counts["replayed"] == 0
        updater.close()
    assert world.history("anna") == [0, 1]


@pytest.mark.parametrize("events", [2, 30], ids=["fewer events than before", "more events than before"])
def test_a_topic_made_again_while_stopped(world: World, events: int) -> None:
    world.publish(world.clicks("anna", *range(10)))
    before = world.updater()
    apply_all(before, 10)
    before.close()
    world.make_again()
    world.publish(world.clicks("anna", *range(events), first=10))
    again = world.updater()
    apply_all(again, events)
    assert world.history("anna") == [*range(10), *range(events)]
    assert again.counts["replayed"] == 0


@pytest.mark.parametrize("events", [2, 30], ids=["fewer events than before", "more events than before"])
def test_a_topic_made_again_while_running(world: World, events: int, caplog: pytest.LogCaptureFixture) -> None:
    world.publish(world.clicks("anna", *range(10)))
    updater = world.updater()
    apply_all(updater, 10)
    world.make_again()
    if events > 10:  # else the old offset is beyond the new end, which is noticed before the next check
        updater.reader.life_watch.checked -= LIFE_CHECK_S
    with caplog.at_level(logging.WARNING):
        updater.step()
        world.publish(world.clicks("anna", *range(events), first=10))
        apply_all(updater, 10 + events)
    assert f"topic {world.topic} was made again" in caplog.text
    assert world.history("anna") == [*range(10), *range(events)]
    assert (updater.counts["replayed"], updater.counts["lost"]) == (0, 0)
    world.publish(world.clicks("anna", 50))
    apply_all(updater, 11 + events)


def test_a_topic_deleted_for_a_while(world: World) -> None:
    """Until the group is without partitions; then the topic comes back."""
    world.publish(world.clicks("anna", 0, 1))
    updater = world.updater()
    apply_all(updater, 2)
    world.delete()
    work(updater, lambda: not updater.reader.partitions(), "the group is without partitions")
    world.create()
    assert updater.reader.start_over_if_made_again()
    world.publish(world.clicks("anna", 2, 3, 4, first=2))
    apply_all(updater, 5)
    assert world.history("anna") == [0, 1, 2, 3, 4]


def test_what_the_broker_removed_is_counted_as_lost(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.publish(world.clicks("anna", 0, 1))
    updater = world.updater()
    apply_all(updater, 2)
    updater.close()
    [*_, (partition, offset)] = world.publish(world.clicks("anna", *range(2, 10)))
    with world.kafka.admin() as admin:
        admin.delete_records({TopicPartition(world.topic, partition): offset - 1})
    again = world.updater()
    with caplog.at_level(logging.ERROR):
        apply_all(again, 2)
    assert again.counts["lost"] == 6
    assert (
        f"{world.topic}[{partition}]@2 is gone from the broker; going on at 8, up to 6 events are lost" in caplog.text
    )
    assert world.history("anna") == [0, 1, 8, 9]


def test_offsets_beyond_the_end_start_again(world: World) -> None:
    """A log that was cut off may hold other events now; reading it again from its start misses none."""
    [*_, (partition, offset)] = world.publish(world.clicks("anna", 0, 1, 2))
    updater = world.updater()
    apply_all(updater, 3)
    updater.close()
    with world.kafka.admin() as admin:
        beyond = OffsetAndMetadata(offset + 100, "", -1)
        admin.alter_group_offsets(world.settings.group, {TopicPartition(world.topic, partition): beyond})
    world.publish(world.clicks("anna", 3, first=3))
    again = world.updater()
    apply_all(again, 1)
    assert (again.counts["replayed"], again.counts["lost"]) == (3, 0)
    assert world.history("anna") == [0, 1, 2, 3]


def test_a_join_that_is_forgotten_is_made_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """kafka-python forgets a join because of new partitions that does not end within one poll."""
    updater = world.updater()
    work(updater, updater.reader.ready.is_set)
    with world.kafka.admin() as admin:
        admin.create_partitions({world.topic: PARTITIONS + 2})
    updater.reader.consumer.topics()  # so that it knows of them at once, and not in some seconds
    monkeypatch.setattr("stream.updater.updater.POLL_MS", 1)
    work(updater, lambda: len(updater.reader.partitions()) == PARTITIONS + 2, "it has all partitions")
    world.publish(click for number in range(20) for click in world.clicks(f"user-{number}", number))
    apply_all(updater, 20)


def test_who_joins_stays_in_the_group_while_another_is_slow(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Leaving waits behind the join that a broker holds back until all have come: that was 30 s, again and again."""
    monkeypatch.setattr("stream.kafka.group.membership.JOINED_WITHIN_S", 0.5)
    slow, second = world.updater(), world.updater()
    work(slow, slow.reader.ready.is_set)

    def member_id() -> str:
        return str(second.reader.consumer.group_metadata().member_id)

    work(second, lambda: bool(member_id()))
    before = member_id()
    work(second, lambda: "waiting for its other members" in caplog.text)
    second.step()

    def both() -> bool:
        slow.step()
        second.step()
        return len(slow.reader.partitions()) == len(second.reader.partitions()) == PARTITIONS / 2

    wait_until(both, "they share the partitions")
    assert member_id() == before


def test_two_updaters_share_the_work(world: World) -> None:
    """One joins, the other leaves: every event is applied once, and nothing is read twice."""
    users = [f"user-{number}" for number in range(20)]
    first = world.updater()
    world.publish(click for user_id in users for click in world.clicks(user_id, 0))
    apply_all(first, 20)
    second = world.updater()

    def both() -> int:
        first.step()
        second.step()
        return first.counts["applied"] + second.counts["applied"]

    wait_until(lambda: (both(), second.reader.ready.is_set())[1], "the second has partitions")
    wait_until(lambda: (both(), len(first.reader.partitions()))[1] == 2, "the first has given some away")
    world.publish(click for user_id in users for click in world.clicks(user_id, 1, first=1))
    wait_until(lambda: both() == 40, "all events are applied")
    assert second.counts["applied"] > 0
    first.close()
    world.publish(click for user_id in users for click in world.clicks(user_id, 2, first=2))
    work(second, lambda: first.counts["applied"] + second.counts["applied"] == 60)
    assert [world.history(user_id) for user_id in users] == [[0, 1, 2]] * 20
    assert first.counts["replayed"] + second.counts["replayed"] == 0
    assert world.committed() == 60


class LateStore(LmdbStore):
    """A store that lets others work before it writes."""

    meanwhile: Callable[[], None] | None = None

    def put_many(self, states: Iterable[UserState], read: Mapping[str, Position | None] = {}) -> set[str]:
        states = list(states)
        if self.meanwhile:
            work, self.meanwhile = self.meanwhile, None
            work()
        return super().put_many(states, read)


@pytest.fixture
def late_store(world: World) -> LateStore:
    """The store of the world, which lets others work before it writes."""
    world.store.close()
    world.store = store = LateStore(world.settings.state)
    world.closing.callback(store.close)
    return store


@pytest.mark.parametrize("slept", [False, True], ids=["it was awake", "it slept"])
def test_an_updater_thought_dead_changes_nothing(
    world: World, late_store: LateStore, slept: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """It was so slow that the group has given its partitions away, and what it writes then is old.

    Refused, it reads again and finds that all is applied; one who may have been thought dead asks the group before.
    """
    world.publish(world.clicks("anna", 0, 1))
    slow, quick = world.updater(), world.updater()

    def overtake() -> None:
        world.kafka.remove_members(world.settings.group)
        world.publish(world.clicks("anna", 2, 3, first=2))
        apply_all(quick, 4)
        if slept:
            slow.reader.membership.sure = 0.0

    late_store.meanwhile = overtake
    with caplog.at_level(logging.WARNING):
        work(slow, lambda: slow.counts["refused"] > 0)
    assert world.history("anna") == [0, 1, 2, 3]
    assert ("offsets not committed" in caplog.text) is not slept
    assert ("2 events are left to whoever reads them now" in caplog.text) is slept
    assert (slow.counts["refused"], slow.counts["applied"], slow.counts["replayed"]) == (1, 0, 0 if slept else 2)
    assert world.committed() == 4
    world.publish(world.clicks("anna", 4, first=4))
    quick.close()
    work(slow, lambda: len(world.history("anna")) == 5, "it is back")
    assert world.history("anna") == [0, 1, 2, 3, 4]


def test_events_of_a_user_on_two_partitions_are_all_kept(world: World, late_store: LateStore) -> None:
    """Two updaters, as where producers use several partitioners: both have read the user when the first one writes."""
    both = first, second = world.updater(), world.updater()

    def settled() -> bool:
        second.step()
        shares = {len(one.reader.partitions()) for one in both}
        return shares == {PARTITIONS // 2} and not any(one.reader.membership.is_joining() for one in both)

    work(first, settled, "the partitions are shared")
    ours, theirs = (min(one.partition for one in each.reader.partitions()) for each in both)
    zero, one, two, three, of_ben = map(encode, [*world.clicks("anna", 0, 1, 2, 3), *world.clicks("ben", 4)])
    world.send([zero], theirs)
    apply_all(second, 1)
    world.send([one, of_ben, three], ours)
    world.send([two], theirs)
    late_store.meanwhile = lambda: apply_all(second, 2)
    apply_all(first, 3)
    assert (world.history("anna"), world.history("ben")) == ([0, 1, 2, 3], [4])
    assert (first.counts["refused"], second.counts["refused"]) == (1, 0)
    assert first.counts["replayed"] + second.counts["replayed"] == 0
    assert world.committed() == 5
    anna = world.state("anna")
    [capsules] = world.extractor.encode([anna.history.item_ids], times_ms=[anna.history.event_times_ms], half=True)
    assert to_bytes(anna) == to_bytes(replace(anna, capsules=capsules))


class BusyStore(LmdbStore):
    """A store in which somebody else writes anna before each write of ours, for as long as it is busy."""

    busy = True
    others = 0

    def put_many(self, states: Iterable[UserState], read: Mapping[str, Position | None] = {}) -> set[str]:
        states = list(states)
        if self.busy and "anna" in read:
            [stored], [anna] = self.get_many(["anna"]), [one for one in states if one.user_id == "anna"]
            theirs = replace(stored or anna, history=History(("theirs",), (1,), ("",)), position=self.next())
            assert super().put_many([theirs], {"anna": stored.position if stored else None}) == set()
        return super().put_many(states, read)

    def next(self) -> Position:
        self.others += 1
        return Position("another life", 0, self.others)


def test_a_user_whom_others_write_all_the_time_is_waited_for(world: World, tmp_path: Path) -> None:
    """And whoever is written by then is not written, nor counted, again."""
    world.publish([*world.clicks("anna", 1, 2), *world.clicks("ben", 3)])
    world.send(list(map(encode, world.clicks("cleo", 4))), 0)
    with BusyStore(tmp_path / "busy") as busy:
        updater = world.updater(busy)
        work(updater, lambda: updater.counts["stalls"] >= 2 and updater.counts["applied"] == 2)
        assert updater.trouble == f"1 users of the batch were written by others at each of {MOST_TRIES} tries"
        assert busy.others == updater.counts["refused"] == updater.counts["stalls"] * MOST_TRIES
        [ben] = busy.get_many(["ben"])
        assert ben is not None
        # As by one who reads another partition: were ben's event applied once more, it would count twice.
        assert busy.put_many([replace(ben, position=busy.next())], {"ben": ben.position}) == set()
        busy.busy = False
        apply_all(updater, 4)
        assert updater.trouble is None
        histories = [one and one.history.item_ids for one in busy.get_many(["anna", "ben", "cleo"])]
        assert histories == [("theirs", world.items[1], world.items[2]), (world.items[3],), (world.items[4],)]
    assert world.committed() == 4
    assert updater.counts["replayed"] == 0


class ForgetfulStore(LmdbStore):
    """A store whose first answer is lost: it has written all the same."""

    lost = False

    def put_many(self, states: Iterable[UserState], read: Mapping[str, Position | None] = {}) -> set[str]:
        refused = super().put_many(states, read)
        if not self.lost:
            self.lost = True
            raise OSError("no answer")
        return refused


def test_what_was_written_without_an_answer_is_not_applied_again(world: World, tmp_path: Path) -> None:
    world.send(list(map(encode, world.clicks("anna", 1, 2))))
    with ForgetfulStore(tmp_path / "forgetful") as store:
        updater = world.updater(store)
        work(updater, lambda: updater.counts["applied"] + updater.counts["replayed"] == 2)
        [anna] = store.get_many(["anna"])
        assert anna is not None
        assert anna.history.item_ids == (world.items[1], world.items[2])
    assert (updater.counts["stalls"], updater.counts["refused"]) == (1, 0)
    assert world.committed() == 2


def test_a_commit_of_the_old_topic_does_not_hide_the_start_of_the_new_one(world: World) -> None:
    [*_, (partition, last)] = world.publish(world.clicks("anna", 1, 2, 3))
    updater = world.updater()
    apply_all(updater, 3)
    world.make_again()
    # As a batch would that was read before and is done after.
    updater.reader.commits.add({TopicPartition(world.topic, partition): OffsetAndMetadata(last + 1, "", -1)})
    work(updater, lambda: updater.reader.life.id == world.life(), "the new topic is noticed")
    updater.close()
    world.publish(world.clicks("anna", 4, 5, 6, 7, first=3))
    again = world.updater()
    apply_all(again, 4)
    assert world.history("anna") == [1, 2, 3, 4, 5, 6, 7]


def test_one_who_stops_while_the_group_changes_waits_to_commit(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.publish(world.clicks("anna", 1, 2, 3))
    updater = world.updater()
    commits, tries = updater.reader.commits, 0
    finish = commits.finish

    def changing() -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise RebalanceInProgressError()
        finish()

    monkeypatch.setattr(commits, "send_pending", lambda: None)  # nothing is committed before the end
    monkeypatch.setattr(commits, "finish", changing)
    monkeypatch.setattr(updater.reader.membership, "is_joining", lambda: tries < 3)

    def applied() -> bool:
        updater.step()
        return updater.counts["applied"] == 3

    wait_until(applied, "3 events are applied")
    assert world.committed() == 0
    updater.close()
    assert (tries, world.committed()) == (3, 3)


@contextmanager
def logged_as_by_commands() -> Iterator[io.StringIO]:
    """What is logged from here on at the level of errors, by the client of Kafka as commands show it."""
    handler = logging.StreamHandler(io.StringIO())
    handler.setLevel(logging.ERROR)
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    handler.addFilter(Repeats("kafka"))
    logging.getLogger().addHandler(handler)
    try:
        yield handler.stream
    finally:
        logging.getLogger().removeHandler(handler)


def test_after_an_outage_it_goes_on(world: World) -> None:
    if not world.kafka.can_restart:
        pytest.skip("only a broker that was started here can be killed")
    world.publish(world.clicks("anna", 0))
    updater = world.updater()
    apply_all(updater, 1)
    with logged_as_by_commands() as said:
        world.kafka.kill()
        for _ in range(3):
            updater.step()
        world.kafka.restart()
        world.publish(world.clicks("anna", 1, first=1))
        apply_all(updater, 2)
    assert world.history("anna") == [0, 1]
    assert updater.counts["replayed"] == 0
    lines = said.getvalue().splitlines()
    assert len(lines) <= 3, lines  # of hundreds, with tracebacks


def test_a_failed_start_leaves_nothing_open(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of kafka-python's clients has a thread, and its sockets live as long as that."""

    def refuse(self: Cluster, group: str | None, **options: object) -> None:
        raise OSError("no consumer today")

    monkeypatch.setattr(Cluster, "consumer", refuse)
    before = set(threading.enumerate())
    with pytest.raises(OSError, match="no consumer today"):
        world.updater()
    wait_until(lambda: set(threading.enumerate()) <= before, "all clients are closed", within_s=60)


def test_a_closed_updater_leaves_nothing_open(world: World) -> None:
    threads, files = set(threading.enumerate()), open_files()
    updater = world.updater()
    work(updater, updater.reader.ready.is_set)
    assert not set(threading.enumerate()) <= threads
    updater.close()
    updater.close()
    wait_until(lambda: set(threading.enumerate()) <= threads, "all clients are closed", within_s=60)
    assert open_files() <= files


def open_files() -> int:
    return psutil.Process().num_fds()


def test_health_says_why_reading_is_paused(world: World, tmp_path: Path) -> None:
    world.publish(world.clicks("anna", 1))
    with UnwillingStore(tmp_path / "full") as full:
        updater = world.updater(full)
        stop = threading.Event()
        thread = threading.Thread(target=updater.run, args=(stop,))
        thread.start()
        try:
            wait_until(lambda: updater.health.problem() == "no space left", "health says it")
            full.works = True
            wait_until(lambda: updater.health.problem() is None, "all is well again")
            assert updater.counts["applied"] == 1
            assert updater.counts["stalls"] > 0
        finally:
            stop.set()
            thread.join()


def test_one_with_a_name_keeps_its_partitions_over_a_quick_restart(world: World) -> None:
    one, two = world.updater(instance="one"), world.updater(instance="two")

    def both(first: Updater) -> None:
        first.step()
        two.step()

    def shared() -> bool:
        both(one)
        return len(one.reader.partitions()) == len(two.reader.partitions()) == PARTITIONS // 2

    wait_until(shared, "the partitions are shared")
    before, rebalances = one.reader.partitions(), two.counts["rebalances"]
    one.close()
    again = world.updater(instance="one")
    world.publish(click for number in range(20) for click in world.clicks(f"user-{number}", number))

    def all_applied() -> bool:
        both(again)
        return again.counts["applied"] + two.counts["applied"] == 20

    wait_until(all_applied, "all events are applied")
    assert again.reader.partitions() == before
    assert two.counts["rebalances"] == rebalances
