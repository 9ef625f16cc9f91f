"""The end of an archiver that archives what is on the topic now, and no more."""

import logging
from collections.abc import Collection

from kafka import TopicPartition

from stream.archive.reader import ArchiveReader
from stream.archive.state import Log

__all__ = ["Goal"]

log = logging.getLogger(__name__)


class Goal:
    """The ends of the partitions, as they were when each was first ours."""

    def __init__(self, reader: ArchiveReader) -> None:
        self.reader = reader
        self.ends: dict[TopicPartition, int] = {}

    def is_reached(self, begun: Collection[Log]) -> bool:
        """Tell whether all that was on our partitions has been read.

        Parameters
        ----------
        begun : the partitions that are read from where the archive ends.
        """
        ours, numbers = self.reader.partitions(), {number for _, number in begun}
        if not ours:
            return self._has_none()
        if self.reader.membership.is_joining() or any(one.partition not in numbers for one in ours):
            return False
        if ours - self.ends.keys():
            try:
                self.ends = self.reader.ends() | self.ends
            except OSError as error:
                log.warning("%s", error)
                return False
        return all(self.reader.position(one) >= self.ends[one] for one in ours)

    def _has_none(self) -> bool:
        """Tell whether other members of the group have all partitions."""
        if self.reader.membership.is_joining() or self.reader.note is None:
            return False
        log.warning(
            "other archivers of group %s have all partitions: nothing is left to do", self.reader.settings.group
        )
        return True
