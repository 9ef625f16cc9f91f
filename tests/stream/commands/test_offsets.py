"""`stream offsets`: where the updaters stand, and moving them while none is at work."""

import json
from datetime import UTC, datetime

import pytest
from kafka import KafkaProducer
from pydantic import SecretStr

from stream.commands import endings
from stream.store.redis_store import RedisStore
from testbed.real_redis import RealRedis
from tests.support.stream_shell import KafkaShell
from tests.support.updater_world import World, work


@pytest.fixture
def read(world: World, kafka: KafkaShell) -> KafkaShell:
    """A shell on a topic with ten records in partition 2, of which four are committed."""
    kafka.set(group=world.settings.group)
    world.send([(b"anna", b"no event")] * 4)
    updater = world.updater()
    work(updater, lambda: updater.counts["dead_letter"] == 4)
    updater.close()
    world.send([(b"anna", b"no event")] * 6)
    return kafka


def standing(shell: KafkaShell) -> list[dict[str, int | None]]:
    status, said = shell("offsets", "show", "--json")
    assert status == 0
    return [json.loads(line) for line in said.splitlines()]


def test_what_is_shown(read: KafkaShell) -> None:
    empty = {"committed": None, "first": 0, "last": None, "lag": 0}
    assert standing(read) == [
        {"partition": 0, **empty},
        {"partition": 1, **empty},
        {"partition": 2, "committed": 4, "first": 0, "last": 9, "lag": 6},
        {"partition": 3, **empty},
    ]
    assert "        2            4            0            9            6\n" in read("offsets", "show")[1]


def test_what_waits_behind_an_open_transaction_is_lag(read: KafkaShell, world: World) -> None:
    options = {"bootstrap_servers": world.kafka.bootstrap_servers, "transactional_id": world.topic}
    with KafkaProducer(**options) as producer:
        producer.init_transactions()
        producer.begin_transaction()
        for _ in range(3):
            producer.send(world.topic, key=b"anna", value=b"no event", partition=2).get(80)
        assert standing(read)[2] == {"partition": 2, "committed": 4, "first": 0, "last": 12, "lag": 9}
        producer.abort_transaction()


def test_skipped_records_are_never_applied(read: KafkaShell, world: World) -> None:
    status, said = read("offsets", "skip", "2", "2", "--yes")
    assert (status, said) == (
        0,
        f"{world.topic}[2]: 2 offsets (4 to 5) are passed over and never applied\n"
        f"group {world.settings.group} goes on there\n",
    )
    updater = world.updater()
    work(updater, lambda: world.committed() == 10)
    assert updater.counts["dead_letter"] == 4
    updater.close()
    assert "COUNT is 1, and 0 offsets of partition 2 are left" in read.fails("offsets", "skip", "2")


def test_an_offset_is_set(read: KafkaShell) -> None:
    for to, at, said in (
        ("earliest", 0, "4 offsets (0 to 3) are read again"),
        ("latest", 10, "6 offsets (4 to 9) are passed over"),
        ("5", 5, "offset 4 is passed over"),
        ("4", 4, "goes on at 4, as before"),
        (datetime(2020, 1, 1, tzinfo=UTC).isoformat(), 0, "4 offsets (0 to 3) are read again"),
        ("2100-01-01T00:00+01:00", 10, "6 offsets (4 to 9) are passed over"),
    ):
        assert said in read("offsets", "set", "2", to, "--yes")[1]
        assert standing(read)[2]["committed"] == at
        read("offsets", "set", "2", "4", "--yes")


def test_all_partitions_at_once(read: KafkaShell) -> None:
    read("offsets", "set", "all", "latest", "--yes")
    assert [one["committed"] for one in standing(read)] == [0, 0, 10, 0]


def test_nobody_is_at_work(read: KafkaShell, world: World) -> None:
    updater = world.updater()
    work(updater, updater.reader.ready.is_set)
    said = read.fails("offsets", "set", "2", "earliest", "--yes")
    assert f"error: group {world.settings.group} is at work (" in said
    assert " at 127.0.0.1" in said
    assert "stop its updaters first" in said


@pytest.mark.redis
def test_a_store_is_not_taken_from_updaters_at_work(
    kafka: KafkaShell, world: World, real_redis: RealRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RedisStore(real_redis.url) as store:
        updater = world.updater(store)
        work(updater, updater.reader.ready.is_set)
        kafka.set(redis=SecretStr(real_redis.url), group="others")
        status, said = kafka("owner", "--take", "--yes")
        assert (status, f"error: updaters of group '{world.settings.group}' are at work (" in said) == (2, True)
        kafka.set(group=world.settings.group)  # its own updaters wait for that
        assert "there is nothing to take" in kafka("owner", "--take", "--yes")[1]
        updater.close()
        kafka.set(group="others")
        monkeypatch.setattr(endings, "_is_meant", lambda: False)
        status, said = kafka("owner", "--take")
        assert (status, "nothing was changed" in said) == (1, True)
        assert f"belongs to topic '{world.settings.topic}' and group '{world.settings.group}'" in kafka("owner")[1]
        assert "belongs to topic" in kafka("owner", "--take", "--yes")[1]
        assert "and group 'others'" in kafka("owner")[1]


def test_people_are_asked(read: KafkaShell, monkeypatch: pytest.MonkeyPatch) -> None:
    status, said = read("offsets", "skip", "2")
    assert (status, said.splitlines()[-1]) == (2, "error: nobody can be asked here; --yes says that it is meant")
    for answer, status, committed in ((False, 1, 4), (True, 0, 5)):
        monkeypatch.setattr(endings, "_is_meant", lambda answer=answer: answer)
        assert read("offsets", "skip", "2")[0] == status
        assert standing(read)[2]["committed"] == committed


def test_what_is_wrong_is_named(read: KafkaShell) -> None:
    for arguments, said in (
        (("set", "4", "latest"), f"PARTITION is '4'; {read.topic} has 0 to 3"),
        (("set", "two", "latest"), "PARTITION is 'two'"),
        (("set", "2", "11"), "OFFSET is 11; partition 2 has 0 to 10"),
        (("set", "2", "soon"), "'soon' is no offset; right is a number, earliest, latest, or a time in ISO 8601"),
        (("set", "2", "2026-11-29T14:30"), "says no time zone; right is 2026-11-29T14:30:00+00:00, say"),
        (("skip", "2", "7"), "COUNT is 7, and 6 offsets of partition 2 are left"),
    ):
        assert said in read.fails("offsets", *arguments, "--yes")
    assert standing(read)[2]["committed"] == 4


def test_a_topic_that_is_not_there(kafka: KafkaShell) -> None:
    kafka.set(topic=f"{kafka.topic}-nowhere")
    assert f"there is no topic {kafka.topic}-nowhere" in kafka.fails("offsets", "show")
