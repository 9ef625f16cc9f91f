"""A library that repeats itself is heard once, and then now and then; its clock is the test's."""

import logging
from collections.abc import Iterator

import pytest

from mindstream.repeats import Repeats


class Heard(logging.Handler):
    """A handler that keeps what is let through, by a clock that the test moves."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.lines = 0.0, list[str]()
        self.addFilter(Repeats("noisy", clock=lambda: self.now))

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


def fail(error: Exception) -> None:
    """Log an exception as a client of Kafka does at its sockets, whatever it is."""
    try:
        raise error
    except Exception:
        logging.getLogger("noisy.net").exception("Error receiving network data")


@pytest.fixture
def heard() -> Iterator[Heard]:
    handler, root = Heard(), logging.getLogger()
    root.addHandler(handler)
    yield handler
    root.removeHandler(handler)


def test_the_first_line_of_a_kind_and_one_a_minute_with_a_count(heard: Heard) -> None:
    noisy = logging.getLogger("noisy.net")
    for number in range(70):
        heard.now = number
        noisy.error("request %d failed", number)
    assert heard.lines == ["request 0 failed", "request 60 failed (59 lines like this one were left out)"]


def test_all_that_say_that_a_broker_is_away_are_of_one_kind(heard: Heard) -> None:
    fail(ConnectionResetError(104, "Connection reset by peer"))
    fail(TimeoutError())
    logging.getLogger("noisy.fetcher").error("Fetch to node %d failed: %s", 1, "KafkaConnectionError: 111 ECONNREFUSED")
    logging.getLogger("noisy.cluster").error("Metadata refresh: failed %s", "NodeNotReadyError: 1")
    logging.getLogger("noisy.cluster").error("topic %s is not authorized", "clicks")
    assert heard.lines == [
        "Error receiving network data (ConnectionResetError: [Errno 104] Connection reset by peer)",
        "topic clicks is not authorized",
    ]


def test_a_traceback_is_shown_only_where_it_tells_something(heard: Heard) -> None:
    """An exception of sockets or files stands in its line; one of another kind is a fault in the code."""
    fail(OSError("certificate verify failed"))
    assert heard.lines == ["Error receiving network data (OSError: certificate verify failed)"]
    logging.getLogger("noisy.net").error("no exception", exc_info=True)
    heard.now = 60.0
    fail(KeyError("topic_id"))
    assert heard.lines[2].startswith("Error receiving network data\nTraceback (most recent call last):\n")
    assert heard.lines[2].endswith("KeyError: 'topic_id'")


def test_others_may_repeat_themselves(heard: Heard) -> None:
    for _ in range(3):
        logging.getLogger("noisy2").error("again")
    assert heard.lines == ["again"] * 3
