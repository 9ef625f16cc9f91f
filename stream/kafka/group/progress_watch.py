"""The watch over a reader's progress: its lag, open transactions, and partitions that do not move."""

import logging
import time
from collections.abc import Callable

from kafka import TopicPartition
from kafka.errors import KafkaError

from stream.kafka.fetch.tolerant_fetch import TolerantConsumer
from stream.kafka.group.commits import ANSWER_MS
from stream.kafka.group.contact import BrokerContact
from stream.kafka.group.membership import Membership
from stream.kafka.group.offset_reset import OFFSET_ERRORS
from stream.kafka.group.watchdog import Watchdog
from stream.kafka.progress import OpenTransactions, Progress, ask_progress, partition_names
from stream.kafka.topic_life import TopicLife
from stream.monitoring.metrics import Metrics

__all__ = ["WATCH_S", "ProgressWatch"]

log = logging.getLogger(__name__)

WATCH_S = 10.0
STUCK_S = 30.0
STUCK_POLLS = 20


class ProgressWatch:
    """A look at the lag now and then, which acts where a partition has events and does not move.

    Attributes
    ----------
    watched : when it was last looked (seconds, monotonic).

    Parameters
    ----------
    join_anew : leaves the group, and joins it by another consumer; raises OSError where no broker answers.
    """

    def __init__(
        self,
        consumer: TolerantConsumer,
        membership: Membership,
        life: TopicLife,
        metrics: Metrics,
        contact: BrokerContact,
        join_anew: Callable[[], None],
    ) -> None:
        self.consumer, self.membership, self.life = consumer, membership, life
        self.metrics, self.contact, self.join_anew = metrics, contact, join_anew
        self.transactions = OpenTransactions()
        self.watchdog, self.watched = Watchdog(STUCK_S, STUCK_POLLS), time.monotonic()
        self.tried: dict[TopicPartition, int] = {}  # the position at which joining anew was tried last

    def look_soon(self) -> None:
        """Look with the next `check`, however short ago the last one was."""
        self.watched = 0.0

    def check(self, polls: int, paused: bool) -> None:
        """Look at the lag if it is time to.

        Parameters
        ----------
        polls : how many there were so far.
        paused : whether reading is paused, so that nothing is to move.

        Raises
        ------
        KafkaError
            One of OFFSET_ERRORS, where a position is not known for such a reason.
        """
        if time.monotonic() - self.watched < WATCH_S:
            return
        self.watched = time.monotonic()
        self.membership.make_sure_of_name()
        try:
            progress = ask_progress(self.consumer, self.life.admin, self.consumer.assignment(), ANSWER_MS)
        except OFFSET_ERRORS:
            raise
        except KafkaError as error:
            self.metrics.progress({})  # unknown
            if not self.life.gone:
                self.contact.lost(str(error))
            return
        self.contact.found()
        self.transactions.look(progress, self.watched)
        self.metrics.progress({one.partition: (found.lag, found.held) for one, found in progress.items()})
        if not paused:
            self._act_if_stuck({one: found for one, found in progress.items() if one not in self.consumer.held}, polls)

    def _act_if_stuck(self, progress: dict[TopicPartition, Progress], polls: int) -> None:
        """Join anew if a partition has had events for long and has not moved.

        Where that was of no use, the log may be damaged there: then it is read around.
        """
        stuck = self.watchdog.stuck(progress, self.watched, polls)
        damaged = [one for one in stuck if self.tried.get(one) == progress[one].position]
        self.tried |= {one: progress[one].position for one in stuck}
        for partition in damaged:
            self.consumer.read_around(partition, f"it has sent nothing for {STUCK_S:.0f} s")
        if stuck:
            self.metrics.stuck(len(stuck))
        if set(stuck) - set(damaged) and not self.membership.is_joining():  # leaving would wait for that
            log.error("%s has events and did not move for %.0f s; joining anew", partition_names(stuck), STUCK_S)
            try:
                self.join_anew()
            except OSError as error:
                self.contact.lost(str(error))

    @property
    def trouble(self) -> str | None:
        """Return which partitions do not move, as a sentence; None if all do."""
        stuck = self.watchdog.found
        return f"{partition_names(stuck)} has events and does not move" if stuck else None
