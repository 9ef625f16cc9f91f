"""Connections that are bounded: in number, in the size of headers and bodies, and in the time that each part takes."""

import http
import math
import sys
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from index.api.errors import JSON, MOST_BYTES, Refusal
from index.api.metrics import ApiMetrics

__all__ = ["MOST_HEADER_BYTES", "BoundedConnection", "ConnectionLimits", "bounded"]

MOST_HEADER_BYTES = 65_536  # of the request line and all headers together, and of the trailers behind a body
MOST_HEADERS = 100  # of both, as Apache takes
MOST_PIECES = 4_000  # of a body, for each costs a call: a megabyte in chunks of 250 bytes
MOST_TOGETHER = 100  # requests that wait in one connection
MOST_SENT = 8 * MOST_BYTES  # for a body, with what frames its chunks
HEADERS, BODY, WORK = "headers", "body", "work"  # what a connection waits for
TOO_LARGE = f"the request line and headers are too large: at most {MOST_HEADER_BYTES:,} bytes, {MOST_HEADERS} headers"
IN_PIECES = f"the body comes in too small pieces; the most is {MOST_PIECES:,}"
TOGETHER = f"too many requests were sent without waiting for an answer; the most is {MOST_TOGETHER}"


class ConnectionLimits:
    """The limits of all connections of a server.

    Parameters
    ----------
    most : connections that are open at once.
    transfer_s : seconds within which headers, then the body, must have come, and then an answer have been taken.
    metrics : which connections were closed is counted there.
    pages_may_read : whether pages of other origins may read why a connection is closed. Its sentences tell nothing of
        anybody, and the origin of the page is not known where the headers were not read.
    """

    def __init__(self, most: int, transfer_s: float, metrics: ApiMetrics, pages_may_read: bool = False) -> None:
        self.most, self.transfer_s, self.metrics, self.pages_may_read = most, transfer_s, metrics, pages_may_read
        self.open: set[BoundedConnection] = set()

    async def sweep(self) -> None:
        """Close the connections whose time is over; this is to be called every second."""
        for connection in list(self.open):
            connection.close_if_late()

    def add(self, connection: "BoundedConnection") -> None:
        """Note a connection that was taken."""
        self.open.add(connection)
        self.metrics.connections(len(self.open))

    def discard(self, connection: "BoundedConnection") -> None:
        """Note that a connection is open no more, if it was taken."""
        self.open.discard(connection)
        self.metrics.connections(len(self.open))

    def make_room(self) -> bool:
        """Make room for one more connection; tell whether there is.

        Of those that have sent nothing to be answered the one that has been so the longest is closed. Otherwise
        connections that do nothing could keep everybody out, also who asks for the health.
        """
        if len(self.open) < self.most:
            return True
        idle = min((one for one in self.open if one.waits_for != WORK), key=lambda one: one.since, default=None)
        if idle is not None:
            self.metrics.closed("full")
            idle.drop()
        return idle is not None


