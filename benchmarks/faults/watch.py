"""Looks at an updater while it works: how far it is behind, and how much memory it takes."""

import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from threading import Event as Signal
from threading import Thread
from typing import NamedTuple, Self

import psutil

from benchmarks.faults.home import Home
from benchmarks.faults.load import Load
from tests.command import Command

LOOK_EVERY_S = 0.1
SHARE = 4  # it rests so many times as long as a look takes


class Look(NamedTuple):
    """What was seen at a time, in seconds."""

    at: float
    acknowledged: int
    applied: int


def longest_stall(looks: Sequence[Look]) -> float:
    """The longest time in seconds in which events waited and none was applied."""
    longest, since = 0.0, None
    for before, look in pairwise(looks):
        moved, waiting = look.applied != before.applied, before.acknowledged > before.applied
        since = None if moved or not waiting else (since if since is not None else before.at)
        longest = max(longest, look.at - since) if since is not None else longest
    return longest


class Watch:
    """Looks from a thread, from entering the context until leaving it.

    Attributes
    ----------
    looks : what was seen; in a store that does not answer nothing is applied.
    peak_mb : most resident memory of the updater.
    """

    def __init__(self, home: Home, load: Load, command: Command) -> None:
        self.home, self.load, self.process = home, load, psutil.Process(command.process.pid)
        self.looks: list[Look] = []
        self.peak_mb = 0.0
        self.stopping = Signal()
        self.thread = Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while True:
            started = time.monotonic()
            self.looks.append(self._look())
            with suppress(psutil.NoSuchProcess):
                self.peak_mb = max(self.peak_mb, self.process.memory_info().rss / 1e6)
            if self.stopping.wait(max(LOOK_EVERY_S, SHARE * (time.monotonic() - started))):
                return

    def _look(self) -> Look:
        acknowledged, applied = self.load.acknowledged, self.looks[-1].applied if self.looks else 0
        with suppress(OSError):
            applied = self.home.applied()
        return Look(time.monotonic(), acknowledged, applied)

    @property
    def stall_s(self) -> float:
        """The longest stall so far."""
        return longest_stall(self.looks)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self.thread.join()
