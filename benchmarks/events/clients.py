"""Clients that post events over HTTP, each on a connection of its own, and note what became of every request."""

import http.client
import json
import random
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from benchmarks.harness.background import Background

__all__ = [
    "ACCEPTED",
    "IN_DOUBT",
    "NOT_WRITTEN",
    "REFUSED",
    "UNEXPECTED",
    "Client",
    "Posted",
    "all_posted",
    "result_of",
]

# What an answer says has become of the events of a request.
ACCEPTED, REFUSED, NOT_WRITTEN, IN_DOUBT = "accepted", "refused", "not_written", "in_doubt"
UNEXPECTED = "unexpected"  # no answer, or one that the API does not know
START_MS = 1_720_000_000_000
MOST_EVENTS = 5  # of a request
BAD_EVERY = 20  # requests; one event of it is not valid
BREAK_S = 0.05  # between two requests of a client
PATIENCE_S = 60.0
AGAIN_S = 0.5  # after an answer that Kafka takes nothing
BAD = '{"user_id":"nobody","item_id":""}'


@dataclass(frozen=True)
class Posted:
    """A request and what became of it.

    Attributes
    ----------
    values : its events as they were sent.
    at, took_s : when it was sent (time.monotonic), and the seconds until its answer.
    """

    key: bytes
    values: tuple[bytes, ...]
    result: str
    at: float
    took_s: float


class Client(Background):
    """A client that posts until it is stopped; each event is another one, all of a client of one user.

    Attributes
    ----------
    posted : what was sent so far.
    """

    def __init__(self, port: int, number: int) -> None:
        super().__init__()
        self.port, self.user, self.events = port, f"user-{number} ü", 0
        self.choose = random.Random(number)
        self.posted: list[Posted] = []

    def work(self) -> None:
        """Post until it is stopped, on one connection as long as that lives."""
        while not self.stopping.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
            with suppress(OSError, http.client.HTTPException):
                while not self.stopping.is_set():
                    self._post(connection)
            connection.close()

    def _post(self, connection: http.client.HTTPConnection) -> None:
        """Post a request, and note what becomes of it; raise what the connection raises."""
        events = [self._event() for _ in range(self.choose.randint(1, MOST_EVENTS))]
        is_bad = len(self.posted) % BAD_EVERY == 1
        body = events[0] if len(events) == 1 and not is_bad else f"[{' , '.join([*events, *[BAD] * is_bad])}]"
        at, result = time.monotonic(), UNEXPECTED
        try:
            connection.request("POST", "/events", body.encode(), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            result = result_of(answer.status, answer.read())
        finally:
            values = tuple(event.encode() for event in events)
            self.posted.append(Posted(self.user.encode(), values, result, at, time.monotonic() - at))
        self.stopping.wait(BREAK_S if result in (ACCEPTED, REFUSED) else AGAIN_S)

    def _event(self) -> str:
        """Make an event as no encoder of ours would write it."""
        self.events += 1
        time_ms, item = START_MS + self.events, self.choose.randrange(1_000)
        return f'{{"item_id": "item-{item}",  "price":1.10, "event_time_ms":{time_ms},"user_id":"{self.user}"}}'


def result_of(status: int, body: bytes) -> str:
    """Return what an answer says has become of the events of a request."""
    if status in (202, 422):
        return ACCEPTED if status == 202 else REFUSED
    with suppress(ValueError, KeyError, TypeError):
        if status == 503:
            return IN_DOUBT if json.loads(body)["in_doubt"] else NOT_WRITTEN
    return UNEXPECTED


def all_posted(clients: Sequence[Client]) -> list[Posted]:
    """Return what all of them have sent."""
    return [one for client in clients for one in client.posted]
