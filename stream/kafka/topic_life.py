"""The identity of a topic, by which one that was deleted and made again is told from the one before."""

import logging
import time
from uuid import UUID

from kafka.errors import KafkaError, UnknownTopicOrPartitionError

from stream.kafka.cluster import BrokerAwayError, Cluster

__all__ = ["TopicLife"]

log = logging.getLogger(__name__)

TOPIC_KNOWN_WITHIN_S = 5.0
LIFE_ANSWER_MS = 5_000  # a broker that hangs must not keep a reader from its work for longer


class TopicLife:
    """The identity of a topic, which is another one after it was deleted and made again.

    Then it starts at offset 0.

    Apache Kafka gives every life a topic_id, since version 2.8. Where a broker gives none, the cluster's and the
    topic's name stand for it; that the topic was made again shows then where its log ends before what was read. All
    topics of the embedded broker live as long as the broker.

    Attributes
    ----------
    is_known : whether another life has another id.
    admin : the client that asks; None for the embedded broker.
    gone : whether the broker said when it was last asked that there is no such topic.
    trouble : why the broker could not be asked the last time; None where it could.

    Raises
    ------
    OSError
        If the broker cannot be asked, or does not know the topic.
    """

    def __init__(self, cluster: Cluster, topic: str) -> None:
        self.topic, self.is_known = topic, True
        self.gone = False
        self.trouble: str | None = None
        self.admin = None if cluster.life else cluster.admin(request_timeout_ms=LIFE_ANSWER_MS)
        self.id = cluster.life or self._ask_until_known() or ""
        if not self.id:
            self.close()
            where = f"topic {topic} on {cluster.bootstrap_servers}"
            if self.trouble:
                raise BrokerAwayError(f"{where} cannot be described: {self.trouble}")
            raise OSError(f"{where} is not there")

    def has_changed(self) -> bool:
        """Ask the broker again; tell whether the topic has another life, which `id` is then.

        While the broker does not answer, or the topic is gone and not made again yet, nothing has changed.
        """
        found = self._ask()
        if found in (None, self.id):
            return False
        self.id = found or self.id
        return True

    def _ask_until_known(self) -> str | None:
        """Ask until the topic is known.

        After another process has just made it, not every broker knows it at once.
        """
        deadline = time.monotonic() + TOPIC_KNOWN_WITHIN_S
        while (found := self._ask()) is None and time.monotonic() < deadline:
            time.sleep(0.1)
        return found

    def _ask(self) -> str | None:
        """Ask the broker for the topic's id.

        None if the broker does not answer, or has no such topic.
        """
        if self.admin is None:
            return None
        try:
            [described] = self.admin.describe_topics([self.topic])
            self.trouble, self.gone = None, described["error_code"] == UnknownTopicOrPartitionError.errno
            if described["error_code"]:
                return None
            given = described.get("topic_id")  # none in what brokers before 2.8 answer; some services give a zero
            return str(given) if given and UUID(str(given)).int else self._id_by_name()
        except KafkaError as error:
            self.trouble = str(error)
            return None

    def _id_by_name(self) -> str:
        """Return an identity for a topic that has no id."""
        assert self.admin is not None
        if self.is_known:
            log.warning(
                "this Kafka gives topics no ids (it is older than 2.8, or a service without them): if topic %s is "
                "deleted, make it again under another name, since its events could not be told from those of before",
                self.topic,
            )
        self.is_known = False
        return f"{self.admin.describe_cluster().get('cluster_id') or 'cluster'}/{self.topic}"

    def close(self) -> None:
        """Close the connection."""
        if self.admin is not None:
            self.admin.close()
