"""Suspicions about what was left out of a log, and about a log that is too small."""

from model_export.summary.clues import Clues, count_of, of_all, said
from model_export.summary.suspicious_ids import swapped

__all__ = ["malformed", "outside_of_times", "too_little", "without_a_time", "without_a_user", "without_an_item"]

MUCH = 0.05  # of the rows, left out for one reason
LEAST_USERS, LEAST_ITEMS, LEAST_EVENTS = 20, 2, 100


def without_a_user(clues: Clues) -> str | None:
    """Say that many rows have no user."""
    others = [note for note in clues.log.notes if "may hold the user" in note]
    known = clues.log.columns.get("user", "COLUMN")
    way = f"; {others[0]}" if others else f": another column may hold it; --user {known},OTHER takes it where it is"
    return _lost(clues, "without a user", way)


def without_an_item(clues: Clues) -> str | None:
    """Say that many rows have no item."""
    known = clues.log.columns.get("item", "COLUMN")
    return _lost(
        clues,
        "without an item",
        f": they are about something else, such as searches, or --item {known},OTHER takes another column where it is",
    )


def without_a_time(clues: Clues) -> str | None:
    """Say that many rows have no time that can be read."""
    column = clues.log.columns.get("time")
    there = f" in {said(column)}" if column else ""
    return _lost(
        clues,
        "without a readable",
        f"{there}: --time names another column, --time-format says how times are written, --untimed takes the order",
    )


def outside_of_times(clues: Clues) -> str | None:
    """Say that many rows have a time that no log has."""
    return _lost(
        clues,
        "with a time outside of",
        ": a wrong unit (--time-format), default dates, or a column that is no time (--time)",
    )


def malformed(clues: Clues) -> str | None:
    """Say that many lines could not be read."""
    return _lost(
        clues,
        "malformed",
        ": --delimiter, --quote or --columns say how the file is laid out, if it is not damaged; the notes show a line",
    )


def _lost(clues: Clues, reason: str, way: str) -> str | None:
    """Say that many rows are left out for a reason, and what to do about it."""
    dropped = clues.log.dropped
    rows = len(clues.events) + sum(dropped.values())
    reasons = {one: count for one, count in dropped.items() if one.startswith(reason)}
    count = sum(reasons.values())
    if count <= MUCH * rows:
        return None
    return f"{of_all(count, rows)} rows are left out, {', '.join(one for one in reasons if reasons[one])}{way}"


def too_little(clues: Clues) -> str | None:
    """Say that there are too few users, items or events to learn from."""
    users, items, events = len(clues.events.users.counts), len(clues.events.items.counts), len(clues.events)
    if users >= LEAST_USERS and items >= LEAST_ITEMS and events >= LEAST_EVENTS:
        return None
    if swapped(clues):
        return None
    return (
        f"too little to learn from: {count_of(events, 'interaction')} of {count_of(users, 'user')} with "
        f"{count_of(items, 'item')}; right are at least {LEAST_EVENTS} interactions, {LEAST_USERS} users and "
        f"{LEAST_ITEMS} items, and far more are better"
    )
