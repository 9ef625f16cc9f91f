"""Where reading goes on in partitions whose offset is missing or no longer there; nothing is jumped over unsaid."""

import logging

from kafka import TopicPartition
from kafka.errors import KafkaError, LogTruncationError, NoOffsetForPartitionError, OffsetOutOfRangeError
from kafka.structs import OffsetAndMetadata

from stream.kafka.fetch.tolerant_fetch import TolerantConsumer
from stream.kafka.group.commits import ANSWER_MS, Commits
from stream.kafka.group.contact import BrokerContact
from stream.kafka.group.start import seek_to_start
from stream.kafka.topic_life import TopicLife
from stream.monitoring.metrics import Metrics

__all__ = ["OFFSET_ERRORS", "OffsetReset"]

log = logging.getLogger(__name__)

# Where offsets are not what they were, which `OffsetReset.after` puts right.
OFFSET_ERRORS = (NoOffsetForPartitionError, LogTruncationError, OffsetOutOfRangeError)
NO_LIFE = (
    "the log ends before it, so the topic was deleted and made again, or cut off; its events cannot be told from those "
    "of before, since this Kafka gives topics no ids (from 2.8 on it does): set another MINDSTREAM_TOPIC, or "
    "another MINDSTREAM_GROUP with an empty store"
)


class OffsetReset:
    """The way on from offsets that the group does not have, or that the broker has no more.

    Parameters
    ----------
    start_ms : where to begin partitions of which the group has committed nothing, see `seek_to_start`.
    """

    def __init__(
        self,
        consumer: TolerantConsumer,
        commits: Commits,
        life: TopicLife,
        metrics: Metrics,
        contact: BrokerContact,
        start_ms: int,
    ) -> None:
        self.consumer, self.commits, self.life, self.contact = consumer, commits, life, contact
        self.metrics, self.start_ms = metrics, start_ms

    def after(self, error: KafkaError) -> None:
        """Put right what one of OFFSET_ERRORS says.

        What cannot be asked now, the next poll says again.
        """
        if isinstance(error, LogTruncationError):
            log.error("%s; reading its start", error)
        if self.start_over_if_made_again():
            return
        if isinstance(error, NoOffsetForPartitionError):
            self._start(error.args[0])
        elif isinstance(error, LogTruncationError):
            self._start_at_the_beginning(set(error.divergent_offsets))
        else:
            self._recover(error.args[0])

    def start_over_if_made_again(self) -> bool:
        """Read a topic from its start if it was made again, and tell whether it was.

        Its events are new, whatever their offsets.
        """
        if not self.life.has_changed():
            return False
        log.warning("topic %s was made again, now with id %s; reading its start", self.life.topic, self.life.id)
        ours = self.consumer.assignment()  # none while the group is without the topic
        if ours:
            self.consumer.seek_to_beginning()
            # The last commit may have been of the old life and taken for the new one: then its start would be skipped.
            self.commits.add({one: OffsetAndMetadata(0, "", -1) for one in ours})
        return True

    def _start(self, partitions: set[TopicPartition]) -> None:
        """Begin partitions of which the group has committed nothing."""
        try:
            seek_to_start(self.consumer, partitions, self.start_ms, ANSWER_MS)
        except KafkaError as error:
            self.contact.lost(f"where to begin cannot be asked: {error}")

    def _start_at_the_beginning(self, partitions: set[TopicPartition]) -> None:
        """Read partitions from their beginning, as their log is another one now.

        Where they were read before after all, the events are replayed, which changes nothing.
        """
        self.commits.drop(partitions)
        self.consumer.seek_to_beginning(*partitions)

    def _recover(self, gone: dict[TopicPartition, int]) -> None:
        """Go on where the log begins after the broker removed what comes next.

        What is lost is counted and logged.
        """
        try:
            begins = self.consumer.beginning_offsets(list(gone), timeout_ms=ANSWER_MS)
        except KafkaError as error:
            log.warning("what is gone from %s cannot be asked yet: %s", list(gone), error)
            return
        for partition, offset in gone.items():
            if begins[partition] <= offset and not self.life.is_known:
                self.consumer.hold(partition, offset, NO_LIFE)
            else:
                self._go_on(partition, offset, begins[partition])

    def _go_on(self, partition: TopicPartition, offset: int, begin: int) -> None:
        """Read a partition from its beginning, and count what is lost between."""
        lost = max(0, begin - offset)  # none where the log was cut off, and ends before what was read
        self.metrics.count("lost", lost)
        where = f"{partition.topic}[{partition.partition}]@{offset}"
        # Marks of transactions and what compaction left out have offsets too; what is gone cannot be asked.
        log.error("%s is gone from the broker; going on at %d, up to %d events are lost", where, begin, lost)
        self.consumer.seek(partition, begin)
