"""Other users' events at a chosen rate: the log again and again, as if it happened now."""

import threading
import time

import msgspec

from model_export.interactions import InteractionLog
from stream.event import Event
from stream.producer import EventProducer
from stream.replay import events_of

TICK_S = 0.1
MOST_PER_SECOND = 500  # far below what the updater takes, so that the embedded broker's small log is never outrun


class Traffic:
    """A thread that publishes events; `rate` is events a second, 0 pauses."""

    def __init__(self, log: InteractionLog, producer: EventProducer) -> None:
        self.log, self.producer = log, producer
        self.rate = 0
        self.published = 0
        self.failure: Exception | None = None
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, name="traffic", daemon=True)
        self.thread.start()

    def run(self) -> None:
        """Publish rate x 0.1 s events, ten times a second."""
        events = events_of(self.log)
        owed = 0.0
        while not self.stopping.wait(TICK_S):
            owed += min(self.rate, MOST_PER_SECOND) * TICK_S
            while owed >= 1:
                owed -= 1
                event = next(events, None)
                if event is None:
                    events = events_of(self.log)
                    continue
                self.send(event)

    def send(self, event: Event) -> None:
        """Publish one event with the present time; one that fails is left out, the next one is tried again."""
        try:
            self.producer.send(msgspec.structs.replace(event, event_time_ms=int(time.time() * 1000)))
            self.published += 1
            self.failure = None
        except (OSError, ValueError) as error:
            self.failure = error

    def stop(self) -> None:
        self.stopping.set()
        self.thread.join(5)
