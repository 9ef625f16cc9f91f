"""What a broker says of a topic: whether it is there, and for how long it keeps records."""

import logging
import time
from collections.abc import Mapping, Sequence
from math import ceil

from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError, UnknownTopicOrPartitionError

from mindstream.settings import Settings
from stream.kafka.cluster import Cluster

__all__ = ["FOR_EVER_MS", "NoTopicError", "check_topic", "is_gone", "kept_ms", "warn_of_short_markers"]

log = logging.getLogger(__name__)

KNOWN_WITHIN_S = 2.0  # after another process has just made a topic, not every broker knows it at once
FOR_EVER_MS = -1  # as Kafka writes it
DAY_MS = 86_400_000
MOST_DAYS = 36_500  # of MINDSTREAM_MARKER_DAYS


class NoTopicError(OSError):
    """The broker answers, and has no such topic."""


def check_topic(cluster: Cluster, topic: str) -> None:
    """Raise NoTopicError if there is no such topic, and OSError if the broker cannot be asked.

    The embedded broker makes a topic when it is asked for, so there every topic is.
    """
    try:
        gone = is_gone(cluster, topic, KNOWN_WITHIN_S)
    except KafkaError as error:
        raise OSError(f"the broker does not say whether there is a topic {topic}: {error}") from error
    if gone:
        raise NoTopicError(
            f"there is no topic {topic} on {cluster.bootstrap_servers}; is MINDSTREAM_TOPIC right? Where updaters have "
            "read it before, it was deleted, and nobody makes it again but you: with as many partitions as it had "
            f"(`kafka-topics.sh --create --topic {topic} --partitions N`); updaters that run go on by themselves. "
            "Where all is new, the first updater makes it (`mindstream stream run`)"
        )


def is_gone(cluster: Cluster, topic: str, known_within_s: float = 0.0) -> bool:
    """Tell whether the broker says that there is no such topic.

    Parameters
    ----------
    known_within_s : how long to ask again: not every broker knows a topic at once that was just made.

    Raises
    ------
    OSError, KafkaError
        If the broker cannot be asked, or refuses the answer.
    """
    if cluster.life:
        return False
    deadline = time.monotonic() + known_within_s
    admin = cluster.admin()
    try:
        while admin.describe_topics([topic])[0]["error_code"] == UnknownTopicOrPartitionError.errno:
            if time.monotonic() > deadline:
                return True
            time.sleep(0.1)
        return False
    finally:
        admin.close()


def kept_ms(cluster: Cluster, topics: Sequence[str]) -> dict[str, int]:
    """Return for how long topics keep records, in milliseconds.

    FOR_EVER_MS if they delete none.

    A topic of which the broker does not say it, or may not say it to us, is left out.
    """
    if cluster.life:
        return {}
    asked = [ConfigResource(ConfigResourceType.TOPIC, topic, ["retention.ms", "cleanup.policy"]) for topic in topics]
    try:
        admin = cluster.admin()
        try:
            found = admin.describe_configs(asked, config_filter="all").get("topic", {})
        finally:
            admin.close()
    except (KafkaError, OSError) as error:
        log.debug("for how long %s keep records cannot be asked: %s", topics, error)
        return {}
    return {topic: _kept_ms(settings) for topic, settings in found.items() if "retention.ms" in settings}


def _kept_ms(configured: Mapping[str, Mapping[str, str]]) -> int:
    """Return what a topic's configuration says of how long it keeps records."""
    policy = configured.get("cleanup.policy", {"value": "delete"})["value"]
    return int(configured["retention.ms"]["value"]) if "delete" in policy else FOR_EVER_MS


def warn_of_short_markers(cluster: Cluster, settings: Settings) -> None:
    """Log a warning if a topic keeps records longer than markers of forgotten users stay.

    Read again or redriven after that, an old event would bring the user back.
    """
    for topic, ms in kept_ms(cluster, [settings.topic, settings.dead_letter_topic]).items():
        days = ms / DAY_MS
        if ms == FOR_EVER_MS or days > settings.marker_days:
            log.warning(
                "%s keeps records %s, but that a user was forgotten is remembered for %g days: an older event that is "
                "read again may bring the user back; set MINDSTREAM_MARKER_DAYS to %g or more",
                topic,
                "for ever" if ms == FOR_EVER_MS else f"for {days:g} days",
                settings.marker_days,
                MOST_DAYS if ms == FOR_EVER_MS else min(MOST_DAYS, ceil(days)),
            )
