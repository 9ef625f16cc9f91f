"""A process that reads a topic for a benchmark: python -m benchmarks.harness.worker TASK, in JSON (task.py).

It has no more threads and libraries than `python -m stream run`. On stdout it says, a line each, how many partitions it
reads, that it waits, how many events it has done, and at last its report. On stdin it is told, a line each: to wait,
to go, to end.
"""

import logging
import queue
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import msgspec
from kafka import TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from benchmarks.harness.laps import Laps
from benchmarks.harness.shop_shape import SHOP
from benchmarks.harness.task import READ_MAPPED, UPDATE, Polled, Report, Stored, Task
from mindstream.settings import Settings
from model_export.bundle.bundle import Bundle
from model_export.bundle.extractor import Extractor
from model_export.bundle.serving import FixedServing
from stream.events.event import decode
from stream.events.mapped.decoder import MappedDecoder
from stream.events.mapped.event_ids import RecordIds
from stream.events.position import Position
from stream.kafka.cluster import Cluster
from stream.kafka.group.reader import MOST_RECORDS, POLL_MS
from stream.monitoring.observer import Observer
from stream.store.lmdb_store import LmdbStore
from stream.store.state import UserState
from stream.updater.updater import Updater, collect_less_garbage, take_turns_sooner

__all__ = ["main"]

SAID_EVERY_S = 0.2


class _Worker(Protocol):
    """A reader of the topic.

    Attributes
    ----------
    done : events that are done.
    seconds : see `Report`.
    done_ns : when the last batch was done.
    polled, stored : see `Report`; empty where nothing is to be noted.
    """

    seconds: dict[str, float]
    polled: list[Polled]
    stored: list[Stored]

    @property
    def done(self) -> int: ...
    @property
    def done_ns(self) -> int: ...

    def partitions(self) -> int:
        """Return how many partitions are read."""
        ...

    @property
    def counts(self) -> Counter[str]:
        """Return events by what became of them."""
        ...

    def begin(self) -> None:
        """Forget the seconds so far."""
        ...

    def step(self) -> None:
        """Do one batch, or wait a moment if there is none."""
        ...

    def close(self) -> None: ...


class _Reading:
    """A plain consumer, made like the updater's, that decodes each event and drops it."""

    def __init__(self, task: Task) -> None:
        self.seconds: dict[str, float] = {}
        self.done, self.done_ns = 0, 0
        self.noted = task.noted
        self.polled: list[Polled] = []
        self.stored: list[Stored] = []
        self.decoder, self.record_ids = MappedDecoder(SHOP), RecordIds(task.topic)
        self.is_mapped = task.what == READ_MAPPED
        self.consumer = Cluster(task.bootstrap_servers).consumer(None, max_poll_records=MOST_RECORDS)
        numbers = self.consumer.partitions_for_topic(task.topic) or set()
        self.consumer.assign([TopicPartition(task.topic, number) for number in numbers])
        self.consumer.seek_to_beginning()

    @property
    def counts(self) -> Counter[str]:
        return Counter(applied=self.done)

    def partitions(self) -> int:
        return len(self.consumer.assignment())

    def begin(self) -> None:
        pass

    def step(self) -> None:
        polled = self.consumer.poll(timeout_ms=POLL_MS)
        records = [record for some in polled.values() for record in some]
        if self.noted:
            self.polled += _arrivals(records)
        for record in records:
            self._decode(record)
        if records:
            self.done, self.done_ns = self.done + len(records), time.monotonic_ns()

    def _decode(self, record: ConsumerRecord) -> None:
        """Decode a record as the updater would."""
        if self.is_mapped:
            self.decoder.decode(record.value, record.key, record.timestamp, self.record_ids.of(record))
        else:
            decode(record.value, record.key, record.timestamp)

    def close(self) -> None:
        self.consumer.close()


class _NotedStore(LmdbStore):
    """A store that notes when each state was stored."""

    def __init__(self, task: Task, settings: Settings) -> None:
        super().__init__(settings.state)
        self.noted = task.noted
        self.stored: list[Stored] = []

    def put_many(self, states: Iterable[UserState], read: Mapping[str, Position | None] = {}) -> set[str]:
        states = list(states)
        refused = super().put_many(states, read)
        if self.noted:
            now = time.monotonic_ns()
            written = (state for state in states if state.user_id not in refused)
            self.stored += [Stored(state.user_id, state.position.offset, now) for state in written]
        return refused


