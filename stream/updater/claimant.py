"""Who claims a store: an updater's topic and group, and how far the group has come."""

import logging

from kafka import TopicPartition
from kafka.errors import KafkaError

from mindstream.settings import Settings
from stream.kafka.cluster import Cluster

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
        consumer = self.cluster.consumer(self.group)  # never subscribes, so it is no member
        try:
            numbers = consumer.partitions_for_topic(self.topic) or ()
            partitions = [TopicPartition(self.topic, number) for number in numbers]
            starts = consumer.beginning_offsets(partitions, timeout_ms=ANSWER_MS)
            done = {one: consumer.committed(one, timeout_ms=ANSWER_MS) for one in partitions}
        except KafkaError as error:
            raise OSError(f"what group {self.group} has committed on {self.topic} cannot be read: {error}") from error
        finally:
            consumer.close(autocommit=False)
        return any((offset or 0) > starts[one] for one, offset in done.items())
