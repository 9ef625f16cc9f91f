"""Faults, each in a short form: nothing is lost or applied twice; and the benchmark notices where something is."""

import json
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import typer
from kafka import KafkaProducer

from benchmarks.faults import command
from benchmarks.faults.comparison import behaviours_in, behaviours_of, difference, states_of, users_differing
from benchmarks.faults.found import MUST_BE_ZERO, Found
from benchmarks.faults.home import Home
from benchmarks.faults.kills import quantiles
from benchmarks.faults.letters import KINDS, missing, publish
from benchmarks.faults.load import EVENTS_A_USER, Load, clicks
from benchmarks.faults.rows import ROWS, Row
from benchmarks.faults.traffic import shuffled
from benchmarks.faults.verdict import verdict
from benchmarks.faults.watch import Look, longest_stall
from benchmarks.faults.world import World
from model_export.bundle import Bundle
from model_export.extractor import Extractor
from stream.position import Position
from stream.producer import EventProducer
from stream.state import UserState
from stream.store import LmdbStore
from stream.updater import Updater
from tests.command import wait_until
from tests.real_kafka import RealKafka

TINY: dict[str, dict[str, float]] = {
    "sigkill": {"kills": 3},
    "sigterm": {"times": 1},
    "broker": {"times": 1},
    "zombie": {"times": 1},
    "churn": {"seconds": 8},
    "malformed": {"events": 2_000},
    "dlq": {"seconds": 1},
    "redis-down": {"seconds": 2},
    "duplicates": {"events": 4_000},
    "burst": {"seconds": 4},
}
ALWAYS = {"lost", "applied_twice", "users_differing"}
LOOKED_FOR = {
    "sigkill": ALWAYS,
    "sigterm": {*ALWAYS, "reprocessed_after_sigterm", "members_left_behind"},
    "broker": {*ALWAYS, "lost_by_the_broker"},
    "zombie": {*ALWAYS, "zombie_writes_accepted"},
    "churn": {*ALWAYS, "stuck_partitions"},
    "malformed": {*ALWAYS, "dead_letters_missing", "dead_letters_too_many"},
    "dlq": {*ALWAYS, "dead_letters_missing", "evictions"},
    "redis-down": {*ALWAYS, "evictions"},
    "duplicates": ALWAYS,
    "burst": ALWAYS - {"users_differing"},
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
    assert found.faults == dict.fromkeys(LOOKED_FOR[name], 0)
    assert min(found.figures.values()) >= 0


def test_every_row_has_its_short_forms_and_says_what_it_looks_for() -> None:
    assert set(TINY) == set(LOOKED_FOR) == set(ROWS)
    assert all(set(TINY[name]) == set(row.quick) for name, row in ROWS.items())
    assert set(MUST_BE_ZERO) <= set().union(*LOOKED_FOR.values())


def publish_clicks(home: Home, events: int = EVENTS) -> None:
    with EventProducer(home.cluster, home.settings.topic) as producer:
        for event in islice(clicks(home.bundle.item_ids), events):
            producer.send(event)
        producer.flush()


def update(home: Home, until: Callable[[Updater], bool], group: str) -> None:
    """An updater in this process works on the home's store."""
    settings = home.settings.model_copy(update={"group": f"{home.settings.topic}-{group}"})
    with closing(Updater(home.cluster, home.store, Extractor(home.bundle), settings)) as updater:

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

    def forgetful(store: LmdbStore, states: Iterable[UserState]) -> int:
        return put_many(store, [state for state in states if state.user_id != "user-7"])

    with monkeypatch.context() as broken:
        broken.setattr(LmdbStore, "put_many", forgetful)
        update(home, lambda updater: updater.counts["applied"] >= EVENTS, "one")
    assert verdict(home, EVENTS) == {"lost": EVENTS / 200, "applied_twice": 0, "users_differing": 1}
    assert verdict(home, EVENTS + 5, undisturbed=False) == {"lost": EVENTS / 200 + 5, "applied_twice": 0}


def test_a_difference_counts_each_behaviour(home: Home) -> None:
    events = list(islice(clicks(home.bundle.item_ids), 6))
    expected, found = behaviours_of(events), behaviours_of([*events[:4], events[0], events[0]])
    assert difference(expected, found) == {"lost": 2, "applied_twice": 2}
    assert users_differing({"ann": b"1", "ben": b"2", "cat": b"3"}, {"ann": b"1", "ben": b"3", "dan": b"4"}) == 3
    publish_clicks(home, 6)
    update(home, lambda updater: updater.counts["applied"] == 6, "one")
    assert behaviours_in(states_of(home.store)) == expected


def test_letters_that_are_missing_or_twice_are_noticed(home: Home) -> None:
    injected = publish(home, events=40, bad=20)
    assert len({one.source for one in injected}) == 20
    update(home, lambda updater: updater.counts["dead_letter"] == 20 and updater.counts["applied"] == 40, "one")
    assert missing(home, injected) == (0, 0)
    assert missing(home, [*injected, replace(injected[0], source="elsewhere[0]@0")]) == (1, 0)
    assert missing(home, [replace(injected[0], reason="key"), *injected[1:]]) == (1, 1)
    [letter] = [one for one in home.records(home.settings.dead_letter_topic) if one.value == injected[0].value][:1]
    with KafkaProducer(bootstrap_servers=home.kafka.bootstrap_servers) as producer:
        producer.send(home.settings.dead_letter_topic, key=letter.key, value=letter.value, headers=letter.headers)
    assert missing(home, injected) == (0, 1)


def test_bad_records_lie_evenly_among_the_events(home: Home) -> None:
    assert len(set(KINDS)) == 10
    injected = publish(home, events=990, bad=10)
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
    with Load(home, 500) as load:
        wait_until(lambda: load.acknowledged >= 300, "events are acknowledged")
        load.stop()
    assert load.acknowledged == home.published()


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
        "good": Row("none", lambda world: Found({"lost": 0, "applied_twice": 0}, {"drain_s": 1.5}), {}),
        "bad-one": Row("some", lambda world: Found({"lost": 3, "applied_twice": 0}), {}),
        "unfinished": Row("endless", unfinished, {}),
    }
    monkeypatch.setattr(command, "ROWS", rows)
    monkeypatch.setattr(command, "small_bundle", lambda folder: bundle)
    monkeypatch.setattr(command, "RealKafka", lambda: closing(Stays(real_kafka)))
    command.main(["good"], quick=True)
    with pytest.raises(typer.Exit) as ended:
        command.main(["bad-one", "good"])
    assert ended.value.exit_code == 1
    with pytest.raises(typer.Exit):
        command.main(None)
    figures = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert {name: figures[name] for name in MUST_BE_ZERO} == dict.fromkeys(MUST_BE_ZERO, 0) | {"lost": 3}
    assert (figures["unfinished"], figures["good_drain_s"]) == (1, 1.5)
    with pytest.raises(ValueError, match="--only is 'nothing'; right is one of good, bad-one, unfinished"):
        command.main(["nothing"])


class Stays:
    """The tests' Kafka, which the command does not stop."""

    def __init__(self, kafka: RealKafka) -> None:
        self.kafka = kafka

    def close(self) -> None:
        """Nothing to do."""
