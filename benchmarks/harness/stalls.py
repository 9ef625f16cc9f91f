"""How long a process holds up its threads: one that wants to run every millisecond notes how late it comes to it."""

import time

from benchmarks.harness.background import Background

__all__ = ["Stalls"]

EVERY_S = 0.001


class Stalls(Background):
    """A thread that ticks every millisecond while the context lasts.

    What holds the GIL holds it up too; so does whatever else keeps the processor.
    """

    def __init__(self) -> None:
        super().__init__()
        self.longest_s = 0.0

    def work(self) -> None:
        """Tick, and note the longest delay."""
        last = time.perf_counter()
        while not self.stopping.is_set():
            time.sleep(EVERY_S)
            now = time.perf_counter()
            self.longest_s = max(self.longest_s, now - last - EVERY_S)
            last = now

    def take_ms(self) -> float:
        """Return the longest delay in milliseconds since it was last taken."""
        longest, self.longest_s = self.longest_s, 0.0
        return longest * 1_000
