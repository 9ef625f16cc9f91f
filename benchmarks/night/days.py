"""The days of a log: those that the old model knows, the one that is published, and the next, which judges both."""

from dataclasses import dataclass

from model_export.data.interactions import InteractionLog

__all__ = ["DAY_MS", "Days", "days_of"]

DAY_MS = 86_400_000


@dataclass(frozen=True)
class Days:
    """A log in three parts, one after the other.

    Attributes
    ----------
    known : what the old model is trained on.
    published : the events that come in by the topic, before the night.
    following : the log's last day (UTC), which neither model is trained on.
    following_ms : when that day begins, Unix time in milliseconds.
    """

    known: InteractionLog
    published: InteractionLog
    following: InteractionLog
    following_ms: int


def days_of(log: InteractionLog, events: int) -> Days:
    """Cut a log at the beginning of its last day (UTC), and so many events before.

    Raises
    ------
    ValueError
        If the log has no times, or not more events than these before its last day.
    """
    if not log.timed:
        raise ValueError(f"{log.source} has no times, only an order; a night needs days")
    following_ms = int(log.events.event_time_ms.iloc[-1]) // DAY_MS * DAY_MS
    past = log.before(following_ms)
    if len(past.events) <= events:
        raise ValueError(
            f"{log.source} has {len(past.events):,} events before its last day; of these {events:,} are to be "
            "published (--events), and the old model needs some before them"
        )
    known, published = past.events.iloc[:-events], past.events.iloc[-events:]
    return Days(
        past.with_events(known.reset_index(drop=True)),
        past.with_events(published.reset_index(drop=True)),
        log.after(following_ms - 1),
        following_ms,
    )
