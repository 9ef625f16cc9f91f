"""The rest of an updater of the embedded broker: not while events come, and over at once when one is announced."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from stream.updater import rest
from stream.updater.rest import AWAKE_S, Rest


class Clock:
    """Seconds that a test moves."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_rest_is_due_once_nothing_has_come_for_a_while() -> None:
    clock = Clock()
    resting = Rest(clock)
    due = []
    steps = [(0.0, "nothing"), (AWAKE_S, "records"), (1.0, "no records"), (AWAKE_S - 1, "wake"), (0.1, "")]
    for later, happens in steps:
        clock.now += later
        due.append(resting.is_due())
        if happens == "records":
            resting.polled(["a record"])
        if happens == "no records":
            resting.polled([])
        if happens == "wake":
            resting.wake()
    assert due == [False, True, False, True, False]


@contextmanager
def in_a_thread(resting: Rest) -> Iterator[threading.Thread]:
    thread = threading.Thread(target=resting.take)
    thread.start()
    try:
        yield thread
    finally:
        resting.wake()
        thread.join()


def test_who_announces_an_event_ends_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "LOOK_EVERY_S", 600)
    resting = Rest()
    with in_a_thread(resting) as thread:
        resting.wake()
        thread.join(60)
        assert not thread.is_alive()
    resting.wake()
    resting.take()  # what was announced before the rest began ends it too


def test_a_rest_ends_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "LOOK_EVERY_S", 0.01)
    Rest().take()
