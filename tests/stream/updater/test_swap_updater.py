"""An updater on a real Kafka while models come: no event is lost, and none is applied by a model that must not be."""

import signal
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from model_export.bundle.bundle import ROUTING_LOGITS, Bundle
from model_export.bundle.extractor import Extractor
from model_export.bundle.registry import Registry
from model_export.bundle.serving import FixedServing, Serving
from stream.events.event import Event
from stream.updater.interest_updates import InterestUpdate
from stream.updater.updater import Updater
from testbed.bad_bundles import BAD_BUNDLES, copy_bundle
from testbed.real_kafka import RealKafka
from testbed.stream_process import StreamProcess, wait_until
from tests.support.updater_world import START_MS, World, work


@pytest.fixture
def world(real_kafka: RealKafka, topic: str, bundle: Bundle, tmp_path: Path) -> Iterator[World]:
    world = World(real_kafka, topic, bundle, tmp_path / "home")
    with world.closing:
        Registry(world.settings.models).publish(copy_bundle(bundle, tmp_path / "first"))
        yield world


@pytest.fixture
def later(other_bundle: Bundle, world: World) -> Bundle:
    """A bundle of other items and fewer interests, among the published ones; nothing points to it yet."""
    return Bundle(copy_bundle(other_bundle, world.settings.models / "second"))


def following(world: World, **changed: object) -> Updater:
    """An updater that follows the pointer."""
    serving = Serving(Registry(world.settings.models), Extractor)
    settings = world.settings.model_copy(update=changed)
    updater = Updater(world.cluster, world.store, serving, settings)
    world.closing.callback(updater.close)
    return updater


def take_over(updater: Updater, version: str) -> None:
    assert isinstance(updater.serving, Serving)
    updater.serving.registry.point_to(version)
    assert updater.serving.look()


def versions(world: World) -> dict[str, str]:
    users = list(world.store.users())
    return {one.user_id: one.capsules.model_version for one in world.store.get_many(users) if one}


def test_what_is_written_after_a_swap_is_of_the_new_model(world: World, later: Bundle) -> None:
    """Both by events and by the sweep; and items that only one of the models knows stay in the history."""
    gone = world.items.index(next(item for item in world.items if item not in later.rows))
    world.publish([*world.clicks("anna", gone, 401, 402), *world.clicks("ben", gone, 403), *world.clicks("cleo", gone)])
    updater = following(world)
    work(updater, lambda: updater.counts["applied"] == 6)
    assert set(versions(world).values()) == {"first"}
    take_over(updater, "second")
    world.publish(world.clicks("anna", 404, first=3))
    work(updater, lambda: updater.counts["applied"] == 7 and updater.counts["swept"] == 2)
    assert set(versions(world).values()) == {"second"}
    assert world.history("anna") == [gone, 401, 402, 404]
    for user_id in ("anna", "ben", "cleo"):
        state = world.state(user_id)
        [right] = Extractor(later).encode([state.history.item_ids], times_ms=[state.history.event_times_ms])
        assert len(state.capsules.vectors) == len(right.vectors)
        assert np.allclose(state.capsules.vectors.ravel(), right.vectors.ravel(), atol=1e-3)
    assert len(world.state("cleo").capsules.vectors) == 0
    assert updater.counts["swaps"] == 1
    assert updater.metrics.registry.get_sample_value("mindstream_bundle_info", {"version": "second"}) == 1
    take_over(updater, "first")
    work(updater, lambda: updater.counts["swept"] == 5)
    assert set(versions(world).values()) == {"first"}
    assert len(world.state("cleo").capsules.vectors) == 4  # the item has come back
    assert world.committed() == 7


def test_at_its_start_an_updater_sweeps_what_another_model_has_left(world: World, later: Bundle) -> None:
    world.publish([*world.clicks("anna", 401), *world.clicks("ben", 402)])
    updater = following(world)
    work(updater, lambda: updater.counts["applied"] == 2)
    updater.close()
    Registry(world.settings.models).point_to("second")
    again = following(world)
    work(again, lambda: again.counts["swept"] == 2)
    assert set(versions(world).values()) == {"second"}


def test_where_updaters_come_and_go_nobody_walks_again(world: World, later: Bundle) -> None:
    """It is noted beside the offsets that a partition is of the model; another model takes the note back."""
    users = [f"user-{number}" for number in range(20)]
    world.publish(click for user_id in users for click in world.clicks(user_id, 401))
    first = following(world)
    work(first, lambda: first.counts["applied"] == 20 and first.sweeper.sweep is None)
    assert first.reader.finish_commits()  # of notes too; they are sent a moment later otherwise
    second = following(world)

    def shared() -> bool:
        first.step()
        second.step()
        return len(second.reader.partitions()) == 2 and second.sweeper.sweep is None

    wait_until(shared, "the second updater has half of the partitions")
    assert looked_at(second) == 0
    first.close()
    work(second, lambda: len(second.reader.partitions()) == 4 and second.sweeper.sweep is None)
    assert looked_at(second) == 0
    take_over(second, "second")
    work(second, lambda: second.counts["swept"] == 20 and second.sweeper.sweep is None)
    assert looked_at(second) == 20
    second.close()
    third = following(world)
    work(third, lambda: len(third.reader.partitions()) == 4)
    world.publish(world.clicks("user-0", 402, first=1))
    work(third, lambda: third.counts["applied"] == 1)
    assert looked_at(third) == 0
    third.close()
    Registry(world.settings.models).point_to("first")
    fourth = following(world)
    work(fourth, lambda: fourth.counts["swept"] == 20)
    assert set(versions(world).values()) == {"first"}


