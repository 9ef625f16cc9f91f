"""Faults, each in a short form: nothing is lost or applied twice; and the benchmark notices where something is."""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import typer
from kafka import KafkaProducer
from msgspec import structs

from benchmarks.faults import command
from benchmarks.faults.forgetting import came_back
from benchmarks.faults.found import MUST_BE_ZERO, Found
from benchmarks.faults.kills import quantiles
from benchmarks.faults.letters import letters_of, publish_with_bad
from benchmarks.faults.rows import ROWS, SAME, Row
from benchmarks.faults.traffic import GROWTH_MB, shuffled, too_much
from benchmarks.faults.zombie import Awakened, tried, writes
from benchmarks.scenario.bad import KINDS
from benchmarks.scenario.comparison import behaviours_in, behaviours_of, difference, states_of, users_differing
from benchmarks.scenario.home import Home
from benchmarks.scenario.load import EVENTS_A_USER, Flood, Load, clicks
from benchmarks.scenario.verdict import events_on, verdict
from benchmarks.scenario.watch import Look, Memory, longest_stall
from benchmarks.scenario.world import World
from model_export.bundle.bundle import Bundle
from model_export.bundle.extractor import Extractor
from model_export.bundle.serving import FixedServing
from stream.events.event import Event
from stream.events.position import Position
from stream.events.producer import EventProducer
from stream.store.lmdb_store import LmdbStore
from stream.store.state import UserState
from stream.updater.updater import Updater
from testbed.real_kafka import RealKafka
from testbed.real_redis import RealRedis
from testbed.stream_process import wait_until

TINY: dict[str, dict[str, float]] = {
    "sigkill": {"kills": 3, "least_between": 0},
    "sigterm": {"times": 1},
    "archive-kills": {"kills": 2, "least_amid": 0},
    "broker": {"times": 1},
    "zombie": {"times": 1},
    "churn": {"seconds": 8},
    "malformed": {"events": 2_000},
    "codecs": {"events": 800},
    "unparsable": {"rounds": 1},
    "dlq": {"seconds": 1},
    "redis-down": {"seconds": 2},
    "shared-redis": {"seconds": 1},
    "redis-failover": {"times": 1},
    "duplicates": {"events": 4_000},
    "other-partitioner": {"events": 3_000},
    "upgrade": {"events": 800},
    "burst": {"seconds": 4},
    "unreadable-user": {"events": 400},
    "open-transaction": {"transactions": 10, "open_s": 0},
    "deleted-topic": {"events": 200, "gone_s": 1},
}
MEASURED = {  # none of these is 0 where a row has done what it is there for
    "sigkill": {"kills", "bad_records", "recovery_p50_s", "recovery_p99_s"},
    "sigterm": {"stops", "stop_p50_s", "stop_p99_s"},
    "archive-kills": {"kills", "records", "users_forgotten", "events", "events_forgotten", "drain_s"},
    "broker": {"outages", "outage_s", "resumed_after_s"},  # it may die when no event waits
    "zombie": {"stops", "takeover_s"},
    "churn": {"joins", "joins_given_partitions", "bad_records"},
    "malformed": {"records", "bad_records", "drain_s"},
    "codecs": {"codecs", "events", "drain_s"},
    "unparsable": {"bad_records", "drain_s"},
    "dlq": {"resumed_after_s"},
    "redis-down": {"resumed_after_s", "stall_s"},
    "shared-redis": {"events"},
    "redis-failover": {"failovers", "resumed_after_s"},
    "duplicates": {"events", "duplicates"},
    "other-partitioner": {"records", "users_forgotten", "left_out", "drain_s"},
    "upgrade": {"users_of_before", "formats"},
    "unreadable-user": {"events", "users_spoiled"},
    "burst": {"events_per_second", "backlog", "drain_s", "rss_before_mb", "peak_rss_mb", "own_before_mb"},
    "open-transaction": {"transactions", "taken_back", "held", "drain_s"},
    "deleted-topic": {"events", "resumed_after_s"},
}
EVENTS = 400


