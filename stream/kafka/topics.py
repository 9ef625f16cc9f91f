"""What a broker says of a topic: whether it is there, and for how long it keeps events."""

import logging
import time

from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError, UnknownTopicOrPartitionError

from stream.kafka.cluster import Cluster

__all__ = ["FOR_EVER_MS", "check_topic", "kept_ms"]

log = logging.getLogger(__name__)

KNOWN_WITHIN_S = 2.0  # after another process has just made a topic, not every broker knows it at once
FOR_EVER_MS = -1  # as Kafka writes it


def check_topic(cluster: Cluster, topic: str) -> None:
    """Raise OSError if there is no such topic, or if the broker cannot be asked.

    The embedded broker makes a topic when it is asked for, so there every topic is.
    """
    if cluster.life:
        return
    deadline = time.monotonic() + KNOWN_WITHIN_S
    admin = cluster.admin()
    try:
        while admin.describe_topics([topic])[0]["error_code"] == UnknownTopicOrPartitionError.errno:
            if time.monotonic() > deadline:
                raise OSError(
                    f"there is no topic {topic} on {cluster.bootstrap_servers}; is MINDSTREAM_TOPIC right? "
                    "The first updater makes it (`mindstream stream run`)"
                )
            time.sleep(0.1)
    except KafkaError as error:
        raise OSError(f"the broker does not say whether there is a topic {topic}: {error}") from error
    finally:
        admin.close()


def kept_ms(cluster: Cluster, topic: str) -> int | None:
    """Return for how long a topic keeps events (milliseconds), FOR_EVER_MS where it deletes none.

    None where the broker does not say it, or may not say it to us.
    """
    if cluster.life:
        return None
    try:
        admin = cluster.admin()
        try:
            found = admin.describe_configs(
                [ConfigResource(ConfigResourceType.TOPIC, topic, ["retention.ms", "cleanup.policy"])],
                config_filter="all",
            )
        finally:
            admin.close()
        values = {name: one["value"] for name, one in found["topic"][topic].items()}
        return int(values["retention.ms"]) if "delete" in values["cleanup.policy"] else FOR_EVER_MS
    except (KafkaError, OSError, KeyError, TypeError, ValueError) as error:
        log.debug("for how long %s keeps events cannot be asked: %s", topic, error)
        return None
