"""A worker process as seen from the benchmark that started it."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import msgspec

from benchmarks.harness.task import Report, Task

__all__ = ["ROOT", "WorkerProcess", "do_events", "share_partitions", "wait"]

ROOT = Path(__file__).parents[2]
PATIENCE_S = 120.0  # without a change


class WorkerProcess:
    """A `python -m benchmarks.harness.worker` that runs until the end of a `with`.

    Attributes
    ----------
    partitions, events : what it said last.
    waits : 1 from when it has begun to wait to be told to go.
    report : what it said at its end, None before.
    """

    def __init__(self, task: Task) -> None:
        self.partitions = self.events = self.waits = 0
        self.report: Report | None = None
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.harness.worker", msgspec.json.encode(task).decode()],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.hearing = threading.Thread(target=self.hear, daemon=True)
        self.hearing.start()

    def hear(self) -> None:
        """Take what it says until it ends."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            what, _, said = line.partition(" ")
            if what == "partitions":
                self.partitions = int(said)
            elif what == "events":
                self.events = int(said)
            elif what == "waits":
                self.waits = int(said)
            elif what == "report":
                self.report = msgspec.json.decode(said, type=Report)

    def tell(self, word: str) -> None:
        """Tell it to do what comes next; any word will do.

        Raises
        ------
        OSError
            If it has ended.
        """
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()

    def check(self) -> None:
        """Raise OSError if it has ended."""
        if self.process.poll() is not None:
            raise OSError(f"a worker of the benchmark ended with status {self.process.returncode}; see above")

    def finish(self) -> Report:
        """Tell it to end, and take its report."""
        self.tell("end")
        self.hearing.join(PATIENCE_S)
        if self.report is None:
            raise OSError(f"a worker of the benchmark gave no report within {PATIENCE_S:.0f} s")
        return self.report

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self.hearing.join()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()


def share_partitions(workers: Sequence[WorkerProcess], partitions: int) -> None:
    """Wait until the workers have as many partitions each; then they wait to be told to go."""
    each = partitions // len(workers)
    wait(workers, lambda: sum(worker.partitions == each for worker in workers), len(workers))
    for worker in workers:
        worker.tell("wait")
    wait(workers, lambda: sum(worker.waits for worker in workers), len(workers))  # what is sent now, none has read


def do_events(workers: Sequence[WorkerProcess], events: int, seen: Callable[[int], object] = lambda _: None) -> None:
    """Tell the workers to go, and wait until they have done so many events.

    `seen` is told how many more were done.
    """
    for worker in workers:
        worker.tell("go")
    wait(workers, lambda: sum(worker.events for worker in workers), events, seen)


def wait(
    workers: Sequence[WorkerProcess],
    reached: Callable[[], int],
    goal: int,
    seen: Callable[[int], object] = lambda _: None,
    patience_s: float = PATIENCE_S,
) -> None:
    """Return once `reached` is at the goal.

    Raises
    ------
    OSError
        If a worker ends, or nothing has changed for too long.
    """
    last, changed = 0, time.monotonic()
    while last < goal:
        now = reached()
        if now != last:
            seen(now - last)
            last, changed = now, time.monotonic()
        for worker in workers:
            worker.check()
        if time.monotonic() - changed > patience_s:
            raise OSError(f"the workers of the benchmark stand still at {last:,} of {goal:,}")
        time.sleep(0.02)
