"""`mindstream stream` as people use it: what it says, what it leaves, and with which status it ends."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import zlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from kafka.partitioner import murmur2

from mindstream.settings import Settings
from model_export.bundle.bundle import Bundle, write_manifest
from model_export.bundle.registry import Registry
from model_export.data.interactions import InteractionLog
from model_export.data.simulator import SimulatedShop
from model_export.readers import write_table
from stream.commands.run import remove_idle
from stream.events.event import Event
from stream.kafka.embedded_broker import EmbeddedBroker
from stream.store.lmdb_store import LmdbStore
from stream.store.redis_store import RedisStore
from testbed.java_broker import free_ports
from testbed.real_redis import RealRedis
from testbed.stream_process import ROOT, StreamProcess, wait_until
from tests.support.stream_shell import KafkaShell, Shell

ANNA = b'{"user_id":"anna","item_id":"mug","event_time_ms":1720000000000}\n'
BEN = b'{"user_id":"ben","item_id":"bowl","event_time_ms":1720000000001,"event_type":"buy"}\n'


def run(home: Path, *arguments: str) -> tuple[int, str]:
    """Exit status and what was said by a process of its own."""
    with StreamProcess(home, *arguments) as command:
        return command.ends(), command.said


@pytest.fixture(scope="module")
def log(shop: SimulatedShop) -> InteractionLog:
    """The first 200 or so events of the shop."""
    return shop.log.between(0, 200 / len(shop.log.events))


def test_one_click(kafka: KafkaShell) -> None:
    before = time.time() * 1000
    assert kafka("produce", "--user", "anna", "--item", "mug") == (0, f"published 1 event to {kafka.topic}\n")
    [event] = kafka.events()
    assert (event.user_id, event.item_id, event.event_type) == ("anna", "mug", "click")
    assert before <= event.event_time_ms <= time.time() * 1000


def test_a_topic_that_is_not_there_is_not_made(kafka: KafkaShell) -> None:
    kafka.set(topic=f"{kafka.topic}-misspelt")
    for command in (("produce", "--user", "anna", "--item", "mug"), ("forget", "anna"), ("dlq", "redrive")):
        assert f"there is no topic {kafka.topic}-misspelt on " in kafka.fails(*command)
    with kafka.kafka.admin() as admin:
        assert f"{kafka.topic}-misspelt" not in admin.list_topics()


def test_events_go_where_other_producers_send_them(kafka: KafkaShell) -> None:
    """By murmur2 as by Java, and where it is said by CRC32, as by librdkafka."""
    users = ["anna", "ben", "cleo", "dora", "emil"]
    lines = b"".join(ANNA.replace(b"anna", user.encode()) for user in users)
    for partitioner in ("murmur2", "crc32"):
        kafka.set(partitioner=partitioner)
        assert kafka("produce", stdin=lines)[0] == 0
    places: dict[str, list[int]] = {}
    for record in sorted(kafka.kafka.records(kafka.topic), key=lambda one: one.timestamp):
        places.setdefault(record.key.decode(), []).append(record.partition)
    assert [places[user][1] for user in users] == [zlib.crc32(user.encode()) % 4 for user in users]
    assert [places[user][0] for user in users] == [murmur2(user.encode()) % 2**31 % 4 for user in users]


def test_one_purchase(kafka: KafkaShell) -> None:
    assert kafka("produce", "--user", "anna", "--item", "mug", "--type", "buy")[0] == 0
    assert [event.event_type for event in kafka.events()] == ["buy"]


def test_lines_from_stdin(kafka: KafkaShell) -> None:
    assert kafka("produce", stdin=ANNA + b"\n" + BEN) == (0, f"published 2 events to {kafka.topic}\n")
    found = {event.user_id: event for event in kafka.events()}
    assert found == {
        "anna": Event("anna", "mug", 1_720_000_000_000),
        "ben": Event("ben", "bowl", 1_720_000_000_001, "buy"),
    }


@pytest.mark.parametrize("line", [b"anna bought a mug\n", b'{"user_id":"\xff"}\n', b'{"user_id":"anna"}\n'])
def test_a_bad_line_is_named(kafka: KafkaShell, line: bytes) -> None:
    """What came before it is published, what comes after it is not."""
    status, said = kafka("produce", stdin=ANNA + line + BEN)
    assert status == 2
    assert said.startswith(f"published 1 event to {kafka.topic}\nerror: stdin, line 2: ")
    assert repr(line.rstrip())[2:-1] in said
    assert [event.user_id for event in kafka.events()] == ["anna"]


def test_a_user_without_an_item(shell: Shell) -> None:
    assert shell.fails("produce", "--user", "anna").startswith("error: --user and --item go together")


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (["--user", "ann\udcff", "--item", "mug"], "user_id"),
        (["--user", "anna", "--item", "ann\udcff"], "item_id"),
        (["--user", "anna", "--item", "mug", "--type", "ann\udcff"], "event_type"),
    ],
)
def test_an_event_that_is_not_utf8(shell: Shell, options: list[str], field: str) -> None:
    said = shell.fails("produce", *options)
    assert said == rf"error: 'ann\udcff' is no {field}: it is not UTF-8" + "\n"


def test_a_bad_event_of_ones_own(kafka: KafkaShell) -> None:
    """Not only lines from stdin follow the rules."""
    status, said = kafka("produce", "--user", "a" * 128, "--item", "mug")
    assert status == 2
    assert re.search(r"(?m)^error: .*`str` of length <= 127 - at `\$.user_id`", said)
    assert f"published 0 events to {kafka.topic}\n" in said
    assert kafka.events() == []


def test_a_log_is_replayed(kafka: KafkaShell, log: InteractionLog, tmp_path: Path) -> None:
    write_table(log, tmp_path / "log.parquet")
    status, said = kafka("replay", str(tmp_path / "log.parquet"), "--limit", "50")
    assert status == 0
    assert "log.parquet: 50 interactions of" in said
    assert re.search(r"replaying: 100%.* 50/50", said)
    assert said.endswith(f"published 50 events to {kafka.topic}\n")
    assert kafka.stdout == ""
    expected = log.events.head(50)
    found = kafka.events()
    assert sorted((event.event_time_ms, event.item_id) for event in found) == sorted(
        zip(expected.event_time_ms, expected.item_id, strict=True)
    )
    for user_id, events in expected.groupby("user_id"):
        assert [event.item_id for event in found if event.user_id == user_id] == events.item_id.tolist()


def test_a_replay_that_is_stopped_says_how_far_it_came(
    shell: Shell, home: Path, log: InteractionLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = iter(range(3))

    def sleep(_: float) -> None:
        if next(waits, None) is None:
            raise KeyboardInterrupt

    monkeypatch.setattr("stream.events.replay.time", SimpleNamespace(monotonic=time.monotonic, sleep=sleep))
    write_table(log, tmp_path / "log.parquet")
    with EmbeddedBroker(Settings(home=home).state):
        status, said = shell("replay", str(tmp_path / "log.parquet"), "--speed", "1")
    assert status == 130
    assert "\npublished 3 events to behaviour-events\n" in said


def test_at_its_own_pace(kafka: KafkaShell, log: InteractionLog, tmp_path: Path) -> None:
    """So many times faster that it takes two seconds."""
    write_table(log, tmp_path / "log.parquet")
    times = log.events.event_time_ms
    speed = (times.iloc[-1] - times.iloc[0]) / 1000 / 2
    start = time.monotonic()
    assert kafka("replay", str(tmp_path / "log.parquet"), "--speed", str(speed))[0] == 0
    assert time.monotonic() - start > 2


@pytest.mark.parametrize("speed", ["fast", "0", "-1", "nan", ""])
def test_a_bad_speed(shell: Shell, tmp_path: Path, speed: str) -> None:
    (tmp_path / "log.parquet").touch()
    said = shell.fails("replay", str(tmp_path / "log.parquet"), "--speed", speed)
    assert said == f'error: --speed is {speed!r}; right is "max" or a number above 0\n'


def test_a_log_that_is_not_there(shell: Shell, home: Path) -> None:
    with EmbeddedBroker(Settings(home=home).state):
        assert re.match("error: .*/nowhere/log.parquet", shell.fails("replay", "/nowhere/log.parquet"))


def test_through_the_embedded_broker(home: Path, bundle: Bundle, log: InteractionLog, tmp_path: Path) -> None:
    """Nothing is configured: `run` brings a broker of its own, and the others find it."""
    Registry(Settings(home=home).models).publish(bundle.path)
    write_table(log, tmp_path / "log.parquet")
    with StreamProcess(home, "run") as updater:
        updater.says("the embedded broker serves at").says("reading behaviour-events")
        assert run(home, "replay", str(tmp_path / "log.parquet"))[0] == 0
        assert run(home, "produce", "--user", "anna", "--item", "mug")[0] == 0
        with LmdbStore(Settings(home=home).state) as store:
            users = {*log.events.user_id, "anna"}
            wait_until(lambda: set(store.users()) == users, "all users are stored")
        assert updater.end(signal.SIGTERM) == 0
        assert f"'applied': {len(log.events) + 1}," in updater.says("stopped cleanly").said


def test_a_model_of_another_rule_is_said_once(home: Path, bundle: Bundle, tmp_path: Path) -> None:
    path = shutil.copytree(bundle.path, tmp_path / "ruled")
    data = bundle.manifest.data | {"behaviours": "buy=2,*=0"}
    write_manifest(path, replace(bundle.manifest, data=data))
    Registry(Settings(home=home).models).publish(path)
    with StreamProcess(home, "run", variables={"MINDSTREAM_BEHAVIOURS": "dislike=-1"}) as updater:
        updater.says("reading behaviour-events")
        assert updater.end(signal.SIGTERM) == 0
    said = "the rule buy=2,*=0 for what counts as a behaviour, and here MINDSTREAM_BEHAVIOURS is dislike=-1;"
    assert updater.said.count(said) == updater.said.count("was trained under the rule") == 1
    with StreamProcess(home, "run", variables={"MINDSTREAM_BEHAVIOURS": "*=0,buy=2"}) as updater:
        updater.says("reading behaviour-events")
        assert updater.end(signal.SIGTERM) == 0
    assert "was trained under" not in updater.said


def test_a_variable_of_before_ends_it_in_one_sentence(home: Path) -> None:
    with StreamProcess(home, "run", variables={"MINDSTREAM_IGNORED_TYPES": "impression,scroll"}) as command:
        assert command.ends() == 2
    assert command.said == (
        "error: MINDSTREAM_IGNORED_TYPES='impression,scroll' is no setting any more: MINDSTREAM_BEHAVIOURS has "
        "replaced it; unset it, and for the same meaning set MINDSTREAM_BEHAVIOURS='impression=0,scroll=0'\n"
    )


def test_into_redis(home: Path, bundle: Bundle, real_redis: RealRedis) -> None:
    Registry(Settings(home=home).models).publish(bundle.path)
    redis = {"MINDSTREAM_REDIS": real_redis.url}
    with StreamProcess(home, "run", variables=redis) as updater, RedisStore(real_redis.url) as store:
        updater.says("reading behaviour-events")
        assert run(home, "produce", "--user", "anna", "--item", bundle.item_ids[0])[0] == 0
        wait_until(lambda: list(store.users()) == ["anna"], "anna is stored")
        assert updater.end(signal.SIGTERM) == 0
    assert not list(home.rglob("*.mdb"))
    asking = {**os.environ, **redis, "MINDSTREAM_HOME": str(home)}
    query = [sys.executable, "-m", "index", "query", "anna"]
    asked = subprocess.run(query, cwd=ROOT, env=asking, capture_output=True, text=True, check=False)
    assert (asked.returncode, asked.stderr) == (0, "")
    assert "path: capsules" in asked.stdout


def test_without_the_redis_that_is_configured(home: Path, bundle: Bundle) -> None:
    Registry(Settings(home=home).models).publish(bundle.path)
    address = f"127.0.0.1:{free_ports(1)[0]}"
    with StreamProcess(
        home, "run", "--no-wait", variables={"MINDSTREAM_REDIS": f"redis://:s3cret@{address}"}
    ) as command:
        assert command.ends() == 2
    assert f"error: the capsule store at Redis {address} cannot be opened: " in command.said
    assert "s3cret" not in command.said


def test_a_second_run_beside_the_first_uses_its_broker(home: Path, bundle: Bundle) -> None:
    Registry(Settings(home=home).models).publish(bundle.path)
    with EmbeddedBroker(Settings(home=home).state) as broker, StreamProcess(home, "run") as updater:
        updater.says(f"reading behaviour-events at {broker.cluster.bootstrap_servers}")
        assert updater.end(signal.SIGINT) == 0


def test_a_broker_on_its_own(home: Path) -> None:
    with StreamProcess(home, "broker") as broker:
        broker.says("embedded broker at ").says("Ctrl-C stops it")
        status, said = run(home, "broker")
        assert (status, said.count("\n")) == (2, 1)
        assert said.startswith("error: an embedded broker of ")
        assert said.endswith(" is running already\n")
        assert run(home, "produce", "--user", "anna", "--item", "mug")[0] == 0
        assert broker.end(signal.SIGINT) == 0


def test_without_a_model(shell: Shell, home: Path) -> None:
    assert shell.fails("run").startswith(f"error: no model was published in {home}/models; ")


@pytest.mark.parametrize("command", [("produce", "--user", "anna", "--item", "mug"), ("replay", __file__)])
def test_without_any_broker(shell: Shell, command: tuple[str, ...]) -> None:
    said = shell.fails(*command)
    assert said.startswith("error: no Kafka is configured (KAFKA_BOOTSTRAP_SERVERS) and no embedded broker runs for ")
    assert "`mindstream stream run`" in said
    assert "`mindstream stream broker`" in said


def test_where_no_kafka_answers(home: Path, bundle: Bundle) -> None:
    Registry(Settings(home=home).models).publish(bundle.path)
    address = f"localhost:{free_ports(1)[0]}"
    with StreamProcess(home, "run", "--no-wait", variables={"KAFKA_BOOTSTRAP_SERVERS": address}) as command:
        assert command.ends() == 2
    assert command.said.startswith(f"error: no Kafka broker answers at {address} (")
    assert command.said.endswith("is KAFKA_BOOTSTRAP_SERVERS right and the broker up?\n")


@pytest.mark.parametrize("address", ["no-such-host.invalid:9092", "localhost:port", "localhost:1,localhost:2"])
def test_an_address_where_nobody_is(shell: Shell, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.kafka.cluster.CONNECTED_WITHIN_S", 0.5)
    shell.set(bootstrap_servers=address)
    said = shell.fails("produce", "--user", "anna", "--item", "mug")
    assert said.startswith(f"error: no Kafka broker answers at {address} (")


def test_one_address_of_several_is_enough(kafka: KafkaShell) -> None:
    kafka.set(bootstrap_servers=f"localhost:1,{kafka.settings.bootstrap_servers}")
    assert kafka("produce", "--user", "anna", "--item", "mug")[0] == 0


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("run", ["--wait", "--no-wait", "--start-at"]),
        ("produce", ["--user", "--item", "--type"]),
        ("replay", ["--format", "--speed", "--limit"]),
        ("broker", []),
        ("show", ["--json"]),
        ("export", ["--no-letters"]),
        ("forget", ["--no-letters"]),
        ("sweep", []),
        ("dlq list", ["--json", "--limit", "--reason"]),
        ("dlq redrive", ["FILE"]),
    ],
)
def test_help(shell: Shell, command: str, options: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    status, said = shell(*command.split(), "--help")
    assert status == 0
    assert re.search(rf"Usage: .* {command} \[OPTIONS\]", said)
    assert [option for option in options if option not in said] == []


def test_help_names_every_command(shell: Shell) -> None:
    status, said = shell("--help")
    assert status == 0
    names = ("run", "produce", "replay", "broker", "show", "export", "forget", "sweep", "dlq")
    assert [name for name in names if not re.search(rf"(?m)^\W*{name} ", said)] == []


def test_removing_who_is_idle_goes_on_whatever_went_wrong_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """In an updater nobody would notice that its thread has ended."""
    stop = threading.Event()
    failures = [ValueError("a stored user is of format 1"), OSError("no answer")]

    class Failing(LmdbStore):
        def remove_expired(self) -> int:
            if failures:
                raise failures.pop(0)
            stop.set()
            return super().remove_expired()

    monkeypatch.setattr("stream.commands.run.REMOVE_S", 0.0)
    with Failing(tmp_path) as store:
        remove_idle(store, stop)
    assert [message.split(": ")[1] for message in caplog.messages] == ["a stored user is of format 1", "no answer"]
