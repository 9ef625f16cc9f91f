"""The log of dead letters: the first ones are named, and then they are counted; nothing of their content is in it."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable

from stream.dead_letters.writer import DeadLetter

__all__ = ["LetterLog"]

log = logging.getLogger(__name__)

NAMED = 10
EVERY_S = 60.0


class LetterLog:
    """A log of at most `NAMED` lines, and then one in `EVERY_S` seconds, however many letters there are.

    What an error says of a value stands in the letter alone: logs are kept elsewhere and read by others.

    Parameters
    ----------
    clock : seconds that only ever grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.named, self.since = 0, clock()
        self.uncounted: Counter[str] = Counter()  # letters that no line has told of, by reason

    def note(self, letters: Iterable[DeadLetter]) -> None:
        """Log letters that were written, or count them for the next line."""
        for letter in letters:
            if self.named < NAMED:
                self.named += 1
                _log_letter(letter)
            else:
                self.uncounted[letter.error.reason] += 1
        self.tell()

    def tell(self) -> None:
        """Say once in a while how many there were.

        After as long without any, the next ones are named again.
        """
        if self.clock() - self.since < EVERY_S:
            return
        self.since = self.clock()
        if self.uncounted:
            by_reason = ", ".join(f"{count:,} {reason}" for reason, count in self.uncounted.most_common())
            log.warning("%d more dead letters: %s; `mindstream stream dlq list`", self.uncounted.total(), by_reason)
            self.uncounted.clear()
        else:
            self.named = 0


def _log_letter(letter: DeadLetter) -> None:
    """Log where a dead letter came from, and the reason."""
    record = letter.record
    where = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
    log.warning("dead letter: %s: %s; `mindstream stream dlq list`", letter.source, letter.error.reason, extra=where)
