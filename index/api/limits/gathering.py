"""Requests that wait are gathered: the first is begun at once, and what comes meanwhile is done together."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from index.recommend.cancellation import Cancellation
from index.recommend.recommender import AT_ONCE

__all__ = ["Gathering", "Job"]

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")

AT_ONCE_S = 0.1  # of work by their estimates together, so that none waits long for the others
BATCHES = 2  # are done at the same time: one reads the store or searches, which needs no lock of Python's


@dataclass(frozen=True, eq=False)
class Job(Generic[Asked]):
    """A request whose work is to be done.

    Attributes
    ----------
    cancellation : set when nobody waits for it any more.
    """

    asked: Asked
    cancellation: Cancellation


class _Waiting(NamedTuple, Generic[Asked, Answer]):
    """A job that waits, its estimate in seconds of one core, and what gets its answer."""

    job: Job[Asked]
    estimate_s: float
    answered: "asyncio.Future[Answer]"


class Gathering(Generic[Asked, Answer]):
    """Does jobs in threads, those that wait together.

    Nothing is waited for: a job that comes while a thread is idle is begun at once, alone.

    Parameters
    ----------
    work : does some jobs, and returns an answer or an error for each, in their order.
    """

    def __init__(self, work: Callable[[Sequence[Job[Asked]]], Sequence[Answer | Exception]]) -> None:
        self.work = work
        self._threads = ThreadPoolExecutor(BATCHES, thread_name_prefix="gathered")
        self._waiting: deque[_Waiting[Asked, Answer]] = deque()
        self._busy, self._lock = 0, threading.Lock()

    @property
    def waiting(self) -> int:
        """Return how many jobs were not begun yet."""
        return len(self._waiting)

    def submit(self, job: Job[Asked], estimate_s: float) -> "asyncio.Future[Answer]":
        """Begin a job, or let it wait for the next thread; return what gets its answer."""
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        with self._lock:
            self._waiting.append(_Waiting(job, estimate_s, answered))
            is_idle = self._busy < BATCHES
            self._busy += is_idle
        if is_idle:
            self._threads.submit(self._go_on)
        return answered

    def _go_on(self) -> None:
        """Do what waits, until nothing does."""
        while batch := self._next():
            told: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Answer], Answer | Exception]]] = {}
            answers = self._done([one.job for one in batch])
            for (_, _, answered), answer in zip(batch, answers, strict=True):
                told.setdefault(answered.get_loop(), []).append((answered, answer))
            for loop, both in told.items():
                with suppress(RuntimeError):  # it has ended, and with it who waited
                    loop.call_soon_threadsafe(_tell, both)

    def _next(self) -> list[_Waiting[Asked, Answer]]:
        """Take the jobs that are done together next; without any, this thread is idle."""
        batch: list[_Waiting[Asked, Answer]] = []
        estimate_s = 0.0
        with self._lock:
            while self._waiting and len(batch) < AT_ONCE and (not batch or estimate_s < AT_ONCE_S):
                one = self._waiting.popleft()
                if not one.job.cancellation.is_set:
                    batch.append(one)
                    estimate_s += one.estimate_s
            self._busy -= not batch
        return batch

    def _done(self, jobs: Sequence[Job[Asked]]) -> Sequence[Answer | Exception]:
        """Do some jobs; where that fails do each alone, so that one fails nobody but itself."""
        try:
            return self.work(jobs)
        except Exception as error:
            if len(jobs) == 1:
                return [error]
        return [answer for job in jobs for answer in self._done([job])]


def _tell(told: Sequence[tuple["asyncio.Future[Answer]", Answer | Exception]]) -> None:
    """Give each who waits an answer, unless nobody waits for it any more."""
    for answered, answer in told:
        if answered.done():
            continue
        if isinstance(answer, Exception):
            answered.set_exception(answer)
        else:
            answered.set_result(answer)
