"""Clicks that are published at a rate, whatever happens meanwhile."""

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import count, islice
from typing import Any

from confluent_kafka import Producer

from benchmarks.harness.background import Background
from benchmarks.scenario.bad import Injected, Sent, send_bad
from benchmarks.scenario.home import Home
from stream.events.event import Event, encode
from stream.events.producer import EventProducer

__all__ = ["EVENTS_A_USER", "Flood", "Load", "clicks"]

NORMAL = 300.0  # events a second
TICK_S = 0.01
USERS_AT_ONCE = 200
EVENTS_A_USER = 40  # fewer than a history holds, so that a behaviour that is lost or there twice is seen
PROFILE_EVERY = 17
REGIONS = ("north", "south", "east", "west")
START_MS, STEP_MS = 1_720_000_000_000, 100
IN_FLIGHT = 50_000  # half of what librdkafka takes before it refuses


def clicks(item_ids: Sequence[str], event_ids: bool = False) -> Iterator[Event]:
    """Yield events without an end, one every 100 ms of event time.

    Now and then with a profile, or of an unknown item.

    Parameters
    ----------
    event_ids : whether they have one. Without, nothing but its place on Kafka tells an event from its replay.
    """
    choose = random.Random(7)
    for number in count():
        turn, place = divmod(number, USERS_AT_ONCE)
        user_id = f"user-{turn // EVENTS_A_USER * USERS_AT_ONCE + place}"
        item_id = choose.choice(item_ids) if choose.random() < 0.99 else "new-item"
        event_id = f"event-{number}" if event_ids else None
        profile = {"region": choose.choice(REGIONS)} if number % PROFILE_EVERY == 0 else None
        yield Event(user_id, item_id, START_MS + number * STEP_MS, event_id=event_id, profile=profile)


class Load(Background):
    """A load of clicks.

    Once it has stopped, all that was sent is acknowledged or given up.

    Parameters
    ----------
    bad_every : after so many events comes a record that is none; 0: never.

    Attributes
    ----------
    rate : events a second; may be changed.
    acknowledged : events that the broker has.
    """

    def __init__(self, home: Home, rate: float = NORMAL, bad_every: int = 0) -> None:
        super().__init__()
        self.home, self.rate, self.acknowledged = home, rate, 0
        self.bad_every = bad_every
        self.bad: list[Sent] = []

    def work(self) -> None:
        """Publish clicks until it is stopped."""
        events = clicks(self.home.bundle.item_ids)
        while not self.stopping.is_set():
            # A producer that was refused an event (an outage was longer than its patience) is of no use any more.
            with suppress(OSError), EventProducer(self.home.cluster, self.home.settings.topic) as producer:
                self._publish_with(producer, events)

    def _publish_with(self, producer: EventProducer, events: Iterator[Event]) -> None:
        for number, event in enumerate(self._due(events), 1):
            producer.send(event).add_callback(self._count)
            if self.bad_every and number % self.bad_every == 0:
                self.bad.append(send_bad(producer, len(self.bad)))
            if producer.refused:
                break
        producer.flush()

    def _due(self, events: Iterator[Event]) -> Iterator[Event]:
        """Yield each event when its time has come, until the load is to stop."""
        owed, last = 0.0, time.monotonic()
        while not self.stopping.wait(TICK_S):
            now = time.monotonic()
            owed, last = owed + (now - last) * self.rate, now
            yield from islice(events, int(owed))
            owed %= 1

    def _count(self, _: object) -> None:
        self.acknowledged += 1

    def injected(self) -> list[Injected]:
        """Return the records that are no events, once the load has stopped."""
        return [one.injected() for one in self.bad]


class Flood(Load):
    """A Load by librdkafka, which publishes far more than an updater can apply.

    Without records that are no events.
    """

    def work(self) -> None:
        """Publish clicks until it is stopped."""
        producer = Producer({"bootstrap.servers": self.home.kafka.bootstrap_servers, "partitioner": "murmur2_random"})
        for event in self._due(clicks(self.home.bundle.item_ids)):
            key, value = encode(event)
            producer.produce(self.home.settings.topic, value, key, on_delivery=self._delivered)
            producer.poll(0 if len(producer) < IN_FLIGHT else TICK_S)
        producer.flush()

    def _delivered(self, error: object, _: Any) -> None:
        self.acknowledged += error is None
