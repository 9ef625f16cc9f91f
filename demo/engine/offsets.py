"""Progress of the updaters: offsets written to the topic, and offsets that their group has committed."""

from dataclasses import dataclass

from kafka import TopicPartition
from kafka.errors import KafkaError

from mindstream.settings import Settings
from stream.kafka.cluster import Cluster

__all__ = ["Offsets", "TopicProgress"]

ANSWER_MS = 3_000


@dataclass(frozen=True)
class TopicProgress:
    """Events written and events done, over all partitions; the topic's dead letters."""

    written: int
    done: int
    letters: int

    @property
    def lag(self) -> int:
        """Return how many events no updater has done yet."""
        return max(0, self.written - self.done)


class Offsets:
    """Asks the broker, so it is right for updaters of other processes too. For one thread at a time.

    Raises
    ------
    OSError
        If the broker does not answer; `read` too.
    """

    def __init__(self, cluster: Cluster, settings: Settings) -> None:
        self.settings = settings
        self.consumer = cluster.consumer(settings.group)  # never subscribes, so it is no member of the group

    def read(self) -> TopicProgress:
        """Ask the broker how far the updaters are now."""
        try:
            partitions = self.partitions(self.settings.topic)
            begins = self.consumer.beginning_offsets(partitions, timeout_ms=ANSWER_MS)
            ends = self.consumer.end_offsets(partitions, timeout_ms=ANSWER_MS)
            done = [self.consumer.committed(one, timeout_ms=ANSWER_MS) or begins[one] for one in partitions]
            letters = self.partitions(self.settings.dead_letter_topic)
            buried = self.consumer.end_offsets(letters, timeout_ms=ANSWER_MS)
        except KafkaError as error:
            raise OSError(f"the broker does not say how far {self.settings.topic} was read: {error}") from error
        return TopicProgress(sum(ends.values()), sum(done), sum(buried.values()))

    def partitions(self, topic: str) -> list[TopicPartition]:
        """Return the partitions of a topic."""
        return [TopicPartition(topic, number) for number in self.consumer.partitions_for_topic(topic) or ()]

    def close(self) -> None:
        """Close the connection to the broker."""
        self.consumer.close()
