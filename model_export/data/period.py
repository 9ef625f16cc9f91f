"""A log's events between two dates."""

from dataclasses import replace
from datetime import UTC, datetime

from model_export.data.interactions import InteractionLog

__all__ = ["events_between"]


def events_between(log: InteractionLog, since: datetime | None, until: datetime | None) -> InteractionLog:
    """Return the log from one date on (UTC) and before another; None leaves a side open.

    Raises
    ------
    ValueError
        If there are none, or the log has an order but no times.
    """
    if since is None and until is None:
        return log
    options = " ".join(f"--{name} {date:%Y-%m-%d}" for name, date in (("since", since), ("until", until)) if date)
    if not log.timed:
        raise ValueError(f"{log.source} has no times, only an order, so it cannot be cut ({options})")
    some = log if since is None else log.after(_milliseconds(since) - 1)
    some = some if until is None else some.before(_milliseconds(until))
    if not len(some.events):
        times = log.events.event_time_ms
        first, last = (datetime.fromtimestamp(int(time) / 1_000, UTC) for time in (times.min(), times.max()))
        raise ValueError(
            f"{log.source} has no events there ({options}); it goes from {first:%Y-%m-%d} to {last:%Y-%m-%d}"
        )
    outside = {f"outside of {options}": len(log.events) - len(some.events)}
    return replace(some, dropped=log.dropped | outside)


def _milliseconds(date: datetime) -> int:
    """Return the Unix time of a date in UTC."""
    return int(date.replace(tzinfo=UTC).timestamp() * 1_000)
