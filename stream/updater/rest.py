"""The rest that an updater of the embedded broker takes while no events come, so that it costs next to nothing."""

import threading
import time
from collections.abc import Callable, Sequence

from kafka.consumer.fetcher import ConsumerRecord

from stream.kafka.reader import POLL_MS
from stream.monitoring.observer import Observer

__all__ = ["Rest"]

AWAKE_S = 2.0  # after the last event, or the last call to `wake`
LOOK_EVERY_S = 0.25
LOOK_MS = 1  # it only sends a fetch; what that brings, the next look takes


class Rest(Observer):
    """A rest between two steps, which ends at once for those who know that an event comes.

    The embedded broker lets a fetch wait for some milliseconds only, so whoever polls without a rest asks it again and
    again. Events that nobody has announced are read a quarter of a second later, those that follow them at once.

    Parameters
    ----------
    clock : seconds that only ever grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.woken = threading.Event()
        self.awake_until = clock() + AWAKE_S

    def polled(self, records: Sequence[ConsumerRecord]) -> None:
        """Stay awake for a while after records."""
        if records:
            self.awake_until = self.clock() + AWAKE_S

    def wake(self) -> None:
        """End the rest: an event comes."""
        self.awake_until = self.clock() + AWAKE_S
        self.woken.set()

    def is_over(self) -> bool:
        """Tell whether to poll without a rest."""
        return self.clock() < self.awake_until

    def poll_ms(self) -> int:
        """Return how long the next poll may wait for events."""
        return POLL_MS if self.is_over() else LOOK_MS

    def take(self) -> None:
        """Rest until the next look is due, or an event is announced."""
        if not self.is_over():
            self.woken.wait(LOOK_EVERY_S)
        self.woken.clear()