class _Notes(Observer):
    """An observer that notes arrivals and commits, and where an updater's time goes."""

    def __init__(self, noted: bool) -> None:
        self.noted, self.laps = noted, Laps()
        self.arrivals: list[Polled] = []
        self.done, self.done_ns = 0, 0

    def polled(self, records: Sequence[ConsumerRecord]) -> None:
        if self.noted:
            self.arrivals += _arrivals(records)

    def committed(self, records: Sequence[ConsumerRecord]) -> None:
        self.done, self.done_ns = self.done + len(records), time.monotonic_ns()

    def timed(self, part: str) -> AbstractContextManager[object]:
        return self.laps.lap(part)


class _Updating:
    """The updater, observed."""

    def __init__(self, task: Task) -> None:
        # A group of its own: on a Kafka that was given, updaters may be at work.
        settings = Settings(
            bootstrap_servers=task.bootstrap_servers,
            topic=task.topic,
            group=task.topic,
            home=Path(task.home),
            instance=None,
            updates_topic="",
        )
        self.notes = _Notes(task.noted)
        self.store = _NotedStore(task, settings)
        self.stored, self.polled = self.store.stored, self.notes.arrivals
        self.updater = Updater(
            Cluster(task.bootstrap_servers),
            self.store,
            FixedServing(Bundle(Path(task.bundle)), Extractor),
            settings,
            observer=self.notes,
        )
        self.seconds: dict[str, float] = {}

    @property
    def counts(self) -> Counter[str]:
        return self.updater.counts

    @property
    def done(self) -> int:
        return self.notes.done

    @property
    def done_ns(self) -> int:
        return self.notes.done_ns

    def partitions(self) -> int:
        return len(self.updater.reader.partitions())

    def begin(self) -> None:
        self.notes.laps.seconds.clear()

    def step(self) -> None:
        before = self.done
        with self.notes.laps.lap("the rest"):
            self.updater.step()
        if self.done > before:
            self.seconds = dict(self.notes.laps.seconds)  # without the wait for more that does not come

    def close(self) -> None:
        self.updater.close()
        self.store.close()


def _arrivals(records: Sequence[ConsumerRecord]) -> list[Polled]:
    """Note records that have just arrived."""
    now = time.monotonic_ns()
    return [Polled(record.partition, record.offset, now) for record in records]


def _work(worker: _Worker, told: "queue.Queue[str]") -> Report:
    """Join the group until told to wait; wait until told to go; work until told to end."""
    said = -1
    while told.empty():
        worker.step()
        if worker.partitions() != said:
            said = worker.partitions()
            _say("partitions", said)
    told.get()
    _say("waits", 1)
    told.get()
    worker.begin()
    began, due, said = time.monotonic_ns(), 0.0, 0
    while told.empty():
        worker.step()
        if worker.done != said and time.monotonic() > due:
            said, due = worker.done, time.monotonic() + SAID_EVERY_S
            _say("events", said)
    return Report(began, worker.done_ns, dict(worker.counts), worker.seconds, worker.polled, worker.stored)


def _say(what: str, number: int) -> None:
    """Print one line for the benchmark."""
    print(what, number, flush=True)


def _listen() -> "queue.Queue[str]":
    """Return a queue of what is told on stdin.

    Its end tells to go on to the end, for the benchmark has died.
    """
    told: queue.Queue[str] = queue.Queue()

    def hear() -> None:
        for line in sys.stdin:
            told.put(line)
        for _ in range(3):
            told.put("")

    threading.Thread(target=hear, daemon=True).start()
    return told


def main(given: str) -> None:
    """Do a task."""
    logging.basicConfig(level=logging.ERROR)
    task = msgspec.json.decode(given, type=Task)
    told = _listen()
    collect_less_garbage()  # as `python -m stream run` does
    take_turns_sooner()
    worker: _Worker = _Updating(task) if task.what == UPDATE else _Reading(task)
    try:
        report = _work(worker, told)
    finally:
        worker.close()
    print("report", msgspec.json.encode(report).decode(), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
