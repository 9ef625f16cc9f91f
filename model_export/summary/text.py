"""A log's summary as text for people."""

from model_export.evaluation.report import table
from model_export.summary.clues import FEW_EVENTS, of_all, said
from model_export.summary.figures import Summary

__all__ = ["as_text", "suspicious_text"]


def as_text(summary: Summary) -> str:
    """Return types, figures and suspicions, for below `InteractionLog.describe`."""
    return "\n\n".join([_types(summary), _figures(summary), suspicious_text(summary)])


def suspicious_text(summary: Summary) -> str:
    """Return the suspicions, one a line."""
    if not summary.suspicious:
        return "nothing looks suspicious"
    return "\n".join(["looks suspicious:", *(f"- {sentence}" for sentence in summary.suspicious)])


def _types(summary: Summary) -> str:
    """Return a table of the event types, and how many events count as behaviours."""
    rows = [
        (
            said(one.event_type)[1:-1],
            f"{one.events:,}",
            f"{100 * one.events / summary.events:.1f} %",
            "undo" if one.undoes else f"{one.weight:g}",
        )
        for one in summary.types
    ]
    counted = f"{of_all(summary.behaviours, summary.events)} events count as behaviours: those with a weight above 0"
    return f"{table(['event type', 'events', 'share', 'weight'], rows)}\n\n{counted}"


def _figures(summary: Summary) -> str:
    """Return the figures of times, users and items, below each other."""
    days = f"{summary.days:,} day{'s' * (summary.days != 1)}, {len(summary.by_day):,} with events"
    spread = f"median {summary.median_events:,g}, 99 % have at most {summary.p99_events:,.0f}"
    found = {
        "times (UTC)": f"{summary.first} to {summary.last}; {days}" if summary.timed else "none, only an order",
        "events a user": f"{spread}, the most is {summary.most_events:,}",
        "heaviest user": f"{said(summary.heaviest_user)} with {of_all(summary.most_events, summary.events)} events",
        "users with a single event": of_all(summary.users_with_one, summary.users),
        f"items with fewer than {FEW_EVENTS} events": of_all(summary.items_with_few, summary.items),
        "repeats (the user had the item before)": f"{100 * summary.repeats:.1f} % of the events",
        "exact duplicates": of_all(summary.duplicates, summary.events) if summary.timed else "not known without times",
    }
    width = max(map(len, found))
    return "\n".join(f"{name.ljust(width)}  {value}" for name, value in found.items())
