"""The reader of an archiver: where it goes on says the archive, not what the group has committed."""

import logging
from collections.abc import Callable, Collection

from kafka import TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import IllegalStateError, KafkaError

from mindstream.settings import Settings
from stream.kafka.batch import RecordBatch
from stream.kafka.cluster import Cluster
from stream.kafka.group.commits import ANSWER_MS
from stream.kafka.group.reader import EventReader
from stream.kafka.group.start import seek_to_start
from stream.monitoring.metrics import Metrics
from stream.monitoring.observer import Observer

__all__ = ["ArchiveReader"]

log = logging.getLogger(__name__)


class ArchiveReader(EventReader):
    """A member of the archivers' group.

    What is read stays in memory for a while, so nothing is committed by polling on.

    Parameters
    ----------
    holds : tells whether records are read that are not archived yet.
    """

    def __init__(
        self,
        cluster: Cluster,
        settings: Settings,
        metrics: Metrics,
        gone: Callable[[Collection[TopicPartition]], None],
        holds: Callable[[], bool],
    ) -> None:
        self.holds = holds
        super().__init__(cluster, settings, metrics, gone, Observer())

    def _commit_passed(self) -> None:
        """Commit the positions of all partitions, unless something read is not archived yet."""
        if not self.holds():
            super()._commit_passed()

    @property
    def note(self) -> str | None:
        """Return what may look like trouble and is none; None if there is nothing to say."""
        if not self.partitions() and not self.membership.is_joining():
            return "the group gives this archiver no partitions: it has more archivers than the topic has partitions"
        return super().note

    def go_to(self, partition: TopicPartition, offset: int | None, start_ms: int) -> bool:
        """Read a partition on at an offset; tell whether that could be done.

        Parameters
        ----------
        offset : None: at the first record of a time or later.
        start_ms : that time (Unix, milliseconds); 0: at the beginning.
        """
        try:
            if offset is None:
                seek_to_start(self.consumer, [partition], start_ms, ANSWER_MS)
            else:
                self.consumer.seek(partition, offset)
        except (IllegalStateError, ValueError):  # not ours any more: which of them depends on the call
            return False
        except KafkaError as error:
            log.warning("where %s[%d] begins cannot be asked yet: %s", *partition, error)
            return False
        return True

    def commit_records(self, lasts: Collection[ConsumerRecord]) -> None:
        """Commit what is archived, so that others see how far the group is."""
        if lasts:
            self.commit(RecordBatch(list(lasts)))

    def ends(self) -> dict[TopicPartition, int]:
        """Return where our partitions end now.

        Raises
        ------
        OSError
            If the broker does not say it.
        """
        try:
            found: dict[TopicPartition, int] = self.consumer.end_offsets(list(self.partitions()), timeout_ms=ANSWER_MS)
        except KafkaError as error:
            raise OSError(f"the broker does not say where {self.settings.topic} ends: {error}") from error
        return found

    def position(self, partition: TopicPartition) -> int:
        """Return the offset at which a partition of ours is read on; 0 where that is not known."""
        try:
            return int(self.consumer.position(partition, timeout_ms=0) or 0)
        except (KafkaError, AssertionError):
            return 0