@pytest.fixture
def world(real_kafka: RealKafka, bundle: Bundle, tmp_path: Path) -> World:
    return World(real_kafka, bundle, tmp_path)


@pytest.fixture
def home(real_kafka: RealKafka, topic: str, bundle: Bundle, tmp_path: Path) -> Iterable[Home]:
    with Home(real_kafka, topic, tmp_path / "home", bundle) as home:
        yield home


@pytest.mark.parametrize("name", ROWS)
def test_nothing_is_lost_or_applied_twice(world: World, name: str) -> None:
    if name == "broker" and not world.kafka.can_restart:
        pytest.skip("only a broker that was started here can be killed")
    found = ROWS[name].run(world, **TINY[name])
    assert found.faults == dict.fromkeys(ROWS[name].looks_for, 0)
    assert {figure for figure in MEASURED[name] if found.figures[figure] > 0} == MEASURED[name]


def test_every_row_has_its_short_forms_and_says_what_it_looks_for() -> None:
    assert set(TINY) == set(MEASURED) == set(ROWS)
    assert all(set(TINY[name]) == set(row.quick) for name, row in ROWS.items())
    assert set(MUST_BE_ZERO) <= set().union(*(row.looks_for for row in ROWS.values()))
    assert all(row.looks_for >= {"lost", "applied_twice"} for row in ROWS.values())


def publish_clicks(home: Home, events: int = EVENTS) -> None:
    with EventProducer(home.cluster, home.settings.topic) as producer:
        for event in islice(clicks(home.bundle.item_ids), events):
            producer.send(event)
        producer.flush()


def update(home: Home, until: Callable[[Updater], bool], group: str) -> None:
    """An updater in this process works on the home's store."""
    settings = home.settings.model_copy(update={"group": f"{home.settings.topic}-{group}"})
    with closing(Updater(home.cluster, home.store, FixedServing(home.bundle, Extractor), settings)) as updater:

        def done() -> bool:
            updater.step()
            return until(updater)

        wait_until(done, "the updater is done")


