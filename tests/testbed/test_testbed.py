"""The ground other tests stand on: the real Kafka, and what is said where a part of the system is missing."""

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer

from mindstream import settings
from testbed import kafka_jars, system_packages
from testbed.java_broker import JavaBroker
from testbed.kafka_jars import KafkaUnavailable
from testbed.real_kafka import RealKafka
from tests.support.missing_parts import missing_parts_told

ROOT = Path(__file__).parents[2]

HOLD_A_BROKER = """
import time
from testbed.java_broker import JavaBroker
from testbed.kafka_jars import fetch_jars
broker = JavaBroker(fetch_jars())
broker.start()
print(broker.bootstrap_servers, broker.folder, flush=True)
time.sleep(600)
"""

NEEDS_A_PART = """
import pytest
from testbed import system_packages

@pytest.fixture
def part():
    system_packages.provide("no-such-command")

def test_with_a_fixture(part):
    raise AssertionError("it is missing")

def test_by_itself():
    system_packages.provide("no-such-command")
"""

PRETEND_MAVEN = """\
#!/bin/sh
for last; do :; done
folder=${last#-DoutputDirectory=}
mkdir "$folder" && touch "$folder/some.jar"
echo half of it
"""


def produce(kafka: RealKafka, topic: str, value: bytes) -> None:
    with KafkaProducer(bootstrap_servers=kafka.bootstrap_servers) as producer:
        producer.send(topic, value, key=b"user").get(timeout=80)


def consume(kafka: RealKafka, topic: str, count: int) -> list[bytes]:
    with KafkaConsumer(
        topic,
        bootstrap_servers=kafka.bootstrap_servers,
        auto_offset_reset="earliest",
        consumer_timeout_ms=80_000,
    ) as consumer:
        return [record.value for _, record in zip(range(count), consumer, strict=False)]


def listens(address: str) -> bool:
    host, port = address.split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def set_settings(monkeypatch: pytest.MonkeyPatch, **values: Any) -> None:
    monkeypatch.setattr(settings, "load", lambda: settings.Settings(**values))


@pytest.fixture
def own_kafka(real_kafka: RealKafka) -> RealKafka:
    """The real Kafka, where it is a process of ours."""
    if not real_kafka.can_restart:
        pytest.skip("only a broker that was started here can be killed")
    return real_kafka


@pytest.fixture
def broker(own_kafka: RealKafka) -> JavaBroker:
    """A broker of its own, not started, with an empty folder."""
    return JavaBroker(kafka_jars.fetch_jars(), low_cpu=True)


def test_a_message_goes_through(real_kafka: RealKafka, topic: str) -> None:
    produce(real_kafka, topic, b"click")
    assert consume(real_kafka, topic, 1) == [b"click"]


def test_a_topic_comes_with_its_dead_letter_topic(real_kafka: RealKafka, topic: str) -> None:
    with real_kafka.admin() as admin:
        described = admin.describe_topics([topic, f"{topic}.dlq"])
    assert [len(one["partitions"]) for one in described] == [4, 4]


def test_data_and_address_survive_a_crash(own_kafka: RealKafka, topic: str) -> None:
    address = own_kafka.bootstrap_servers
    produce(own_kafka, topic, b"before")
    own_kafka.kill()
    assert not listens(address)
    own_kafka.restart()
    produce(own_kafka, topic, b"after")
    assert own_kafka.bootstrap_servers == address
    # One key, one partition: the order holds.
    assert consume(own_kafka, topic, 2) == [b"before", b"after"]


def test_a_broker_ends_with_its_owner(own_kafka: RealKafka) -> None:
    command = [sys.executable, "-c", HOLD_A_BROKER]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        address, folder = owner.stdout.readline().split()
        assert listens(address)
        owner.kill()  # SIGKILL: no handler of the owner can run
    deadline = time.monotonic() + 80
    while listens(address) or Path(folder).exists():
        assert time.monotonic() < deadline, f"{address} or {folder} is still there"
        time.sleep(0.1)


def test_a_broker_that_cannot_start_shows_its_log(broker: JavaBroker) -> None:
    (broker.folder / "data").mkdir()  # looks formatted, and is not
    with pytest.raises(RuntimeError, match=r"(?s)ended before it answered.*meta\.properties"):
        broker.start()
    broker.remove()
    assert not broker.folder.exists()


def test_a_given_kafka_is_used_and_left_as_it_is(
    real_kafka: RealKafka, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_settings(monkeypatch, bootstrap_servers=real_kafka.bootstrap_servers)
    with RealKafka() as given:
        assert given.bootstrap_servers == real_kafka.bootstrap_servers
        with pytest.raises(RuntimeError, match="cannot be killed"):
            given.kill()
    produce(real_kafka, topic, b"still here")


def test_without_java_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    set_settings(monkeypatch, cache_home=str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(KafkaUnavailable, match="java and mvn"):
        kafka_jars.fetch_jars()


@pytest.mark.parametrize("exit_status", [0, 1])
def test_jars_are_there_whole_or_not_at_all(exit_status: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    set_settings(monkeypatch, cache_home=str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for command in ("java", "mvn"):
        (tmp_path / command).write_text(f"{PRETEND_MAVEN}exit {exit_status}\n")
        (tmp_path / command).chmod(0o755)
    if exit_status:
        with pytest.raises(KafkaUnavailable, match="half of it"):
            kafka_jars.fetch_jars()
        assert list((tmp_path / "mindstream").iterdir()) == []
    else:
        assert list(kafka_jars.fetch_jars().iterdir()) == [kafka_jars.jars_folder() / "some.jar"]


def test_what_is_there_is_provided() -> None:
    assert system_packages.provide("sh") == [shutil.which("sh")]


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(system_packages.PartMissing, match="redis-server is not installed"):
        system_packages.provide("redis-server")


@pytest.mark.parametrize(("ci", "outcome"), [(False, pytest.skip.Exception), (True, pytest.fail.Exception)])
def test_a_missing_part_skips_a_test_and_fails_it_under_ci(
    ci: bool, outcome: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_settings(monkeypatch, ci=ci)
    with pytest.raises(outcome, match="a browser is not installed"), missing_parts_told():
        raise system_packages.PartMissing("a browser is not installed")


@pytest.mark.parametrize(("ci", "outcome"), [("", "2 skipped"), ("true", "1 failed, 1 error")])
def test_a_run_of_pytest_tells_of_missing_parts(ci: str, outcome: str, tmp_path: Path) -> None:
    """Those that fixtures need as those that tests ask for themselves."""
    (tmp_path / "conftest.py").write_text("from tests.support.missing_parts import *\n")
    (tmp_path / "test_it.py").write_text(NEEDS_A_PART)
    options = ["-qra", "-pno:cacheprovider", f"--rootdir={tmp_path}"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "CI": ci, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"\n{outcome} in " in done.stdout
    assert ": no-such-command is not installed\n" in done.stdout


def test_a_command_line_prints_what_is_missing_as_one_sentence() -> None:
    imports = "from mindstream.console import run; from testbed.system_packages import provide"
    code = f"{imports}; run(lambda **_: provide('no-such'))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "error: no-such is not installed\n")


@pytest.mark.parametrize(("value", "ci"), [("true", True), ("its name", True), ("false", False), ("", False)])
def test_any_value_of_ci_counts(value: str, ci: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", value)
    assert settings.Settings().ci is ci
