"""Who claims a store: an updater's topic and group, and how far the group has come."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from mindstream.settings import Settings
from stream.kafka.cluster import BrokerAwayError, Cluster
from stream.kafka.group.commits import parts_of
from stream.kafka.progress import Standing, ask_standings

__all__ = ["UpdaterClaim"]

log = logging.getLogger(__name__)

ANSWER_MS = 10_000


class UpdaterClaim:
    """An updater as the store sees it, see `Claimant`.

    Kafka is asked only by a store that wants to know.

    Parameters
    ----------
    life : identity of the topic.
    """

    def __init__(self, cluster: Cluster, settings: Settings, life: str) -> None:
        self.cluster = cluster
        self.topic, self.group, self.life = settings.topic, settings.group, life

    def cluster_id(self) -> str:
        """Return the id of the Kafka cluster; empty if unknown, or new at each start."""
        if self.cluster.life:
            return ""
        admin = self.cluster.admin()
        try:
            return str(admin.describe_cluster().get("cluster_id") or "")
        except KafkaError as error:
            log.debug("the cluster's id is not known: %s", error)
            return ""
        finally:
            admin.close()

    def is_past_the_start(self) -> bool:
        """Tell whether the group has committed that it is past events that the topic still has.

        Raises
        ------
        OSError
            If the broker does not say it.
        """
        return any((one.committed or 0) > one.first for one in self._standings())

    def has_begun(self) -> bool:
        """Tell whether the group has committed an offset on any partition of the topic.

        Raises
        ------
        OSError
            If the broker does not say it.
        """
        return any(one.committed is not None for one in self._standings())

    def noted_marks(self) -> list[str]:
        """Return the marks of the store that the group has committed beside its offsets.

        Raises
        ------
        OSError
            If the broker does not say it.
        """
        with self._asking() as consumer:
            partitions = [TopicPartition(self.topic, one) for one in consumer.partitions_for_topic(self.topic) or ()]
            found = [consumer.committed(one, metadata=True, timeout_ms=ANSWER_MS) for one in partitions]
        return [parts_of(one.metadata)[1] for one in found if one is not None]

    def _standings(self) -> list[Standing]:
        """Ask where the group stands on each partition."""
        with self._asking() as consumer:
            return list(ask_standings(consumer, None, self.topic, ANSWER_MS).values())

    @contextmanager
    def _asking(self) -> Iterator[KafkaConsumer]:
        """Yield a consumer of the group that never subscribes, so it is no member."""
        consumer = self.cluster.consumer(self.group)
        try:
            yield consumer
        except KafkaError as error:
            raise BrokerAwayError(
                f"what group {self.group} has committed on {self.topic} cannot be read: {error}"
            ) from error
        finally:
            consumer.close(autocommit=False)
