"""Clicks that are published at a rate, whatever happens meanwhile."""

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import count
from threading import Event as Signal
from threading import Thread
from typing import Self

from benchmarks.faults.home import Home
from stream.event import Event
from stream.producer import EventProducer

NORMAL = 300.0  # events a second
TICK_S = 0.01
USERS_AT_ONCE = 200
EVENTS_A_USER = 40  # fewer than a history holds, so that a behaviour that is lost or there twice is seen
PROFILE_EVERY = 17
REGIONS = ("north", "south", "east", "west")
START_MS, STEP_MS = 1_720_000_000_000, 100


def clicks(item_ids: Sequence[str], event_ids: bool = False) -> Iterator[Event]:
    """Events without an end, one every 100 ms of event time; now and then with a profile, or of an unknown item.

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


class Load:
    """Publishes clicks from a thread, from entering the context until `stop` or leaving it.

    Attributes
    ----------
    rate : events a second; may be changed.
    acknowledged : events that the broker has.
    """

    def __init__(self, home: Home, rate: float = NORMAL) -> None:
        self.home, self.rate, self.acknowledged = home, rate, 0
        self.stopping = Signal()
        self.thread = Thread(target=self._publish, daemon=True)

    def _publish(self) -> None:
        events = clicks(self.home.bundle.item_ids)
        while not self.stopping.is_set():
            # A producer that was refused an event (an outage was longer than its patience) is of no use any more.
            with suppress(OSError), EventProducer(self.home.cluster, self.home.settings.topic) as producer:
                self._publish_with(producer, events)

    def _publish_with(self, producer: EventProducer, events: Iterator[Event]) -> None:
        owed, last = 0.0, time.monotonic()
        while not self.stopping.wait(TICK_S) and not producer.refused:
            now = time.monotonic()
            owed, last = owed + (now - last) * self.rate, now
            while owed >= 1:
                producer.send(next(events)).add_callback(self._count)
                owed -= 1
        producer.flush()

    def _count(self, _: object) -> None:
        self.acknowledged += 1

    def stop(self) -> None:
        """Return once all that was sent is acknowledged or given up."""
        self.stopping.set()
        self.thread.join()

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