class BoundedConnection(HttpToolsProtocol):
    """An HTTP/1.1 connection of uvicorn that is closed when it is slow, silent or too large.

    Attributes
    ----------
    waits_for : HEADERS (nothing of a request was read, or a part of them), BODY, or WORK (a request was read whole).
    since : time of the event loop at which that began; of a connection that is kept alive, its last answer.
    """

    limits: ConnectionLimits

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.waits_for, self.since = HEADERS, self.loop.time()
        self.received = 0  # bytes of the headers, or of the body, as they came
        self.unread = 0  # bytes since the parser gave us something; it copies them all whenever more come
        self.header_bytes = self.headers_read = self.pieces = 0  # that were parsed of the headers, or of the body
        self.is_kept_alive = False  # uvicorn's own timer ends it, until something comes
        self.unsent_since = math.inf  # time at which an answer waited for the client
        self.is_refused = False
        self.running: RequestResponseCycle | None = None  # uvicorn's own `cycle` is the one that was read last

    def connection_made(self, transport: Any) -> None:
        """Take a connection, or refuse it where all others are at work."""
        if not self.limits.make_room():
            self.limits.metrics.closed("full")
            self.transport = transport
            self.refuse(503, f"{self.limits.most:,} connections are open already; ask again later")
            return
        self.limits.add(self)
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection."""
        self.limits.discard(self)
        self._tell_the_work()
        if self.flow is not None:  # else it was never taken
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read bytes, unless the connection was refused."""
        if self.is_refused:
            return
        if self.waits_for == HEADERS and self.is_kept_alive:
            self.is_kept_alive, self.since = False, self.loop.time()
        self.received += len(data)
        self.unread += len(data)
        super().data_received(data)
        if self.is_refused:
            return
        if self.waits_for == HEADERS and self.received > MOST_HEADER_BYTES:
            self.refuse_and_count("headers_large", 431, TOO_LARGE)
        elif self.waits_for == BODY and max(self.unread - MOST_HEADER_BYTES, self.received - MOST_SENT) > 0:
            self.limits.metrics.closed("body_large")  # it was answered 413 long ago, or is a trailer without an end
            self.drop()

    def on_message_begin(self) -> None:
        """Begin to read a request, maybe while the one before is worked on."""
        if len(self.pipeline) >= MOST_TOGETHER:
            self._stop("together", 429, TOGETHER)
        super().on_message_begin()
        self._wait_for(HEADERS)

    def on_headers_complete(self) -> None:
        """Begin a request, whose headers are not too large."""
        if not self.is_refused:
            self._wait_for(BODY)
            super().on_headers_complete()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header, but none that stands behind the body: nobody reads those."""
        self.headers_read += 1
        self._count_header(len(name) + len(value) + len(": \r\n"))
        if self.waits_for == HEADERS:
            super().on_header(name, value)

    def on_url(self, url: bytes) -> None:
        """Keep a part of the address."""
        self._count_header(len(url))
        super().on_url(url)

    def _count_header(self, size: int) -> None:
        """Count bytes of headers that came in one piece."""
        self.header_bytes += size
        self.unread = 0
        if self.header_bytes > MOST_HEADER_BYTES or self.headers_read > MOST_HEADERS:
            self._stop("headers_large", 431, TOO_LARGE)

    def on_body(self, body: bytes) -> None:
        """Read a part of a body, unless the connection was refused."""
        self.pieces += 1
        self.unread = 0
        if self.pieces > MOST_PIECES:
            self._stop("body_large", 413, IN_PIECES)
        if not self.is_refused:
            super().on_body(body)

    def _stop(self, reason: str, status: int, sentence: str) -> None:
        """Refuse what is being parsed, and raise the ValueError that ends the parsing of the rest."""
        if not self.is_refused:
            self.refuse_and_count(reason, status, sentence)
        raise ValueError(sentence)

    def on_message_complete(self) -> None:
        """Note that a request was read whole."""
        if not self.is_refused:
            is_answered = self.cycle.response_complete
            self._wait_for(HEADERS if is_answered else WORK)
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request, and within its time for the rest of a refused body."""
        if self.waits_for == WORK and not self.pipeline:
            self._wait_for(HEADERS)
        self.is_kept_alive = self.waits_for == HEADERS
        super().on_response_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Begin to work on a request; on those that were sent together one after the other."""
        self.running = cycle
        super()._start_asgi_task(cycle, app)

    def _wait_for(self, what: str) -> None:
        """Note what a connection waits for from now on."""
        self.waits_for, self.since, self.received, self.unread = what, self.loop.time(), 0, 0
        self.header_bytes = self.headers_read = self.pieces = 0

    def close_if_late(self) -> None:
        """Close the connection if its time is over."""
        now, allowed_s = self.loop.time(), self.limits.transfer_s
        self.unsent_since = min(self.unsent_since, now) if self.transport.get_write_buffer_size() else math.inf
        if now - self.unsent_since > allowed_s:
            self.limits.metrics.closed("answer_late")
            self.drop()
        elif now - self.since > allowed_s and self._is_awaited():
            self.limits.metrics.closed(f"{self.waits_for}_late")
            said = f"the {self.waits_for} did not come within {allowed_s:g} s (MINDSTREAM_API_TRANSFER_S)"
            self.refuse(408, said, is_asked=self.received > 0 or self.waits_for == BODY)

    def _is_awaited(self) -> bool:
        """Tell whether the connection waits for bytes of its client, and for nothing else."""
        is_working = self.waits_for == WORK or self.flow.read_paused
        return not (is_working or self.is_kept_alive or self.is_refused)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP; uvicorn calls this where parsing ended with an error."""
        if not self.is_refused:
            why = f": {fault}" if (fault := sys.exception()) else ""  # of the parser
            self.refuse_and_count("malformed", 400, f"this is no HTTP/1.1 request{why}")

    def refuse_and_count(self, reason: str, status: int, sentence: str) -> None:
        """Count a connection that is refused, and close it with an answer."""
        self.limits.metrics.closed(reason)
        self.refuse(status, sentence)

    def refuse(self, status: int, sentence: str, is_asked: bool = True) -> None:
        """Close the connection, with an answer if something was asked and none was begun."""
        self.is_refused = True
        if self.cycle is not None and not self.cycle.response_complete:
            is_asked = self.running is None or self.running.response_complete or not self.running.response_started
            self._tell_the_work()
        elif self.waits_for == BODY and self.cycle is not None:
            is_asked = False  # the request was answered before its body had come
        if is_asked:
            self.transport.write(_answer(status, sentence, self.limits.pages_may_read))
        self.transport.close()

    def _tell_the_work(self) -> None:
        """Let whoever reads a body or answers know that the client is gone."""
        for cycle in (self.running, self.cycle):
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()

    def drop(self) -> None:
        """Close the connection at once, whatever was not sent yet."""
        self.is_refused = True
        self._tell_the_work()
        self.limits.discard(self)
        self.transport.abort()


def bounded(limits: ConnectionLimits) -> type[BoundedConnection]:
    """Return the class of a server's connections, since uvicorn makes them."""
    return type("Connection", (BoundedConnection,), {"limits": limits})


def _answer(status: int, sentence: str, pages_may_read: bool) -> bytes:
    """Write an answer after which the connection is closed."""
    body = msgspec.json.encode(Refusal(sentence))
    head = f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}\r\ncontent-type: {JSON}\r\n"
    if pages_may_read:
        head += "access-control-allow-origin: *\r\n"
    return f"{head}content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body
