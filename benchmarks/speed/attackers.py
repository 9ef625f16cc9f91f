"""Attackers of the HTTP API for a benchmark: each kind in threads of its own, again and again, until it is over."""

import json
import os
import socket
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from threading import Event
from typing import Any

from benchmarks.harness.background import Threads
from testbed.hostile_clients import HOSTILE, PATIENCE_S, answer_to, deaf_client, status_of

__all__ = ["HELD", "Attackers"]

SLOW, OFTEN = 20, 2  # clients of each slow or silent kind, and of each other
PAUSE_S = 0.5  # between two attacks of a client
ABANDONED_AFTER_S = 0.3
DEAF_ANSWERS = 100
HELD = "abandoned", "deaf"  # hang up by themselves, and are answered nothing


class Attackers(Threads):
    """Clients of all hostile kinds, while a context lasts.

    Parameters
    ----------
    items, user_id : of the catalogue and the store that are served.
    only : the kinds that attack; none named: all.

    Attributes
    ----------
    answers : (kind, status) -> how often that was answered; 0: the server hung up without an answer.

    Raises
    ------
    ValueError
        If there is no such kind.
    """

    def __init__(self, port: int, items: Sequence[str], user_id: str, only: Sequence[str] = ()) -> None:
        self.port, self.answers = port, Counter[tuple[str, int]]()
        self.kinds: dict[str, Callable[[], int]] = {
            kind: lambda begin=begin: status_of(answer_to(port, begin()))  # type: ignore[misc]
            for kind, begin in HOSTILE.items()
        }
        visitors = [{"history": items[at : at + 50]} for at in range(100)]
        values = [str(number) for number in range(1_000)]
        options = {"diversity": 0.1, "quota": 2, "max_cosine": 0.9}
        self.kinds |= {
            "too heavy": lambda: self._post({"visitors": visitors, "n": 1_000, **options}),
            "heavy": lambda: self._post({"visitors": visitors, "n": 100, **options}),
            "many faults": lambda: self._post({"where": {f"a{number}": 1 for number in range(25_000)}}),
            "many names": lambda: self._post({"where": {f"a{number}": 1 for number in range(70_000)}}),
            "many numbers": lambda: self._post({"exclude": [1.2345678901234567e-300] * 35_000}),
            "nested": lambda: self._send_body(b"[" * 900_000),
            "many values": lambda: self._post({"user_ids": [user_id], "where": {"category": values}}),
            "abandoned": lambda: self._abandon({"visitors": visitors, "n": 100, **options}),
            "deaf": lambda: self._be_deaf(f"/users/{user_id}/recommendations?n=1000"),
        }
        if unknown := sorted(set(only) - self.kinds.keys()):
            raise ValueError(f"--only is {unknown[0]!r}; right are {', '.join(sorted(self.kinds))}")
        super().__init__(
            [
                partial(self._attack, kind)
                for kind in only or self.kinds
                for _ in range(SLOW if "slow" in kind or kind == "silent" else OFTEN)
            ]
        )

    def _attack(self, kind: str) -> None:
        """Attack again and again, with what others leave of the machine."""
        _work_last()
        while not self.stopping.wait(PAUSE_S):
            try:
                status = self.kinds[kind]()
            except ConnectionError:
                status = 0
            self.answers[kind, status] += 1

    def _post(self, body: dict[str, Any]) -> int:
        """Ask for recommendations, and return the status."""
        return self._send_body(json.dumps(body).encode())

    def _send_body(self, body: bytes) -> int:
        """Send a body whole, and return the status."""
        return status_of(answer_to(self.port, [_request(body)]))

    def _abandon(self, body: dict[str, Any]) -> int:
        """Ask, and leave before there is an answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S) as client:
            client.sendall(_request(json.dumps(body).encode()))
            self.stopping.wait(ABANDONED_AFTER_S)
        return 0

    def _be_deaf(self, path: str) -> int:
        """Ask for very much, read nothing, and wait until the server has had enough."""
        with deaf_client(self.port, path, DEAF_ANSWERS) as client:
            _wait_until_cut_off(client, self.stopping)
        return 0


def _work_last() -> None:
    """Let everybody else go before this thread: the attackers' own work is not to be measured."""
    if sys.platform == "linux":
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    else:
        os.setpriority(os.PRIO_PROCESS, 0, 19)


def _wait_until_cut_off(client: socket.socket, stopping: Event) -> None:
    """Return once the server has cut off a client, or all is over."""
    while not stopping.wait(PAUSE_S):
        try:
            client.send(b"\r\n")
        except ConnectionError:
            return


def _request(body: bytes) -> bytes:
    """Write a request for recommendations after which the connection is to be closed."""
    head = (
        "POST /recommendations HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n"
    )
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
