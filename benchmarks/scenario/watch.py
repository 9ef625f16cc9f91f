"""Watching an updater while it works: how far it is behind, or how much memory it takes."""

import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from typing import NamedTuple

import psutil

from benchmarks.harness.background import Background
from benchmarks.scenario.home import Home
from benchmarks.scenario.load import Load

__all__ = ["Look", "Memory", "Watch", "longest_stall"]

LOOK_EVERY_S = 0.1
WEIGH_EVERY_S = 0.02
SHARE = 4  # it rests so many times as long as a look takes


class Look(NamedTuple):
    """A look at an updater, at a time in seconds."""

    at: float
    acknowledged: int
    applied: int


def longest_stall(looks: Sequence[Look]) -> float:
    """Return the longest time in seconds in which events waited and none was applied."""
    longest, since = 0.0, None
    for before, look in pairwise(looks):
        moved, waiting = look.applied != before.applied, before.acknowledged > before.applied
        since = None if moved or not waiting else (since if since is not None else before.at)
        longest = max(longest, look.at - since) if since is not None else longest
    return longest


class Watch(Background):
    """A thread that looks from time to time at how far an updater is behind.

    Attributes
    ----------
    looks : what was seen; in a store that does not answer nothing is applied.
    """

    def __init__(self, home: Home, load: Load) -> None:
        super().__init__()
        self.home, self.load = home, load
        self.looks: list[Look] = []

    def work(self) -> None:
        """Look from time to time, and once at the end."""
        while True:
            started = time.monotonic()
            self.looks.append(self._look())
            if self.stopping.wait(max(LOOK_EVERY_S, SHARE * (time.monotonic() - started))):
                return

    def _look(self) -> Look:
        acknowledged, applied = self.load.acknowledged, self.looks[-1].applied if self.looks else 0
        with suppress(OSError):
            applied = self.home.applied()
        return Look(time.monotonic(), acknowledged, applied)

    @property
    def stall_s(self) -> float:
        """Return the longest stall so far."""
        return longest_stall(self.looks)


class Memory(Background):
    """A thread that looks from time to time at the memory of a process.

    Attributes
    ----------
    rss_mb : most resident memory.
    own_mb : most of it that is not of files. LMDB's file grows with the users and is mapped: what was read of it
        counts as resident until the kernel wants the room for something else.
    """

    def __init__(self, pid: int) -> None:
        super().__init__()
        self.process = psutil.Process(pid)
        self.rss_mb = self.own_mb = 0.0

    def work(self) -> None:
        """Look from time to time while the process runs."""
        with suppress(psutil.NoSuchProcess):
            while not self.stopping.wait(WEIGH_EVERY_S):
                used = self.process.memory_info()
                self.rss_mb = max(self.rss_mb, used.rss / 1e6)
                self.own_mb = max(self.own_mb, (used.rss - getattr(used, "shared", 0)) / 1e6)  # macOS does not say
