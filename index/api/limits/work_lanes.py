"""The threads that answer requests: quick and heavy ones apart, each with a deadline, and stopped when nobody waits."""

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from fastapi import HTTPException, Request
from starlette.types import Receive

from index.api.limits.gathering import Gathering, Job
from index.api.limits.waiting import ClientLeftError, wait_for
from index.api.metrics import ApiMetrics
from index.recommend.cancellation import Cancellation
from index.recommend.request import Request as Wanted
from index.recommend.work import WorkSize, estimated_s, fitting_n
from mindstream.settings import Settings

__all__ = ["HEAVY_S", "ClientLeftError", "WorkLanes"]

HEAVY_S = 0.1  # of work by the estimate; what needs more waits in a lane of its own
QUICK_THREADS, QUICK_WAITING = 32, 1_000  # their threads wait for a store most of the time
HEAVY_THREADS, HEAVY_WAITING = max(1, (os.cpu_count() or 1) // 2), 32
RETRY_AFTER = {"Retry-After": "1"}

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


class WorkLanes:
    """Two pools of threads, for quick and for heavy requests, and the ceiling of both.

    The heavy ones have half of the cores and wait for each other; so the quick ones, and the pages of health, which
    need neither, go on beside them.

    Parameters
    ----------
    settings : with the most work of a request, and its deadline.
    metrics : what was not done is counted there.
    """

    def __init__(self, settings: Settings, metrics: ApiMetrics) -> None:
        self.most_s, self.deadline_s, self.metrics = settings.api_work_s, settings.api_deadline_s, metrics
        self.quick = _Lane("quick", QUICK_THREADS, QUICK_WAITING)
        self.heavy = _Lane("heavy", HEAVY_THREADS, HEAVY_WAITING)

    def check(self, wanted: Wanted, users: int, size: WorkSize) -> float:
        """Estimate the work of a request, in seconds of one core.

        Raises
        ------
        HTTPException
            If it is more than one request may need; 422, and what to make smaller.
        """
        estimate = estimated_s(wanted, users, size)
        if estimate > self.most_s:
            self.metrics.not_done("work")
            raise HTTPException(422, self._too_much(wanted, users, size, estimate))
        return estimate

    def _too_much(self, wanted: Wanted, users: int, size: WorkSize, estimate: float) -> str:
        """Say how much work a request would be, the limit, and what is within it."""
        at_once = int(self.most_s / (estimate / users))
        n = fitting_n(wanted, size, self.most_s)
        if at_once:
            right = f"at most {at_once} users at once, or a smaller n"
        else:
            right = f"n of at most {n:,}" if n else "fewer items in exclude"
        if not wanted.is_plain:
            right += ", or a request without quota, by_importance, diversity and max_cosine"
        return (
            f"this may need {estimate:,.1f} s of work, for {users} users with n = {wanted.n:,}; at most "
            f"{self.most_s:g} s are done for one request (MINDSTREAM_API_WORK_S): right is {right}"
        )

    async def run(
        self,
        request: Request,
        estimate_s: float,
        work: Callable[[Cancellation], Answer],
        may_be_written: bool = False,
    ) -> Answer:
        """Do the work of a request in a thread of its lane, and return the answer.

        Parameters
        ----------
        estimate_s : says which lane it is for.
        work : looks at the cancellation between its steps.
        may_be_written : whether the work changes something, which goes on when the deadline is over; that is said.

        Raises
        ------
        HTTPException
            If the lane is full, or the deadline is over; 503. Whatever `work` raises is raised too.
        ClientLeftError
            If nobody waits for the answer any more.
        """
        lane = self.heavy if estimate_s > HEAVY_S else self.quick
        if lane.count >= lane.most:
            raise self._full(lane.count, lane.name)
        cancellation, answered = Cancellation(), asyncio.get_running_loop().create_future()
        future = lane.submit(work, cancellation)
        future.add_done_callback(partial(_hand_on, answered))
        try:
            return await self.wait_for(answered, request.receive, may_be_written)
        finally:
            cancellation.cancel()
            future.cancel()

    async def gather(
        self, gathering: Gathering[Asked, Answer], asked: Asked, estimate_s: float, receive: Receive
    ) -> Answer:
        """Do the work of a quick request together with others that wait, and return the answer.

        Parameters
        ----------
        estimate_s : at most HEAVY_S.
        receive : by which the server says that the client has hung up.

        Raises
        ------
        HTTPException
            As `run` does.
        ClientLeftError
            If nobody waits for the answer any more.
        """
        if gathering.waiting >= QUICK_WAITING:
            raise self._full(gathering.waiting, "quick")
        job = Job(asked, Cancellation())
        answered = gathering.submit(job, estimate_s)
        try:
            return await self.wait_for(answered, receive)
        finally:
            job.cancellation.cancel()

    async def wait_for(
        self, answered: "asyncio.Future[Answer]", receive: Receive, may_be_written: bool = False
    ) -> Answer:
        """Wait for an answer while its client does, until the deadline."""
        try:
            return await wait_for(answered, receive, self.deadline_s, partial(self._late, may_be_written))
        except ClientLeftError:
            self.metrics.not_done("left")
            raise

    def _late(self, may_be_written: bool) -> HTTPException:
        """Return what is told after the deadline."""
        said = f"there was no answer within {self.deadline_s:g} s (MINDSTREAM_API_DEADLINE_S); "
        written = "what was asked may be written all the same, and asking again does no harm"
        return self._refusal("deadline", said + (written if may_be_written else "ask for less, or later"))

    def _full(self, count: int, name: str) -> HTTPException:
        """Return what is told where too many wait."""
        return self._refusal("full", f"{count:,} {name} requests wait already; ask again later")

    def _refusal(self, reason: str, said: str) -> HTTPException:
        """Count a request that is not answered; return what it is told."""
        self.metrics.not_done(reason)
        return HTTPException(503, said, RETRY_AFTER)


class _Lane:
    """A pool of threads that counts who is in it or waits for it."""

    def __init__(self, name: str, threads: int, waiting: int) -> None:
        self.name, self.most, self.count = name, threads + waiting, 0
        self.threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._counting = threading.Lock()

    def submit(self, work: Callable[[Cancellation], Answer], cancellation: Cancellation) -> "asyncio.Future[Answer]":
        """Begin work as soon as a thread is free; whoever was cancelled before that costs none."""
        self._add(1)
        begun = self.threads.submit(work, cancellation)
        begun.add_done_callback(lambda _: self._add(-1))
        return asyncio.wrap_future(begun)

    def _add(self, one: int) -> None:
        """Count one more or less; the threads do too."""
        with self._counting:
            self.count += one


def _hand_on(answered: "asyncio.Future[Any]", future: "asyncio.Future[Any]") -> None:
    """Give an answer, or an error, to who waits for it."""
    if future.cancelled():
        return
    error = future.exception()
    if answered.done():
        return
    if error is not None:
        answered.set_exception(error)
    else:
        answered.set_result(future.result())
