"""The health of an updater: it beats after every step, and says so where something keeps it from working."""

import time
from collections.abc import Callable

__all__ = ["Health"]

PATIENCE_S = 30.0


class Health:
    """The health of a thread, which the thread tells and others ask for.

    Parameters
    ----------
    patience_s : seconds without a beat that are no problem yet.
    clock : seconds that only ever grow.
    """

    def __init__(self, patience_s: float = PATIENCE_S, clock: Callable[[], float] = time.monotonic) -> None:
        self.patience_s, self.clock = patience_s, clock
        self.reason: str | None = None
        self.beat()

    def beat(self) -> None:
        """Note that a step is done."""
        self.last = self.clock()

    def stuck(self, reason: str) -> None:
        """Note that nothing goes on, for this reason (a sentence), until `well` is called."""
        self.reason = reason

    def well(self) -> None:
        """Note that what kept the thread from working is over."""
        self.reason = None

    def problem(self) -> str | None:
        """Return what is wrong, as a sentence; None if all is well."""
        if self.reason:
            return self.reason
        silent_s = self.clock() - self.last
        if silent_s > self.patience_s:
            return (
                f"the updater has done nothing for {silent_s:.0f} s; {self.patience_s:.0f} s is the most that is usual"
            )
        return None
