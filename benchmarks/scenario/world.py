"""The world that all rows share: a real Kafka, a published model, a folder, and a way to say what is going on."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.scenario.home import Home
from model_export.bundle.bundle import Bundle
from testbed.real_kafka import RealKafka

__all__ = ["PARTITIONS", "World"]

PARTITIONS = 4


def _nothing(text: str) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class World:
    """The real parts that all rows share.

    Attributes
    ----------
    say : told what is going on.
    """

    kafka: RealKafka
    bundle: Bundle
    folder: Path
    say: Callable[[str], None] = _nothing

    @contextmanager
    def home(self, redis: str = "", prefix: str = "mindstream", **more: str) -> Iterator[Home]:
        """Make a home with topics of its own, and delete them at the end of the block; see `Home`."""
        topic = f"faults-{uuid.uuid4().hex[:12]}"
        all_of_them = [topic, f"{topic}.dlq", f"{topic}.updates"]
        with self.kafka.admin() as admin:
            shape = {"num_partitions": PARTITIONS, "replication_factor": 1}
            admin.create_topics(dict.fromkeys(all_of_them, shape), wait_for_metadata=True)
        with Home(self.kafka, topic, self.folder / topic, self.bundle, redis, prefix, **more) as home:
            yield home
        with self.kafka.admin() as admin:
            admin.delete_topics(all_of_them)
