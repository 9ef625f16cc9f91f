"""Waiting for an answer: until it is there, the deadline is over, or the client has hung up."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from starlette.types import Receive

__all__ = ["WATCHED_AFTER_S", "ClientLeftError", "wait_for"]

WATCHED_AFTER_S = 0.05  # a request that takes no longer is not asked whether its client is there

Answer = TypeVar("Answer")


class ClientLeftError(Exception):
    """A request whose client has gone, so that nobody reads an answer."""


async def wait_for(
    answered: "asyncio.Future[Answer]", receive: Receive, deadline_s: float, late: Callable[[], Exception]
) -> Answer:
    """Wait for an answer, and return it.

    Parameters
    ----------
    answered : gets the answer.
    receive : by which the server says that the client has hung up.
    late : makes the error that is raised where there is no answer within `deadline_s`.

    Raises
    ------
    ClientLeftError
        If nobody waits for the answer any more. Whatever `late` makes, or `answered` gets, is raised too.
    """
    watch = _Watch(answered, receive, deadline_s, late)
    try:
        return await answered
    finally:
        watch.end()


class _Watch:
    """A watch over one request; what is answered quickly costs it a timer and nothing else."""

    def __init__(
        self, answered: "asyncio.Future[Any]", receive: Receive, deadline_s: float, late: Callable[[], Exception]
    ) -> None:
        self.answered, self.receive, self.late = answered, receive, late
        self.loop = answered.get_loop()
        first_s = min(WATCHED_AFTER_S, deadline_s)
        self.timer = self.loop.call_later(first_s, self.begin, deadline_s - first_s)
        self.gone: asyncio.Future[None] | None = None

    def begin(self, left_s: float) -> None:
        """Look from now on whether the client is there, for the seconds that are left."""
        self.timer = self.loop.call_later(left_s, self.end_late)
        self.gone = asyncio.ensure_future(_until_gone(self.receive), loop=self.loop)
        self.gone.add_done_callback(self.end_left)

    def end_late(self) -> None:
        """End the wait, since the deadline is over."""
        if not self.answered.done():
            self.answered.set_exception(self.late())

    def end_left(self, gone: "asyncio.Future[None]") -> None:
        """End the wait, since the client has hung up, in whatever way the server says so."""
        if not gone.cancelled():
            gone.exception()
            if not self.answered.done():
                self.answered.set_exception(ClientLeftError())

    def end(self) -> None:
        """Watch no more."""
        self.timer.cancel()
        if self.gone is not None:
            self.gone.cancel()


async def _until_gone(receive: Receive) -> None:
    """Return when the client has hung up."""
    while (await receive())["type"] != "http.disconnect":
        pass
