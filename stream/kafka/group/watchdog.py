"""A watchdog that notices a partition with events to be read that does not move."""

from collections.abc import Mapping

from kafka import TopicPartition

from stream.kafka.progress import Progress

__all__ = ["Watchdog"]


class Watchdog:
    """A memory of since when each partition has stood still.

    Attributes
    ----------
    found : the partitions that were found stuck and have not moved since.

    Parameters
    ----------
    patience_s : how long a partition with events to be read may stand still; an open transaction is no reason.
    patience_polls : how many polls too, for each partition that is read: a poll brings records of one or two of them,
        so where batches take long the others wait for their turn.
    """

    def __init__(self, patience_s: float, patience_polls: int) -> None:
        self.patience_s, self.patience_polls = patience_s, patience_polls
        self.moved: dict[TopicPartition, tuple[int, float, int]] = {}  # the position; when and at what poll first seen
        self.found: dict[TopicPartition, int] = {}  # the position where it is stuck

    def stuck(self, progress: Mapping[TopicPartition, Progress], now: float, polls: int) -> list[TopicPartition]:
        """Return the partitions with events that stood still longer than the patience.

        `now` is in seconds.

        One that was named is named again only after as long a time.
        """
        before = self.moved
        self.moved = {
            partition: before[partition]
            if one.readable and partition in before and before[partition][0] == one.position
            else (one.position, now, polls)
            for partition, one in progress.items()
        }
        enough = self.patience_polls * len(progress)
        stuck = [
            partition
            for partition, (_, since, at) in self.moved.items()
            if now - since > self.patience_s and polls - at >= enough
        ]
        self.found = {
            partition: one.position
            for partition, one in progress.items()
            if partition in stuck or (one.readable and self.found.get(partition) == one.position)
        }
        self.moved |= {partition: (progress[partition].position, now, polls) for partition in stuck}
        return stuck

    def forgive(self) -> None:
        """Start counting anew, after a pause that has its reason."""
        self.moved = {}
