"""A load on an HTTP server over many connections: python -m benchmarks.harness.http_load, its task as JSON on stdin.

A process of its own on raw sockets: asyncio's protocols and next to no parsing, since a client library would take
longer over an answer than the server. Each connection asks again as soon as it has its answer.
"""

import asyncio
import sys
import time
from collections.abc import Iterator
from itertools import count
from typing import cast

import msgspec
import uvloop

__all__ = ["PATIENCE_S", "LoadReport", "LoadTask", "ask"]

PATIENCE_S = 60.0  # for the last answers
LENGTH = b"content-length: "
END = b"\r\n\r\n"


class LoadTask(msgspec.Struct, frozen=True):
    """The paths to ask for, and for how long.

    Attributes
    ----------
    paths : asked in turn.
    warm_up_s, seconds : what is answered in the first is not counted.
    rate : requests a second, all connections together, each timed from when it was due; 0: as many as are answered.
    """

    port: int
    paths: list[str]
    connections: int
    seconds: float
    warm_up_s: float = 2.0
    rate: float = 0.0


class LoadReport(msgspec.Struct, frozen=True):
    """The milliseconds of each answer, the number of errors and the bytes of all answers.

    An error is an answer that is no 200, or that did not come.
    """

    took_ms: list[float]
    errors: int
    bytes: int
    seconds: float


class _Load:
    """The part of a load that its connections share."""

    def __init__(self, task: LoadTask) -> None:
        self.requests = [f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() for path in task.paths]
        self.turn: Iterator[int] = count()
        self.rate, self.slots, self.started = task.rate, count(), time.perf_counter()
        self.began = self.started + task.warm_up_s
        self.ends = self.began + task.seconds
        self.took_ms: list[float] = []
        self.errors = self.bytes = 0

    def next(self) -> bytes:
        """Return the request that is next in turn."""
        return self.requests[next(self.turn) % len(self.requests)]

    def due(self) -> float:
        """Return when the next request is to be sent; with a rate it may have been due already."""
        return self.started + next(self.slots) / self.rate if self.rate else time.perf_counter()

    def answered(self, asked: float, status: bytes, size: int) -> None:
        """Note an answer."""
        if asked >= self.began:
            self.took_ms.append((time.perf_counter() - asked) * 1e3)
            self.errors += status != b"200"
            self.bytes += size


class _Connection(asyncio.Protocol):
    """One connection, which asks and waits in turn."""

    def __init__(self, load: _Load) -> None:
        self.load, self.received, self.needed, self.is_over = load, bytearray(), 0, False
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.ask()

    def ask(self) -> None:
        """Ask for the next path once it is due."""
        due = self.load.due()
        if due > time.perf_counter():
            asyncio.get_running_loop().call_later(due - time.perf_counter(), self._send, due)
        else:
            self._send(due)

    def _send(self, due: float) -> None:
        """Send the next request, or hang up once the time is over."""
        self.asked = due
        if self.transport.is_closing():
            return
        if self.asked >= self.load.ends:
            self.is_over = True
            self.transport.close()
            return
        self.received.clear()
        self.needed = 0
        self.transport.write(self.load.next())

    def data_received(self, data: bytes) -> None:
        self.received += data
        if not self.needed:
            end = self.received.find(END)
            if end < 0:
                return
            at = self.received.lower().index(LENGTH, 0, end) + len(LENGTH)
            self.needed = end + len(END) + int(self.received[at : self.received.index(b"\r", at)])
        if len(self.received) >= self.needed:
            self.load.answered(self.asked, bytes(self.received[9:12]), self.needed)
            self.ask()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.is_over:
            self.load.errors += 1  # the server hung up
        self.done.set_result(None)


async def ask(task: LoadTask) -> LoadReport:
    """Ask until the time is over."""
    load, loop = _Load(task), asyncio.get_running_loop()
    opened = [
        await loop.create_connection(lambda: _Connection(load), "127.0.0.1", task.port) for _ in range(task.connections)
    ]
    async with asyncio.timeout(task.warm_up_s + task.seconds + PATIENCE_S):
        await asyncio.gather(*(connection.done for _, connection in opened))
    return LoadReport(load.took_ms, load.errors, load.bytes, task.seconds)


if __name__ == "__main__":
    report = uvloop.run(ask(msgspec.json.decode(sys.stdin.read(), type=LoadTask)))
    print(msgspec.json.encode(report).decode())
