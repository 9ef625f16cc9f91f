"""What all rows share: a real Kafka, a published model, a folder, and a line that says what is going on."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.scenario.home import Home
from model_export.bundle.format import Bundle
from testbed.real_kafka import RealKafka

__all__ = ["PARTITIONS", "World"]

PARTITIONS = 4


def _nothing(text: str) -> None:
    """Says nothing."""


@dataclass(frozen=True)
class World:
    """What all rows share.

    Attributes
    ----------
    say : told what is going on.
    """

    kafka: RealKafka
    bundle: Bundle
    folder: Path
    say: Callable[[str], None] = _nothing

    @contextmanager
    def home(self, redis: str = "") -> Iterator[Home]:
        """A home with topics of its own, which are deleted at the end of the block."""
        topic = f"faults-{uuid.uuid4().hex[:12]}"
        all_of_them = [topic, f"{topic}.dlq", f"{topic}.updates"]
        with self.kafka.admin() as admin:
            shape = {"num_partitions": PARTITIONS, "replication_factor": 1}
            admin.create_topics(dict.fromkeys(all_of_them, shape), wait_for_metadata=True)
        with Home(self.kafka, topic, self.folder / topic, self.bundle, redis) as home:
            yield home
        with self.kafka.admin() as admin:
            admin.delete_topics(all_of_them)
