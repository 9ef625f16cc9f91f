"""Cancellation of work that nobody waits for any more; compiled loops look at it too."""

import numpy as np

__all__ = ["Cancellation", "CancelledWorkError"]


class CancelledWorkError(Exception):
    """Work that was stopped between two steps, since nobody waits for it any more."""


class Cancellation:
    """A flag that whoever asked sets from any thread, and that the work looks at between its steps.

    Attributes
    ----------
    flag : bool (1,), an array since compiled loops without Python's lock read it.
    """

    def __init__(self) -> None:
        self.flag = np.zeros(1, dtype=np.bool_)

    def cancel(self) -> None:
        """Ask the work to stop; it does at its next step."""
        self.flag[0] = True

    @property
    def is_set(self) -> bool:
        """Tell whether the work is to stop."""
        return bool(self.flag[0])

    def check(self) -> None:
        """Raise CancelledWorkError if the work is to stop."""
        if self.flag[0]:
            raise CancelledWorkError
