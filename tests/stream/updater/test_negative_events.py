"""Negative events from `mindstream stream produce` to the answer, on a real Kafka, LMDB and Redis."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from index.recommend.recommender import Recommender
from model_export.bundle.bundle import Bundle
from stream.events.event import Event
from stream.events.position import Position
from stream.store.codec import to_bytes
from stream.store.contract import Store
from stream.store.lmdb_store import LmdbStore
from stream.store.redis_store import RedisStore
from stream.store.state import UserState
from stream.updater.updater import Updater
from tests.support.stream_shell import KafkaShell
from tests.support.updater_world import START_MS, World, work

# The rule, and a shop's shape whose keys are no users: a user's events are sent to several partitions.
SHOP_RULE = "view=1,cart=2,purchase=4,impression=0,dislike=-1"
SHOP_MAPPING = 'user = "shopper.id"\nitem = "lines[].sku"\ntime = "at"\ntype = "what"\nevent_id = "id"\n'
RULE = "impression=0,dislike=-1,undislike=undo"
STORES = ["lmdb", pytest.param("redis", marks=pytest.mark.redis)]


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "redis":
        with RedisStore(str(request.getfixturevalue("real_redis").url)) as redis:
            yield redis
    else:
        with LmdbStore(tmp_path / "other") as lmdb:
            yield lmdb


def state_in(store: Store, user_id: str) -> UserState:
    [state] = store.get_many([user_id])
    assert state is not None
    return state


def without_position(state: UserState) -> bytes:
    """A state's bytes, whichever record was applied last."""
    return to_bytes(replace(state, position=Position("life", 0, 0)))


def read_all(updater: Updater, records: int) -> None:
    """Until it has committed so many records in all."""
    results = ("applied", "negative", "undone", "overruled", "ignored", "duplicate", "replayed")
    work(updater, lambda: sum(updater.counts[one] for one in results) == records, f"{records} records are read")


def test_what_is_disliked_never_comes_back_until_it_is_wanted(
    kafka: KafkaShell, world: World, bundle: Bundle, store: Store
) -> None:
    updater = world.updater(store, behaviours=RULE)
    recommender = Recommender(bundle, store)
    published = 0

    def say(item: int, kind: str) -> None:
        nonlocal published
        assert kafka("produce", "--user", "anna", "--item", world.items[item], "--type", kind)[0] == 0
        published += 1
        read_all(updater, published)

    def items_and_path() -> tuple[set[str], str]:
        found = recommender.recommend("anna", bundle.manifest.items)
        return set(found.item_ids), found.path

    for item in (3, 4, 3):
        say(item, "click")
    assert items_and_path() == (set(world.items), "capsules")
    say(3, "Dislike")
    anna = state_in(store, "anna")
    assert (anna.history.item_ids, anna.unwanted) == ((world.items[4],), (world.items[3],))
    [capsules] = world.extractor.encode([anna.history.item_ids], times_ms=[anna.history.event_times_ms], half=True)
    assert to_bytes(anna) == to_bytes(replace(anna, capsules=capsules))
    assert items_and_path() == (set(world.items) - {world.items[3]}, "capsules")
    say(4, "dislike")  # nothing is left of the history
    assert state_in(store, "anna").capsules.vectors.shape[0] == 0
    assert items_and_path() == (set(world.items) - {world.items[3], world.items[4]}, "popular")
    say(4, "undislike")
    assert items_and_path() == (set(world.items) - {world.items[3]}, "popular")
    say(3, "impression")
    say(3, "buy")
    anna = state_in(store, "anna")
    assert (anna.history.item_ids, anna.unwanted) == ((world.items[3],), ())
    assert items_and_path() == (set(world.items), "capsules")
    counts = {"applied": 4, "negative": 2, "undone": 1, "ignored": 1, "overruled": 0}
    assert {name: updater.counts[name] for name in counts} == counts


def test_late_doubled_and_replayed_events_change_nothing(world: World, store: Store) -> None:
    mug, cup = world.items[:2]
    refused = Event("anna", mug, START_MS + 5, "dislike", "n-1")
    events = [
        Event("anna", mug, START_MS + 1, "click", "b-1"),
        refused,
        Event("anna", mug, START_MS + 3, "click", "b-2"),  # late: it was before the refusal
        Event("anna", cup, START_MS + 6, "click", "b-3"),
        Event("anna", cup, START_MS + 7, "dislike", "n-2"),
        Event("anna", cup, START_MS + 8, "click", "b-4"),
        refused,
        Event("anna", cup, START_MS + 7, "dislike", "n-2"),
    ]
    world.publish(events)
    updater = world.updater(store, behaviours=RULE)
    read_all(updater, len(events))
    counts = {"applied": 3, "overruled": 1, "negative": 2, "duplicate": 2}
    assert {name: updater.counts[name] for name in counts} == counts
    anna = state_in(store, "anna")
    assert (anna.history.item_ids, anna.unwanted) == ((cup,), (mug,))
    if isinstance(store, RedisStore):  # which is another group's by now
        store.owner.take(world.topic, f"{world.topic}-again")
    again = world.updater(store, behaviours=RULE, group=f"{world.topic}-again")
    read_all(again, len(events))
    assert again.counts["replayed"] == len(events)
    assert to_bytes(state_in(store, "anna")) == to_bytes(anna)


