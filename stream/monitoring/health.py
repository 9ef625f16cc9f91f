"""The health of an updater: it beats after every step, and says so where something keeps it from working."""

import time
from collections.abc import Callable

__all__ = ["Health"]

PATIENCE_S = 30.0


class Health:
    """The health of a thread, which the thread tells and others ask for.

    Alive means that the thread goes on; only a restart helps one that does not. Ready means that it does its work, for
    which it may need others to be there.

    Parameters
    ----------
    patience_s : seconds without a beat that are no problem yet.
    clock : seconds that only ever grow.
    who : what the process is called in sentences.

    Attributes
    ----------
    waits_for : what the thread still needs before it is ready, as a sentence; None once it has it.
    note : what may look like a problem and is none, as a sentence; None where there is nothing to say.
    checks : each returns a sentence where what the thread needs does not answer now; asked from other threads.
    """

    def __init__(
        self, patience_s: float = PATIENCE_S, clock: Callable[[], float] = time.monotonic, who: str = "updater"
    ) -> None:
        self.patience_s, self.clock, self.who = patience_s, clock, who
        self.reason: str | None = None
        self.waits_for: str | None = f"the {who} is starting"
        self.note: str | None = None
        self.checks: list[Callable[[], str | None]] = []
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

    def silence(self) -> str | None:
        """Return a sentence if the thread has done nothing for too long; None if it is alive."""
        silent_s = self.clock() - self.last
        if silent_s > self.patience_s:
            most = f"{self.patience_s:.0f} s is the most that is usual"
            return f"the {self.who} has done nothing for {silent_s:.0f} s; {most}"
        return None

    def problem(self) -> str | None:
        """Return what is wrong, as a sentence; None if all is well."""
        return self.reason or self.silence()

    def unready(self) -> str | None:
        """Return why the thread does not do its work now, as a sentence; None if it does."""
        return self.problem() or self.waits_for or next((said for check in self.checks if (said := check())), None)