def looked_at(updater: Updater) -> int:
    """How many users its sweeps have looked at."""
    return int(updater.metrics.registry.get_sample_value("mindstream_sweep_looked_at_total") or 0)


def test_a_walk_that_did_not_end_is_not_noted(world: World, later: Bundle) -> None:
    world.publish([*world.clicks("anna", 401), *world.clicks("ben", 402)])
    first = following(world)
    work(first, lambda: first.counts["applied"] == 2 and first.sweeper.sweep is None)
    first.sweeper.waits_until = float("inf")  # it takes the model over, and comes no further
    take_over(first, "second")
    world.publish(world.clicks("anna", 403, first=1))
    work(first, lambda: first.counts["applied"] == 3)
    first.close()
    assert versions(world) == {"anna": "second", "ben": "first"}
    Registry(world.settings.models).point_to("first")  # rolled back: the note of before must not hide anna
    again = following(world)
    work(again, lambda: again.counts["swept"] == 1)
    assert set(versions(world).values()) == {"first"}


def test_with_a_fixed_model_nothing_is_swept(world: World, later: Bundle) -> None:
    world.publish(world.clicks("anna", 401))
    updater = following(world)
    work(updater, lambda: updater.counts["applied"] == 1)
    updater.close()
    fixed = Updater(world.cluster, world.store, FixedServing(later, Extractor), world.settings)
    world.closing.callback(fixed.close)
    work(fixed, fixed.reader.ready.is_set)
    world.publish(world.clicks("ben", 402))
    work(fixed, lambda: fixed.counts["applied"] == 1)
    assert fixed.sweeper.sweep is None
    assert versions(world) == {"anna": "first", "ben": "second"}


def test_what_the_sweep_makes_is_published(world: World, later: Bundle) -> None:
    updates = f"{world.topic}.updates"
    world.publish([*world.clicks("anna", 401, 402), *world.clicks("ben", 403)])
    updater = following(world, updates_topic=updates)
    try:
        work(updater, lambda: updater.counts["applied"] == 3)
        take_over(updater, "second")
        work(updater, lambda: updater.counts["swept"] == 2)
        found = {record.key.decode(): record.value for record in world.kafka.records(updates)}  # the last of each
        for user_id in ("anna", "ben"):
            said, state = msgspec.json.decode(found[user_id], type=InterestUpdate), world.state(user_id)
            assert said.model_version == "second"
            assert said.capsules == state.capsules.vectors.tolist()
    finally:
        with world.kafka.admin() as admin:
            admin.delete_topics([updates])


def test_an_updater_starts_with_the_last_good_model_and_says_so(world: World, later: Bundle) -> None:
    Registry(world.settings.models).point_to("second")
    (later.path / ROUTING_LOGITS).write_bytes(b"cut off")
    updater = following(world)
    world.publish(world.clicks("anna", 401))
    work(updater, lambda: updater.counts["applied"] == 1)
    assert versions(world) == {"anna": "first"}
    updater.tell_health()
    assert updater.health.note is not None
    assert "bundle second is refused, first is served: " in updater.health.note
    assert f"{ROUTING_LOGITS} has 7 bytes" in updater.health.note
    assert updater.health.unready() is None


def test_a_running_updater_refuses_every_bad_bundle_and_goes_on(world: World, later: Bundle) -> None:
    models = world.settings.models
    for kind, bad in BAD_BUNDLES.items():
        bad.spoil(copy_bundle(later, models / named(kind)))
    variables = {
        "KAFKA_BOOTSTRAP_SERVERS": world.settings.bootstrap_servers,
        "MINDSTREAM_TOPIC": world.topic,
        "MINDSTREAM_GROUP": world.settings.group,
    }
    with StreamProcess(world.settings.home, "run", variables=variables) as updater:
        updater.says("; reading ")
        for number, (kind, bad) in enumerate(BAD_BUNDLES.items()):
            Registry(models).point_to(named(kind))
            updater.says(f"bundle {named(kind)} is refused, first goes on: ")
            [refusal] = [line for line in updater.said.splitlines() if f"bundle {named(kind)} is refused" in line]
            assert bad.said in refusal
            world.publish(world.clicks("anna", number, first=number))
        wait_until(lambda: len(known(world)) == len(BAD_BUNDLES), "all events are applied")
        assert set(versions(world).values()) == {"first"}
        Registry(models).point_to("second")
        updater.says("capsules are of model second from now on")
        world.publish([Event("ben", later.item_ids[0], START_MS)])
        wait_until(lambda: versions(world) == {"anna": "second", "ben": "second"}, "all is of the second model")
        assert updater.end(signal.SIGTERM) == 0
    assert f"'bundles_refused': {len(BAD_BUNDLES)}" in updater.said
    assert "'swaps': 1" in updater.said
    assert world.history("anna") == list(range(len(BAD_BUNDLES)))


def named(kind: str) -> str:
    """The version of a bad bundle."""
    return f"bad-{kind.replace(' ', '-')}"


def known(world: World) -> tuple[str, ...]:
    """The history of anna, so far."""
    [state] = world.store.get_many(["anna"])
    return state.history.item_ids if state else ()