def test_a_replay_that_is_applied_again_is_noticed(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_clicks(home)
    update(home, lambda updater: updater.counts["applied"] == EVENTS, "one")
    assert verdict(home, EVENTS) == {"lost": 0, "applied_twice": 0, "users_differing": 0}
    with monkeypatch.context() as broken:
        broken.setattr(Position, "covers", lambda position, other: False)
        update(home, lambda updater: updater.counts["applied"] == EVENTS, "two")
    assert verdict(home, EVENTS) == {"lost": 0, "applied_twice": EVENTS, "users_differing": 200}


def test_what_a_store_drops_is_noticed(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_clicks(home)
    put_many = LmdbStore.put_many

    def forgetful(store: LmdbStore, states: Iterable[UserState], read: Mapping[str, Position | None]) -> set[str]:
        return put_many(store, [state for state in states if state.user_id != "user-7"], read)

    with monkeypatch.context() as broken:
        broken.setattr(LmdbStore, "put_many", forgetful)
        update(home, lambda updater: updater.counts["applied"] >= EVENTS, "one")
    assert verdict(home, EVENTS) == {"lost": EVENTS / 200, "applied_twice": 0, "users_differing": 1}
    assert verdict(home, EVENTS + 5, undisturbed=False) == {"lost": EVENTS / 200 + 5, "applied_twice": 0}


def test_a_forgotten_user_who_came_back_is_noticed() -> None:
    """Of anna and ben, who are forgotten: an event of before is kept, and one of after."""
    before = [Event(user, "mug", 1_720_000_000_000, event_id=f"{user}-1") for user in ("anna", "ben", "cleo")]
    kept = {"anna": ["anna-1"], "ben": ["ben-2"], "cleo": ["cleo-1"]}
    assert came_back(before, {"anna", "ben", "dora"}, kept) == 1


def test_a_difference_counts_each_behaviour(home: Home) -> None:
    events = list(islice(clicks(home.bundle.item_ids), 6))
    expected, found = behaviours_of(events), behaviours_of([*events[:4], events[0], events[0]])
    assert difference(expected, found) == {"lost": 2, "applied_twice": 2}
    assert users_differing({"ann": b"1", "ben": b"2", "cat": b"3"}, {"ann": b"1", "ben": b"3", "dan": b"4"}) == 3
    publish_clicks(home, 6)
    update(home, lambda updater: updater.counts["applied"] == 6, "one")
    assert behaviours_in(states_of(home.store)) == expected


def test_letters_that_are_missing_or_twice_are_noticed(home: Home) -> None:
    injected = publish_with_bad(home, events=40, bad=20)
    assert len({one.source for one in injected}) == 20
    update(home, lambda updater: updater.counts["dead_letter"] == 20 and updater.counts["applied"] == 40, "one")
    assert letters_of(home, injected) == (0, 0, 0)
    assert letters_of(home, [*injected, replace(injected[0], source="elsewhere[0]@0")]) == (1, 0, 0)
    assert letters_of(home, [replace(injected[0], reason="key"), *injected[1:]]) == (1, 1, 0)
    assert letters_of(home, injected[1:]) == (0, 1, 0)
    [letter] = [one for one in home.records(home.settings.dead_letter_topic) if one.value == injected[0].value][:1]
    with KafkaProducer(bootstrap_servers=home.kafka.bootstrap_servers) as producer:
        producer.send(home.settings.dead_letter_topic, key=letter.key, value=letter.value, headers=letter.headers)
    assert letters_of(home, injected) == (0, 0, 1)


def test_bad_records_lie_evenly_among_the_events(home: Home) -> None:
    assert len(set(KINDS)) == 10
    injected = publish_with_bad(home, events=990, bad=10)
    assert len({one.value for one in injected} | {one.key for one in injected}) > 10
    assert home.published() == 1_000


def test_clicks_are_told_apart_and_fit_into_a_history(bundle: Bundle) -> None:
    events = list(islice(clicks(bundle.item_ids, event_ids=True), 9_000))
    assert set(behaviours_of(events).values()) == {1}
    a_user = [event.user_id for event in events].count("user-3")
    assert a_user == EVENTS_A_USER
    assert events == list(islice(clicks(bundle.item_ids, event_ids=True), 9_000))
    late = shuffled(events)
    assert late != events
    assert behaviours_of(late) == behaviours_of(events)
    latest = 0
    for event in late:
        assert event.event_time_ms > latest - 60_000
        latest = max(latest, event.event_time_ms)


def test_a_load_keeps_its_rate_and_counts_what_is_acknowledged(home: Home) -> None:
    with Load(home, 500, bad_every=100) as load:
        wait_until(lambda: load.acknowledged >= 300, "events are acknowledged")
        load.stop()
    assert len(load.bad) == len(set(load.injected())) == load.acknowledged // 100
    assert load.acknowledged + len(load.bad) == home.published()


def test_a_flood_is_a_load(home: Home) -> None:
    with Flood(home, 20_000) as load:
        wait_until(lambda: load.acknowledged >= 5_000, "events are acknowledged")
        load.stop()
    assert load.acknowledged == home.published()
    assert behaviours_of(events_on(home)) == behaviours_of(islice(clicks(home.bundle.item_ids), load.acknowledged))


def test_memory_that_a_process_takes_is_seen_also_when_it_is_gone() -> None:
    with Memory(os.getpid()) as memory:
        wait_until(lambda: memory.own_mb > 0, "memory is looked at")
        before = memory.own_mb
        taken = b"1" * 200_000_000
        wait_until(lambda: memory.own_mb > before + 190, "more memory is seen")
        del taken
    assert memory.rss_mb > memory.own_mb > before + 190


def test_a_burst_fails_where_memory_grows_or_nothing_piles_up() -> None:
    assert too_much(GROWTH_MB, 100_000) == {"mb_too_many": 0, "without_backlog": 0}
    assert too_much(GROWTH_MB + 0.1, 100_000) == {"mb_too_many": 1, "without_backlog": 0}
    assert too_much(0, 100) == {"mb_too_many": 0, "without_backlog": 1}


def test_zombies_that_had_nothing_to_write_prove_nothing() -> None:
    idle = Awakened({"zombie_writes_accepted": 0}, 1.0, refused=0, left=False)
    assert not tried([idle, idle])
    assert tried([idle, replace(idle, refused=1)])
    assert tried([idle, replace(idle, left=True)])
    assert tried([idle, replace(idle, faults={"zombie_writes_accepted": 1})])


@pytest.mark.parametrize("kind", ["lmdb", "redis"])
def test_a_write_of_the_same_bytes_is_a_write_and_a_refused_one_is_none(
    real_kafka: RealKafka, topic: str, bundle: Bundle, tmp_path: Path, real_redis: RealRedis, kind: str
) -> None:
    redis = real_redis if kind == "redis" else None
    with Home(real_kafka, topic, tmp_path / "home", bundle, redis.url if redis else "") as home:
        publish_clicks(home)
        update(home, lambda updater: updater.counts["applied"] == EVENTS, "one")
        states = states_of(home.store)
        before = writes(home, redis)
        others = [structs.replace(state, profile={"x": "y"}) for state in states]
        assert home.store.replace_many(zip(others, states, strict=True)) == len(states)
        assert writes(home, redis) == before
        assert home.store.replace_many([(state, state) for state in states]) == 0
        assert writes(home, redis) == before + (len(states) if redis else 1)


def test_a_stall_is_the_time_in_which_events_waited() -> None:
    looks = [(0, 5, 5), (1, 5, 5), (2, 9, 5), (3, 9, 5), (4, 9, 5), (5, 9, 9), (6, 9, 9), (9, 9, 9), (10, 12, 9)]
    assert longest_stall([Look(*look) for look in looks]) == 2
    assert longest_stall([]) == 0


def test_quantiles_are_of_what_was_measured() -> None:
    assert quantiles("recovery", [3.0, 1.0, 2.0]) == {"recovery_p50_s": 2, "recovery_p99_s": 3}
    assert quantiles("recovery", []) == {}


def test_the_command_fails_where_something_was_found(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, real_kafka: RealKafka, bundle: Bundle
) -> None:
    def unfinished(world: World) -> Found:
        raise AssertionError("never")

    rows = {
        "good": Row("none", lambda world: Found(dict.fromkeys(SAME, 0), {"drain_s": 1.5}), {}, SAME),
        "bad-one": Row("some", lambda world: Found({"lost": 3, "applied_twice": 0}), {}, SAME),
        "unfinished": Row("endless", unfinished, {}, SAME),
    }
    monkeypatch.setattr(command, "ROWS", rows)
    monkeypatch.setattr(command, "_small_bundle", lambda folder: bundle)
    monkeypatch.setattr(command, "RealKafka", lambda: closing(Stays(real_kafka)))
    nothing = dict.fromkeys(MUST_BE_ZERO)
    command.main(["good"], quick=True)
    assert must_be_zero(capsys) == nothing | {"lost": 0, "applied_twice": 0}
    with pytest.raises(typer.Exit):
        command.main(["good", "unfinished"])
    assert must_be_zero(capsys) == nothing
    with pytest.raises(typer.Exit) as ended:
        command.main(["bad-one", "good"])
    assert ended.value.exit_code == 1
    with pytest.raises(typer.Exit):
        command.main(None)
    figures = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert {name: figures[name] for name in MUST_BE_ZERO} == nothing | {"lost": 3}
    assert (figures["unfinished"], figures["good_drain_s"]) == (1, 1.5)
    with pytest.raises(ValueError, match="--only is 'nothing'; right is one of good, bad-one, unfinished"):
        command.main(["nothing"])


def must_be_zero(capsys: pytest.CaptureFixture[str]) -> dict[str, int | None]:
    """The figures of the last line that must be 0."""
    figures = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    return {name: figures[name] for name in MUST_BE_ZERO}


class Stays:
    """The tests' Kafka, which the command does not stop."""

    def __init__(self, kafka: RealKafka) -> None:
        self.kafka = kafka

    def close(self) -> None:
        """Nothing to do."""
