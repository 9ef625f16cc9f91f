"""The rest that an updater of the embedded broker takes while no events come, so that it costs next to nothing."""

import threading
import time
from collections.abc import Callable, Sequence

from kafka.consumer.fetcher import ConsumerRecord

from stream.monitoring.observer import Observer

__all__ = ["LOOK_MS", "Rest"]

AWAKE_S = 2.0  # after the last event, or the last call to `wake`
LOOK_EVERY_S = 0.5
LOOK_MS = 25  # a little longer than the embedded broker lets a fetch wait


class Rest(Observer):
    """A rest between two steps, which ends at once for those who know that an event comes.

    The embedded broker lets a fetch wait for some milliseconds only, so whoever polls without a rest asks it again and
    again. Events that nobody has announced are read half a second later, those that follow them at once.

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

    def is_due(self) -> bool:
        """Tell whether nothing has come for a while."""
        return self.clock() >= self.awake_until

    def take(self) -> None:
        """Rest until the next look is due, or an event is announced."""
        self.woken.wait(LOOK_EVERY_S)
        self.woken.clear()