def test_the_rule_holds_for_events_in_a_shape_of_their_own(
    world: World, bundle: Bundle, store: Store, tmp_path: Path
) -> None:
    """A dislike by a mapping: the next answer, a record sent twice, a restart, a replay, and what takes it back."""
    (tmp_path / "shop.toml").write_text(SHOP_MAPPING, encoding="utf-8")
    set_to: dict[str, Any] = {"behaviours": SHOP_RULE, "mapping": tmp_path / "shop.toml"}
    mug, cup, pot, pan = world.items[:4]
    recommender = Recommender(bundle, store)

    def say(at: int, what: str, *items: str, partition: int, name: str | None = None) -> None:
        lines = [{"sku": item} for item in items]
        value = {"shopper": {"id": 42}, "lines": lines, "at": START_MS + at, "what": what, "id": name}
        world.send([(b"order-7", json.dumps(value).encode())], partition)

    def stored_after(updater: Updater, events: int) -> UserState:
        read_all(updater, events)
        return state_in(store, "42")

    def answer() -> set[str]:
        return set(recommender.recommend("42", bundle.manifest.items).item_ids)

    say(1, "view", mug, cup, partition=0)
    say(2, "Purchase", mug, pot, partition=1)
    say(3, "impression", pan, partition=2)
    say(5, "Dislike", mug, partition=2, name="d-1")
    updater = world.updater(store, **set_to)
    refused = stored_after(updater, 6)
    assert (refused.history.item_ids, refused.unwanted) == ((cup, pot), (mug,))
    history = refused.history
    [capsules] = world.extractor.encode([history.item_ids], times_ms=[history.event_times_ms], half=True)
    assert to_bytes(refused) == to_bytes(replace(refused, capsules=capsules))
    assert answer() == set(world.items) - {mug}

    updater.close()  # and started again
    updater = world.updater(store, **set_to)
    say(5, "dislike", mug, partition=3, name="d-1")  # sent twice, to another partition
    say(4, "view", mug, partition=3)  # late: it was before the dislike
    restarted = stored_after(updater, 2)
    assert {name: updater.counts[name] for name in ("duplicate", "overruled")} == {"duplicate": 1, "overruled": 1}
    assert without_position(restarted) == without_position(refused)

    if isinstance(store, RedisStore):  # which is another group's by now
        store.owner.take(world.topic, f"{world.topic}-again")
    replaying = world.updater(store, **set_to, group=f"{world.topic}-again")
    assert without_position(stored_after(replaying, 8)) == without_position(refused)
    assert (replaying.counts["applied"], replaying.counts["negative"]) == (0, 0)
    assert answer() == set(world.items) - {mug}

    say(9, "cart", mug, partition=0)  # wanted again
    wanted = stored_after(replaying, 9)
    assert (wanted.history.item_ids, wanted.unwanted) == ((cup, pot, mug), ())
    assert answer() == set(world.items)


def test_a_rule_of_ones_own_is_kept_to(world: World) -> None:
    """By the default `hide` is a behaviour and `dislike` is negative; here it is the other way round."""
    world.publish([Event("anna", world.items[0], START_MS + at, kind) for at, kind in enumerate(["dislike", "hide"])])
    world.publish([Event("anna", world.items[1], START_MS + 5, "dislike")])
    updater = world.updater(behaviours="dislike=1,hide=-1")
    read_all(updater, 3)
    anna = world.state("anna")
    assert (anna.history.item_ids, anna.unwanted) == ((world.items[1],), (world.items[0],))


def test_a_dislike_is_negative_unless_said_otherwise(world: World) -> None:
    world.publish([Event("anna", world.items[0], START_MS, "dislike")])
    updater = world.updater()
    read_all(updater, 1)
    assert world.state("anna").unwanted == (world.items[0],)


def test_a_user_without_a_history_has_no_interests_to_announce(world: World) -> None:
    updates = f"{world.topic}-interests"
    world.publish([*world.clicks("anna", 1), Event("anna", world.items[1], START_MS + 5_000, "dislike")])
    updater = world.updater(updates_topic=updates)
    read_all(updater, 2)
    work(updater, lambda: world.committed() == 2)
    assert world.kafka.records(updates)[-1].value is None
    with world.kafka.admin() as admin:
        admin.delete_topics([updates])
