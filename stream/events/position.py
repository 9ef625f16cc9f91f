"""The place of an event on Kafka."""

import msgspec

__all__ = ["Position"]


class Position(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The place of an event on Kafka.

    Attributes
    ----------
    topic_life : identity of the topic. One that is deleted and made again has another and starts at offset 0.
    partition, offset : as Kafka counts them.
    """

    topic_life: str
    partition: int
    offset: int

    def same_log(self, other: "Position") -> bool:
        """Tell whether both stand on one partition of one topic.

        There offsets tell earlier from later.
        """
        return self.partition == other.partition and self.topic_life == other.topic_life

    def covers(self, other: "Position") -> bool:
        """Tell whether an event at `other` was applied by the time this one was."""
        return other.offset <= self.offset and self.same_log(other)
