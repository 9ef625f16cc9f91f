"""The cluster that the environment configures, or the embedded broker of this home."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from mindstream import settings
from stream.kafka.cluster import Cluster
from stream.kafka.embedded_broker import EmbeddedBroker, running_embedded

__all__ = ["any_cluster", "existing_cluster", "reachable_cluster"]

log = logging.getLogger("stream")


@contextmanager
def any_cluster() -> Iterator[Cluster]:
    """Yield the configured Kafka, else the running embedded broker, else one of our own.

    Our own runs while the block lasts.
    """
    found = existing_cluster(settings.load())
    if found:
        yield found
        return
    with EmbeddedBroker(settings.load().state) as broker:
        log.info("no Kafka is configured; the embedded broker serves at %s", broker.cluster.bootstrap_servers)
        yield replace(broker.cluster, partitioner=settings.load().partitioner)


def existing_cluster(configured: settings.Settings) -> Cluster | None:
    """Return the configured Kafka, else the embedded broker that some process runs, else None."""
    found = Cluster.configured(configured) or running_embedded(configured.state)
    return found and replace(found, partitioner=configured.partitioner)


def reachable_cluster() -> Cluster:
    """Return the existing cluster, or raise OSError if there is none.

    For commands that make no sense with a broker of their own.
    """
    found = existing_cluster(settings.load())
    if found is None:
        raise OSError(
            "no Kafka is configured (KAFKA_BOOTSTRAP_SERVERS) and no embedded broker runs for "
            f"{settings.load().state}; start one with `mindstream stream run` or `mindstream stream broker`"
        )
    return found
