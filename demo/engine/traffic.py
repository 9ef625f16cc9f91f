"""Other users' events at a chosen rate: the log again and again, as if it happened now."""

import threading
import time
from collections.abc import Collection, Iterator
from dataclasses import replace
from itertools import islice

import msgspec

from model_export.data.interactions import InteractionLog
from stream.events.event import Event
from stream.events.producer import EventProducer
from stream.events.replay import events_of

__all__ = ["MOST_PER_SECOND", "Traffic"]

TICK_S = 0.1
MOST_AT_ONCE_S = 1.0  # what is owed after a longer sleep is forgotten: no burst
MOST_PER_SECOND = 500  # far below what the updater takes, so that the embedded broker's small log is never outrun


class Traffic:
    """A thread that publishes events; `rate` is events a second, 0 pauses.

    Parameters
    ----------
    without : users who are left out: a visitor can be these, and only what the visitor does is theirs.
    """

    def __init__(self, log: InteractionLog, producer: EventProducer, without: Collection[str] = ()) -> None:
        self.log = replace(log, events=log.events[~log.events.user_id.isin(without)])
        self.producer = producer
        self.rate = 0
        self.published = 0
        self.failure: Exception | None = None
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, name="traffic", daemon=True)
        self.thread.start()

    def run(self) -> None:
        """Publish, ten times a second, as many events as fit the time that has passed.

        A busy machine wakes it late. At rate 0 nothing comes any more, also of what was owed.
        """
        events, owed, before = self._again_and_again(), 0.0, time.monotonic()
        while not self.stopping.wait(TICK_S):
            now = time.monotonic()
            owed += min(self.rate, MOST_PER_SECOND) * min(now - before, MOST_AT_ONCE_S)
            before = now
            for event in islice(events, int(owed)):
                if not self.rate:
                    break
                self.send(event)
            owed %= 1

    def _again_and_again(self) -> Iterator[Event]:
        """Yield the log without end; nothing if no user is left."""
        while len(self.log.events):
            yield from events_of(self.log)

    def send(self, event: Event) -> None:
        """Publish one event with the present time; one that fails is left out.

        The next one is tried again.
        """
        try:
            self.producer.send(msgspec.structs.replace(event, event_time_ms=int(time.time() * 1000)))
            self.published += 1
            self.failure = None
        except (OSError, ValueError) as error:
            self.failure = error

    def stop(self) -> None:
        """Stop publishing."""
        self.stopping.set()
        self.thread.join(5)
