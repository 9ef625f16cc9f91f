"""The way to an archiver: the cluster that has the topic, the archive, and what must be said before the first event."""

from mindstream.settings import Settings
from stream.archive.archive import Archive
from stream.archive.archiver import Archiver, Pace
from stream.archive.first_start import check_first_archive
from stream.archive.metrics import ArchiveMetrics
from stream.events.decoders import RecordDecoder
from stream.kafka.cluster import BrokerAwayError, Cluster
from stream.kafka.connect import reachable_cluster
from stream.kafka.topics import check_topic
from stream.monitoring.health import Health

__all__ = ["open_archiver"]


def open_archiver(
    archive: Archive,
    decoder: RecordDecoder,
    configured: Settings,
    pace: Pace,
    metrics: ArchiveMetrics,
    health: Health,
    start_ms: int | None = None,
) -> Archiver:
    """Return an archiver of the configured topic, a new member of its group.

    Parameters
    ----------
    start_ms : where to begin a topic that is new to the archive, where that was said.

    Raises
    ------
    BrokerAwayError
        If no broker answers, or there is no such topic yet.
    ValueError
        If it has to be said first where it begins.
    """
    cluster = _cluster_with_topic(configured)
    made = Archiver(cluster, archive, decoder, configured, pace, metrics, health, start_ms or 0)
    try:
        if not cluster.life:  # the embedded broker starts empty each time
            check_first_archive(archive, made.first_life, start_ms)
    except BaseException:
        made.close()
        raise
    return made


def _cluster_with_topic(configured: Settings) -> Cluster:
    """Return the cluster, once it has the topic: the first updater makes it."""
    cluster = reachable_cluster()
    cluster.check()
    try:
        check_topic(cluster, configured.topic)
    except BrokerAwayError:
        raise
    except OSError as error:
        raise BrokerAwayError(str(error)) from error
    return cluster
