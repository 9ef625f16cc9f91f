"""What happens when the group gives its partitions out anew."""

import logging
from collections.abc import Callable, Collection

from kafka import ConsumerRebalanceListener, TopicPartition

from stream.kafka.progress import partition_names
from stream.monitoring.metrics import Metrics

__all__ = ["Rebalances"]

log = logging.getLogger(__name__)


class Rebalances(ConsumerRebalanceListener):  # type: ignore[misc]  # kafka-python has no types
    """A listener that passes on what is taken away.

    What is read is done before each poll, so there is nothing to finish.

    Parameters
    ----------
    gone : all of them are told the partitions that are taken away.
    """

    def __init__(self, metrics: Metrics, *gone: Callable[[Collection[TopicPartition]], None]) -> None:
        self.metrics, self.gone = metrics, gone

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Count and log the partitions that are given to us."""
        self.metrics.rebalanced()
        log.info("now reading %s", partition_names(assigned))

    def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Pass on the partitions that are to be given back."""
        if revoked:
            log.info("no longer reading %s", partition_names(revoked))
            self.tell(revoked)

    def on_partitions_lost(self, lost: Collection[TopicPartition]) -> None:
        """Pass on the partitions that somebody else has by now."""
        log.warning("thought dead by the group; somebody else reads %s", partition_names(lost))
        self.tell(lost)

    def tell(self, partitions: Collection[TopicPartition]) -> None:
        """Tell everyone that partitions are taken away."""
        for told in self.gone:
            told(partitions)
