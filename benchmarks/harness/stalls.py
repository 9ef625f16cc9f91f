"""How long a process holds up its threads: one that wants to run every millisecond notes how late it comes to it."""

import time
from pathlib import Path
from threading import Thread

from benchmarks.harness.background import Background

__all__ = ["Stalls", "longest_ms", "watch"]

EVERY_S = 0.001
WRITE_EVERY_S = 0.25


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


class _Writing(Stalls):
    """Stalls that are added to a file, the longest of each quarter of a second, one a line."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file = file

    def tell(self) -> None:
        """Write until the process ends."""
        with self.file.open("w", encoding="utf-8") as stream:
            while not self.stopping.wait(WRITE_EVERY_S):
                stream.write(f"{self.take_ms():.3f}\n")
                stream.flush()


def watch(file: str) -> None:
    """Begin to write the stalls of this process, in two threads that end with it."""
    writing = _Writing(Path(file))
    writing.__enter__()
    Thread(target=writing.tell, daemon=True).start()


def longest_ms(file: Path, lines: int = 0) -> tuple[float, int]:
    """Return the longest stall that was written since, in milliseconds, and the lines so far.

    Parameters
    ----------
    lines : of the file that were there before.
    """
    told = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return max(map(float, told[lines:]), default=0.0), len(told)
