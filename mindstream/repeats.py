"""A filter of logs for a library that repeats itself: the first line of a kind, then one a minute with a count."""

import logging
import re
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass

__all__ = ["Repeats"]

# Whatever a client of Kafka says, in many words and several times a second, while one broker is away.
AWAY = re.compile(
    r"ConnectionError|TimeoutError|NodeNotReadyError|RequestTimedOut|CoordinatorNotAvailable|No node available|ECONN"
    r"|Connection ?(reset|refused|aborted)|Broken ?pipe|timed out|No route to host|socket disconnected",
    re.IGNORECASE,
)


@dataclass
class _Kind:
    """What is remembered of lines that say the same: when one was last let through, and how many were not since."""

    passed: float
    left_out: int = 0


class Repeats(logging.Filter):
    """A filter, for a handler, that lets few of the lines of one library through.

    Lines are of one kind where they are made of the same words but for the values in them; so are all that say that
    a broker cannot be reached, in the line or in the exception that it shows. What is let through after others were
    left out says how many. An exception of sockets or files stands in the line, without its traceback.

    Parameters
    ----------
    library : the logger above all of the library's.
    every_s : seconds for which lines of a kind are left out after one was let through.
    clock : seconds that only ever grow.
    """

    def __init__(self, library: str, every_s: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(library)
        self.every_s, self.clock = every_s, clock
        self.kinds: dict[Hashable, _Kind] = {}
        self.lock = threading.Lock()  # handlers ask their filters before they take their own

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a line is let through; those of other libraries are."""
        if not super().filter(record):
            return True
        error, message = record.exc_info[1] if record.exc_info else None, record.getMessage()
        is_away = AWAY.search(f"{message} {_words_of(error)}") is not None
        with self.lock:
            left_out = self._left_out("away" if is_away else (record.name, record.msg))
        if left_out is None:
            return False
        said = message
        if error is not None and (is_away or isinstance(error, OSError)):  # a traceback of sockets
            record.exc_info = record.exc_text = None
            said += f" ({_words_of(error)})"
        if left_out:
            said += f" ({left_out} lines like this one were left out)"
        if said != message:
            record.msg, record.args = said, ()
        return True

    def _left_out(self, kind: Hashable) -> int | None:
        """Return how many lines of a kind were left out before this one.

        None if this one is left out too.
        """
        now = self.clock()
        known = self.kinds.get(kind)
        if known is not None and now - known.passed < self.every_s:
            known.left_out += 1
            return None
        self.kinds[kind] = _Kind(now)
        return known.left_out if known else 0


def _words_of(error: BaseException | None) -> str:
    """Write an exception as its traceback ends; nothing where there is none."""
    return "" if error is None else f"{type(error).__name__}: {error}".removesuffix(": ")
