"""`mindstream stream` in the test's own process, which is quicker than a process of its own."""

import io
import sys
from pathlib import Path
from typing import Self

import pytest

from mindstream import console, settings
from mindstream.settings import Settings
from stream.commands.app import app
from stream.events.event import Event, decode
from testbed.real_kafka import RealKafka


class Shell:
    """Runs the command line in this process, which is quicker; `settings` are what it finds in its environment.

    Where signals and other processes matter, a test starts a Command instead.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], home: Path) -> None:
        self.monkeypatch, self.capfd = monkeypatch, capfd
        self.settings = Settings(bootstrap_servers="", home=home)

    def set(self, **changed: object) -> None:
        self.settings = self.settings.model_copy(update=changed)

    def __call__(self, *arguments: str, stdin: bytes = b"") -> tuple[int, str]:
        """Exit status and what was said, on stdout and then on stderr."""
        with self.monkeypatch.context() as patch:
            patch.setattr(settings, "load", lambda: self.settings)
            patch.setattr(sys, "argv", ["stream", *arguments])
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
            with pytest.raises(SystemExit) as ended:
                console.run(app)
        self.stdout, stderr = self.capfd.readouterr()
        return int(ended.value.code or 0), self.stdout + stderr

    def fails(self, *arguments: str) -> str:
        """The one sentence with which it fails."""
        status, said = self(*arguments)
        assert (status, said.count("\n")) == (2, 1), said
        return said


class KafkaShell(Shell):
    """A shell with a topic on the real Kafka."""

    def on(self, kafka: RealKafka, topic: str) -> Self:
        self.kafka, self.topic = kafka, topic
        self.set(bootstrap_servers=kafka.bootstrap_servers, topic=topic)
        return self

    def events(self) -> list[Event]:
        """Everything on the topic, one partition after the other."""
        records = self.kafka.records(self.topic)
        decoded = [decode(record.value, record.key, record.timestamp) for record in records]
        return [event for event in decoded if isinstance(event, Event)]
