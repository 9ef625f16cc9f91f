"""Users who are forgotten while their events lie on other partitions than ours would: their producers count CRC32."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from confluent_kafka import Producer

from benchmarks.faults.found import Found
from benchmarks.scenario.comparison import behaviours_in, behaviours_of, difference, states_of
from benchmarks.scenario.home import Home, counted
from benchmarks.scenario.load import clicks
from benchmarks.scenario.world import World
from stream.events.event import Event, encode
from stream.events.producer import EventProducer

__all__ = ["came_back", "other_partitioner"]

AFTER = 10  # one event in so many is published after the forgetting


def other_partitioner(world: World, events: int = 12_000) -> Found:
    """Forget every other user behind a backlog that librdkafka has spread by CRC32."""
    with world.home() as home:
        published = list(islice(clicks(home.bundle.item_ids, event_ids=True), events))
        before, after = published[: -events // AFTER], published[-events // AFTER :]
        forgotten = set(sorted({event.user_id for event in published})[::2])
        world.say(f"publishing {events:,} events, and forgetting {len(forgotten):,} users among them")
        _publish_by_crc32(home, before)
        with EventProducer(home.cluster, home.settings.topic) as producer:
            for user_id in sorted(forgotten):
                producer.forget(user_id)
            producer.flush()
        _publish_by_crc32(home, after)
        with home.run() as command:
            world.say("catching up")
            drain_s = home.catches_up()
            command.end()
        expected = _expected_after(before, forgotten, after)
        states = states_of(home.store)
        faults = difference(behaviours_of(expected), behaviours_in(states))
        kept = {one.user_id: one.history.event_ids for one in states}
        faults |= {"users_came_back": came_back(before, forgotten, kept)}
    counts = counted(command)
    figures = {"records": events, "users_forgotten": counts["forgotten"], "left_out": counts["forgotten_before"]}
    return Found(faults, figures | {"drain_s": drain_s})


def _publish_by_crc32(home: Home, events: Iterable[Event]) -> None:
    """Publish events as librdkafka does it unless told otherwise."""
    producer = Producer({"bootstrap.servers": home.kafka.bootstrap_servers})
    for event in events:
        key, value = encode(event)
        producer.produce(home.settings.topic, value, key)
        producer.poll(0)
    assert producer.flush(60) == 0, "the broker did not take all events"


def _expected_after(before: Iterable[Event], forgotten: set[str], after: Iterable[Event]) -> list[Event]:
    """Return the events that must be left: all but those of forgotten users from before."""
    return [*(event for event in before if event.user_id not in forgotten), *after]


def came_back(before: Iterable[Event], forgotten: set[str], kept: Mapping[str, Sequence[str]]) -> int:
    """Count the forgotten users of whom an event from before is kept.

    `kept` is user_id -> event_ids.
    """
    old = {event.event_id for event in before}
    return sum(not old.isdisjoint(kept.get(user_id, ())) for user_id in forgotten)
