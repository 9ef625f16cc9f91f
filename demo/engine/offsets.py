"""Progress of the updaters: offsets written to the topic, and offsets that their group has committed."""

from dataclasses import dataclass

from kafka import TopicPartition
from kafka.errors import KafkaError

from mindstream.settings import Settings
from stream.kafka.cluster import Cluster
from stream.kafka.progress import ask_standings

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
            standings = ask_standings(self.consumer, None, self.settings.topic, ANSWER_MS).values()
            numbers = self.consumer.partitions_for_topic(self.settings.dead_letter_topic) or ()
            letters = [TopicPartition(self.settings.dead_letter_topic, number) for number in numbers]
            buried = self.consumer.end_offsets(letters, timeout_ms=ANSWER_MS)
        except KafkaError as error:
            raise OSError(f"the broker does not say how far {self.settings.topic} was read: {error}") from error
        written, done = sum(one.end for one in standings), sum(one.committed or one.first for one in standings)
        return TopicProgress(written, done, sum(buried.values()))

    def close(self) -> None:
        """Close the connection to the broker."""
        self.consumer.close()
