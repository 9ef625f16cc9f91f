"""How long a process holds up its threads: one that wants to run every millisecond notes how late it comes to it."""

import time
from pathlib import Path

from benchmarks.harness.background import Background

__all__ = ["Stalls"]

EVERY_S = 0.001
SCHEDULED = Path("/proc/thread-self/schedstat")  # of Linux: nanoseconds at work, and waiting for a processor


class Stalls(Background):
    """A thread that ticks every millisecond while the context lasts.

    What holds the GIL holds it up. Its waiting for a processor, which other processes keep busy, is taken off where the
    system says how long that was.
    """

    def __init__(self) -> None:
        super().__init__()
        self.longest_s = 0.0

    def work(self) -> None:
        """Tick, and note the longest delay."""
        last, waited = time.perf_counter(), _waited_s()
        while not self.stopping.is_set():
            time.sleep(EVERY_S)
            now, waited_by_now = time.perf_counter(), _waited_s()
            self.longest_s = max(self.longest_s, (now - last - EVERY_S) - (waited_by_now - waited))
            last, waited = now, waited_by_now

    def take_ms(self) -> float:
        """Return the longest delay in milliseconds since it was last taken."""
        longest, self.longest_s = self.longest_s, 0.0
        return longest * 1_000


def _waited_s() -> float:
    """Read how long this thread has waited for a processor; 0 where the system does not say."""
    try:
        return int(SCHEDULED.read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0
