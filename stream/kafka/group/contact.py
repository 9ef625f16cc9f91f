"""Whether the broker answers, as the reader has last heard."""

import logging
import time

__all__ = ["BrokerContact"]

log = logging.getLogger(__name__)


class BrokerContact:
    """A memory of whether the broker answers, which logs the change alone.

    Attributes
    ----------
    trouble : why it does not answer, as a sentence; None where it does.
    """

    def __init__(self) -> None:
        self.trouble: str | None = None
        self.lost_at = 0.0

    def lost(self, reason: str) -> None:
        """Take note that the broker does not answer; log the first time."""
        if self.trouble is None:
            log.warning("the broker does not answer (%s); reading goes on when it does", reason)
            self.lost_at = time.monotonic()
        self.trouble = f"the broker does not answer: {reason}"

    def found(self) -> None:
        """Take note that the broker answers; log where it did not before."""
        if self.trouble is not None:
            log.info("the broker answers again, after %.0f s", time.monotonic() - self.lost_at)
        self.trouble = None
