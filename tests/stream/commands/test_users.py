"""One user, as `show` and `export` print them and `forget` deletes them; user_ids are data and may hold anything."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from kafka import KafkaProducer

from mindstream.settings import Settings
from model_export.bundle.bundle import Bundle
from model_export.bundle.extractor import Capsules, Extractor
from model_export.bundle.registry import Registry
from stream.events.event import Event
from stream.events.position import Position
from stream.store.feedback import Feedback, ItemFeedback
from stream.store.history import History
from stream.store.lmdb_store import LmdbStore
from stream.store.state import UserState, encoded, recomputed, routing_weights
from testbed.real_kafka import RealKafka
from testbed.stream_process import StreamProcess
from tests.support.stream_shell import KafkaShell, Shell
from tests.support.updater_world import PARTITIONS, START_MS, World, work


@pytest.fixture
def world(real_kafka: RealKafka, topic: str, bundle: Bundle, tmp_path: Path) -> Iterator[World]:
    world = World(real_kafka, topic, bundle, tmp_path / "home")
    with world.closing:
        yield world


def keep(shell: Shell, bundle: Bundle, user_id: str, history: History, **more: object) -> UserState:
    """Store a user with capsules of the bundle."""
    none = Capsules(np.zeros((0, bundle.manifest.dim), "f4"), np.zeros(0, "f4"), "")
    state = UserState(user_id, history, none, Position("life", 2, 15), **more)  # type: ignore[arg-type]
    state = recomputed(state, encoded(Extractor(bundle), [state])[0])
    if not shell.settings.models.exists():
        Registry(shell.settings.models).publish(bundle.path)
    with LmdbStore(shell.settings.state) as store:
        store.put_many([state])
    return state


def test_everything_kept_is_shown(shell: Shell, bundle: Bundle) -> None:
    items = (bundle.item_ids[3], bundle.item_ids[1], "unknown item")
    times, types = (START_MS, START_MS + 1, START_MS + 86_400_000), ("click", "", "buy")
    history = History(items, times, ("e-1", "", "e-3"), types)
    state = keep(shell, bundle, "anna", history, profile={"region": "north", "age": "25-34"})
    status, said = shell("show", "anna", "--json")
    assert status == 0
    shown = json.loads(said)
    interests = shown.pop("interests")
    assert shown == {
        "user_id": "anna",
        "history": [
            {"time": "2024-07-03T09:46:40.000Z", "item_id": items[0], "event_id": "e-1", "event_type": "click"},
            {"time": "2024-07-03T09:46:40.001Z", "item_id": items[1], "event_id": None, "event_type": None},
            {"time": "2024-07-04T09:46:40.000Z", "item_id": items[2], "event_id": "e-3", "event_type": "buy"},
        ],
        "unwanted": [],
        "profile": {"region": "north", "age": "25-34"},
        "position": "life/2@15",
        "model_version": bundle.version,
    }
    [weights] = routing_weights(Extractor(bundle), [state])
    assert [one["importance"] for one in interests] == pytest.approx(state.capsules.importance.tolist())
    assert [one["vector"] for one in interests] == state.capsules.vectors.tolist()
    for one, row in zip(interests, weights, strict=True):
        by_item = {made_by["item_id"]: made_by["weight"] for made_by in one["behaviours"]}
        assert by_item == pytest.approx({item: weight for item, weight in zip(items, row, strict=True) if weight > 0})
        assert list(by_item.values()) == sorted(by_item.values(), reverse=True)

    status, said = shell("show", "anna")
    assert status == 0
    lines = said.splitlines()
    assert lines[:4] == [
        "user      anna",
        "profile   age=25-34, region=north",
        "position  life/2@15",
        f"model     {bundle.version}",
    ]
    assert lines[5:8] == [
        f"  2024-07-03T09:46:40.000Z  {items[0]}  click  e-1",
        f"  2024-07-03T09:46:40.001Z  {items[1]}  ?",
        "  2024-07-04T09:46:40.000Z  unknown item  buy  e-3",
    ]
    assert lines[8].startswith(f"interests {len(interests)}: ")
    assert lines[9 + len(interests) :] == ["unwanted  0 kept out of what is recommended, the last one last"]
    strongest = interests[0]["behaviours"][0]
    share = 100 * interests[0]["importance"]
    assert lines[9].startswith(f"  {share:3.0f} %  {strongest['item_id']} ({strongest['weight']:.2f})")


def test_refused_items_are_shown(shell: Shell, bundle: Bundle) -> None:
    """Also of a user of whom nothing else is left."""
    kept = Feedback((ItemFeedback("pan", START_MS, "", START_MS + 1, ""), ItemFeedback("mug", START_MS + 2)))
    keep(shell, bundle, "anna", History(), feedback=Feedback((*kept.items, ItemFeedback("cup\x1b[2J", START_MS + 3))))
    status, said = shell("show", "anna")
    assert status == 0
    assert said.splitlines()[4:] == [
        "history   0 kept, the last one last: time, item_id, event_type, event_id",
        "interests 0: share of the behaviours, the strongest of them with their weight",
        "unwanted  2 kept out of what is recommended, the last one last",
        "  mug",
        r"  cup\x1b[2J",
    ]
    shown = json.loads(shell("show", "anna", "--json")[1])
    assert (shown["history"], shown["unwanted"]) == ([], ["mug", "cup\x1b[2J"])


def test_only_the_strongest_behaviours_are_shown_to_people(shell: Shell, bundle: Bundle) -> None:
    keep(shell, bundle, "anna", History(tuple(bundle.item_ids[:9]), (START_MS,) * 9, ("",) * 9))
    _, said = shell("show", "anna")
    assert max(line.count(")") for line in said.splitlines()) == 5


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_users_of_whom_nothing_is_kept(shell: Shell, bundle: Bundle, options: list[str]) -> None:
    keep(shell, bundle, "ben", History(), forgotten_ms=START_MS)
    unknown, forgotten = shell("show", "anna", *options), shell("show", "ben", *options)
    assert unknown == (1, "user 'anna' is not known\n")
    assert forgotten == (1, "user 'ben' was forgotten at 2024-07-03T09:46:40.000Z; nothing has come since\n")
    assert shell.stdout == ""


@pytest.mark.parametrize("user_id", ["a\x1b[2Jb", "\u202eanna", "two\nlines", "--json", "ä" * 127, " ", "a:b/c*"])
def test_odd_users(shell: Shell, bundle: Bundle, user_id: str) -> None:
    assert shell("show", "--", user_id)[0] == 1
    odd = History((f"{user_id}-item",), (START_MS,), (user_id,))
    keep(shell, bundle, user_id, odd, profile={user_id: user_id})
    status, said = shell("show", "--", user_id)
    assert status == 0
    assert all(line.isprintable() for line in said.splitlines())
    assert said.splitlines()[5].startswith("  2024-07-03T09:46:40.000Z  ")
    status, said = shell("show", "--json", "--", user_id)
    assert said.rstrip("\n").isprintable()
    assert json.loads(said)["user_id"] == user_id
    assert json.loads(said)["history"][0]["event_id"] == user_id


def test_everything_is_exported(shell: Shell, bundle: Bundle) -> None:
    """What `show` says, and when and by which event each item was refused."""
    history = History((bundle.item_ids[3],), (START_MS,), ("e-1",))
    refused = Feedback((ItemFeedback("pan", START_MS, "e-2", START_MS + 1, "e-3"), ItemFeedback("mug", START_MS)))
    more = {"profile": {"age": "30"}, "profile_time_ms": START_MS + 2, "forgotten_ms": START_MS - 1_000}
    keep(shell, bundle, "anna", history, feedback=refused, **more)
    shown = json.loads(shell("show", "anna", "--json")[1])
    status, said = shell("export", "anna", "--no-letters")
    exported = json.loads(said)
    assert status == 0
    assert datetime.now(UTC) - datetime.fromisoformat(exported.pop("exported")) < timedelta(minutes=5)
    assert exported == shown | {
        "forgotten": "2024-07-03T09:46:39.000Z",
        "feedback": [
            {
                "item_id": "pan",
                "refused": "2024-07-03T09:46:40.000Z",
                "refused_by": "e-2",
                "wanted_again": "2024-07-03T09:46:40.001Z",
                "wanted_by": "e-3",
            },
            {
                "item_id": "mug",
                "refused": "2024-07-03T09:46:40.000Z",
                "refused_by": None,
                "wanted_again": None,
                "wanted_by": None,
            },
        ],
        "profile_time": "2024-07-03T09:46:40.002Z",
    }
    assert exported["unwanted"] == ["mug"]


def test_nothing_is_exported_of_who_is_not_known(shell: Shell, bundle: Bundle) -> None:
    keep(shell, bundle, "ben", History(), forgotten_ms=START_MS)
    status, said = shell("export", "anna", "--no-letters")
    assert (status, json.loads(shell.stdout)["history"], said.splitlines()[1]) == (1, [], "user 'anna' is not known")
    status, said = shell("export", "ben", "--no-letters")
    assert (status, json.loads(shell.stdout)["forgotten"]) == (1, "2024-07-03T09:46:40.000Z")
    assert "Kafka" in shell.fails("export", "anna")  # its letters are a part of it: nothing is left out in silence


def test_dead_letters_are_exported_and_named(kafka: KafkaShell) -> None:
    """By the key, and by the user_id in what is JSON; those of others are not."""
    of_anna = {b"anna": b"no JSON", b"other": b'{"user_id": "anna", "item_id": ""}'}
    of_others = {b"ben": b"anna", b"\xff": b'["anna"]', b"annabel": b'{"user_id": 5}'}
    with KafkaProducer(bootstrap_servers=kafka.kafka.bootstrap_servers) as producer:
        for key, value in (of_anna | of_others).items():
            producer.send(f"{kafka.topic}.dlq", key=key, value=value, headers=[("reason", b"field")]).get(80)
    places = {
        one.key: f"{one.topic}[{one.partition}]@{one.offset}" for one in kafka.kafka.records(f"{kafka.topic}.dlq")
    }
    status, _ = kafka("export", "anna")
    assert status == 0
    letters = json.loads(kafka.stdout)["dead_letters"]
    assert {one["letter"]: one["value"].encode() for one in letters} == {places[k]: v for k, v in of_anna.items()}
    status, said = kafka("forget", "anna", "ben")
    asked, heading, *lines = said.splitlines()
    assert (status, asked) == (0, f"asked on {kafka.topic} to forget 2 users")
    assert heading == f"their dead letters stay on {kafka.topic}.dlq as long as Kafka keeps them:"
    expected = {places[b"anna"]: "anna", places[b"other"]: "anna, other", places[b"ben"]: "ben"}
    assert sorted(lines) == sorted(f"  {place}  field  {whose}" for place, whose in expected.items())
    assert kafka("forget", "cleo") == (0, f"asked on {kafka.topic} to forget 1 user\n")
    assert kafka("forget", "anna", "--no-letters")[1].count("\n") == 1


def test_what_is_no_user_id(shell: Shell) -> None:
    assert shell.fails("show", "ann\udcff").endswith(r"'ann\udcff' is no user_id: it is not UTF-8" + "\n")
    for user_id in ("ann\udcff", "", "a" * 128):
        shell.fails("forget", "anna", user_id)  # before anything is sent: there is no Kafka here
    said = "error: USER is '' (0 characters), which no event can have; right is 1 to 127 characters\n"
    assert shell.fails("forget", "") == said
    assert shell("show", "a" * 600)[0] == 1


def test_forgotten_and_back_again(world: World, bundle: Bundle) -> None:
    """What comes after it counts, what came before it does not."""
    odd = "\x1b[2J ä"
    Registry(world.settings.models).publish(bundle.path)
    world.publish([*world.clicks("anna", 1, 2, 3), *world.clicks(odd, 4), *world.clicks("ben", 5)])
    step_until_committed(world, 5)
    assert shown(world, "anna") == (0, [world.items[item] for item in (1, 2, 3)])
    environment = {"KAFKA_BOOTSTRAP_SERVERS": world.kafka.bootstrap_servers, "MINDSTREAM_TOPIC": world.topic}
    with StreamProcess(world.home, "forget", "anna", odd, variables=environment) as command:
        assert command.ends() == 0, command.said
    assert command.said == f"asked on {world.topic} to forget 2 users\n"
    step_until_committed(world, 5 + 2 * PARTITIONS)  # a copy on each partition
    for user in ("anna", odd):
        status, said = said_of(world, user)
        assert status == 1
        assert f"user {user!r} was forgotten at " in said
    assert shown(world, "ben") == (0, [world.items[5]])
    world.publish([Event("anna", world.items[6], START_MS - 1000, profile={"region": "south"})])
    step_until_committed(world, 6 + 2 * PARTITIONS)
    assert shown(world, "anna") == (0, [world.items[6]])
    assert world.state("anna").profile == {"region": "south"}


def step_until_committed(world: World, records: int) -> None:
    updater = world.updater()
    work(updater, lambda: world.committed() >= records, f"{records} records are read")
    updater.close()


def said_of(world: World, user_id: str) -> tuple[int, str]:
    """Exit status and words of `show --json`."""
    assert world.settings.state == Settings(home=world.home).state
    with StreamProcess(world.home, "show", "--json", "--", user_id) as command:
        return command.ends(), command.said


def shown(world: World, user_id: str) -> tuple[int, list[str]]:
    """Exit status and item_ids that `show` says."""
    status, said = said_of(world, user_id)
    return status, [one["item_id"] for one in json.loads(said)["history"]]
