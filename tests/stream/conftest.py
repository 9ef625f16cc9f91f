"""What several rooms of stream's tests ask for: a world with a topic, and the command line in this process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from model_export.bundle.bundle import Bundle
from testbed.real_kafka import RealKafka
from tests.support.stream_shell import KafkaShell, Shell
from tests.support.updater_world import World


@pytest.fixture
def world(real_kafka: RealKafka, topic: str, bundle: Bundle, tmp_path: Path) -> Iterator[World]:
    world = World(real_kafka, topic, bundle, tmp_path)
    with world.closing:
        yield world


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The home of `shell` and `kafka`, which they make where they need it."""
    return tmp_path / "home"


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], home: Path) -> Shell:
    return Shell(monkeypatch, capfd, home)


@pytest.fixture
def kafka(
    real_kafka: RealKafka, topic: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], home: Path
) -> KafkaShell:
    return KafkaShell(monkeypatch, capfd, home).on(real_kafka, topic)
