"""The watch over the topic's life: whether it was deleted, and made again."""

import logging
import time

from stream.kafka.group.contact import BrokerContact
from stream.kafka.group.offset_reset import OffsetReset
from stream.kafka.group.progress_watch import ProgressWatch
from stream.kafka.topic_life import TopicLife

__all__ = ["LIFE_CHECK_S", "LifeWatch"]

log = logging.getLogger(__name__)

LIFE_CHECK_S = 1.0


class LifeWatch:
    """A look at the topic now and then, which starts it over where it was made again.

    Attributes
    ----------
    checked : when it was last looked at (seconds, monotonic).
    is_same : whether it was just seen to be the topic whose offsets we have.
    """

    def __init__(self, life: TopicLife, reset: OffsetReset, progress: ProgressWatch, contact: BrokerContact) -> None:
        self.life, self.reset, self.progress, self.contact = life, reset, progress, contact
        self.checked, self.is_same = time.monotonic(), False

    def check(self) -> None:
        """Look at the topic if it is time to; start over where it was made again."""
        if time.monotonic() - self.checked < LIFE_CHECK_S:
            return
        self.checked = time.monotonic()
        was_gone = self.life.gone
        self.is_same = not self.reset.start_over_if_made_again() and not self.life.gone
        if self.life.trouble:
            self.contact.lost(self.life.trouble)
        elif self.contact.trouble:
            self.progress.look_soon()  # whether all is well
        if self.life.gone and not was_gone:
            log.error("%s", self.trouble)

    @property
    def trouble(self) -> str | None:
        """Return the sentence that says that the topic is gone; None where it is there."""
        if not self.life.gone:
            return None
        return (
            f"topic {self.life.topic} is gone from the broker: it was deleted, and is not made again by updaters; "
            "reading goes on by itself once somebody makes it"
        )
