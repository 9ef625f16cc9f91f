"""What became of a batch's events, for the metrics: each event is counted by one result, see `metrics.RESULTS`."""

import time
from collections.abc import Container, Iterable, Sequence

from stream.monitoring.metrics import Metrics
from stream.store.state import Applied, Arrival
from stream.updater.pending_batch import PendingBatch

__all__ = ["count_applied", "count_stored"]


def count_applied(
    metrics: Metrics, events: Iterable[list[Arrival]], applied: Sequence[Applied], known_items: Container[str]
) -> None:
    """Count the events of users who are written.

    Parameters
    ----------
    events : of each of these users.
    applied : of those who had new ones.
    known_items : item_ids that the model knows; behaviours with others are counted once more, as `unknown_item`.
    """
    looked_at = sum(one.events + one.forgotten_before for one in applied)
    metrics.count("replayed", sum(map(len, events)) - looked_at)
    metrics.count("applied", sum(len(one.behaviours) for one in applied))
    metrics.count("overruled", sum(one.overruled for one in applied))
    metrics.count("negative", sum(one.negative for one in applied))
    metrics.count("undone", sum(one.undone for one in applied))
    metrics.count("duplicate", sum(one.duplicates for one in applied))
    metrics.count("forgotten", sum(one.forgotten for one in applied))
    metrics.count("forgotten_before", sum(one.forgotten_before for one in applied))
    metrics.count("unknown_item", sum(item_id not in known_items for one in applied for item_id in one.behaviours))


def count_stored(metrics: Metrics, pending: PendingBatch) -> None:
    """Count what else a batch was, once all of it is stored: its age, and what is ignored."""
    now, records = time.time(), pending.batch.records
    metrics.stored(now - record.timestamp / 1000 for record in records if record.timestamp >= 0)
    metrics.count("ignored", pending.ignored.total())
