"""The figures of a log: its span, types, users, items, repeats, duplicates and days."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from mindstream.behaviour_rule import BehaviourRule
from model_export.data.interactions import InteractionLog
from model_export.summary.clues import FEW_EVENTS, Clues
from model_export.summary.coded import CodedEvents, coded_events
from model_export.summary.suspicions import suspicions

__all__ = ["Summary", "TypeCount", "summarise"]

DAY_MS = 86_400_000
BLOCK = 1 << 20


@dataclass(frozen=True)
class TypeCount:
    """An event type, its number of events, and the weight that the rule gives it."""

    event_type: str
    events: int
    weight: float
    undoes: bool


@dataclass(frozen=True)
class Summary:
    """A log in figures.

    Attributes
    ----------
    columns, dropped, notes, timed : as in InteractionLog.
    first, last : time of the first and last event (ISO, UTC); None if the log has only an order.
    days : calendar days (UTC) from the first event to the last; 0 if the log has only an order.
    rule : which types count as behaviours.
    types : event types, the most frequent first.
    behaviours : events that count as behaviours.
    median_events, p99_events, most_events : events a user.
    heaviest_user : user with the most events.
    repeats : share of the events whose user had an event with the item before.
    duplicates : events that repeat an earlier one in user, item, type and time; 0 if the log has only an order.
    items_with_few : items with fewer than FEW_EVENTS events.
    users_with_one : users with a single event.
    by_day : day (ISO, UTC) -> events, for days with events; empty if the log has only an order.
    suspicious : sentences on what looks wrong, and what to do about it.
    """

    source: str
    columns: dict[str, str]
    dropped: dict[str, int]
    notes: tuple[str, ...]
    timed: bool
    events: int
    users: int
    items: int
    first: str | None
    last: str | None
    days: int
    rule: str
    types: tuple[TypeCount, ...]
    behaviours: int
    median_events: float
    p99_events: float
    most_events: int
    heaviest_user: str
    repeats: float
    duplicates: int
    items_with_few: int
    users_with_one: int
    by_day: dict[str, int]
    suspicious: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return everything as values that JSON has."""
        return asdict(self)


def summarise(log: InteractionLog, rule: BehaviourRule, now_ms: int | None = None) -> Summary:
    """Summarise a log of events of all types.

    Parameters
    ----------
    now_ms : Unix time from which on events are in the future; None: the present.
    """
    events = coded_events(log)
    types = type_counts(events, rule)
    duplicates = count_duplicates(events) if log.timed else 0
    now_ms = int(datetime.now(UTC).timestamp() * 1_000) if now_ms is None else now_ms
    a_user = events.users.counts
    by_day = events_by_day(events.times) if log.timed else {}
    return Summary(
        source=log.source,
        columns=log.columns,
        dropped={reason: count for reason, count in log.dropped.items() if count},
        notes=log.notes,
        timed=log.timed,
        events=len(events),
        users=len(events.users.values),
        items=len(events.items.values),
        first=_moment(events.times[0]) if log.timed else None,
        last=_moment(events.times[-1]) if log.timed else None,
        days=int(events.times[-1] // DAY_MS - events.times[0] // DAY_MS) + 1 if log.timed else 0,
        rule=str(rule),
        types=types,
        behaviours=sum(one.events for one in types if one.weight > 0),
        median_events=float(np.median(a_user)),
        p99_events=float(np.percentile(a_user, 99)),
        most_events=int(a_user.max()),
        heaviest_user=str(events.users.values[int(a_user.argmax())]),
        repeats=1 - count_pairs(events) / len(events),
        duplicates=duplicates,
        items_with_few=int((events.items.counts < FEW_EVENTS).sum()),
        users_with_one=int((a_user == 1).sum()),
        by_day=by_day,
        suspicious=suspicions(Clues(log, rule, events, duplicates, now_ms)),
    )


def type_counts(events: CodedEvents, rule: BehaviourRule) -> tuple[TypeCount, ...]:
    """Count the events of each type, the most frequent type first."""
    both = sorted(
        zip(events.types.values, events.types.counts.tolist(), strict=True), key=lambda one: (-one[1], one[0])
    )
    return tuple(TypeCount(str(name), count, rule.weight(name), rule.undoes(name)) for name, count in both)


def count_pairs(events: CodedEvents) -> int:
    """Count the different pairs of user and item."""
    pairs = events.pairs()
    pairs.sort()
    return int(np.count_nonzero(pairs[1:] != pairs[:-1])) + 1


def count_duplicates(events: CodedEvents, block: int = BLOCK) -> int:
    """Count events that repeat an earlier one in user, item, type and time.

    Parameters
    ----------
    block : events looked at together; more if they are of one time, which the log has beside each other.
    """
    found, start = 0, 0
    while start < len(events):
        last = events.times[min(start + block, len(events)) - 1]
        rows = slice(start, int(np.searchsorted(events.times, last, side="right")))
        keys = events.pairs(rows) * len(events.types.values) + events.types.codes[rows]
        times = events.times[rows]
        order = np.lexsort((keys, times))
        found += int(np.count_nonzero((np.diff(times[order]) == 0) & (np.diff(keys[order]) == 0)))
        start = rows.stop
    return found


def events_by_day(times: np.ndarray) -> dict[str, int]:
    """Return day (ISO, UTC) -> events, in order, for days with events.

    Parameters
    ----------
    times : int64 (n,), Unix milliseconds, ascending.
    """
    days = times // DAY_MS
    starts = np.flatnonzero(np.diff(days, prepend=days[0] - 1))
    counts = np.diff(starts, append=len(days))
    return {str(np.datetime64(int(day), "D")): int(count) for day, count in zip(days[starts], counts, strict=True)}


def _moment(time_ms: int) -> str:
    """Return date and time (ISO, UTC) of Unix milliseconds."""
    return str(np.datetime64(int(time_ms), "ms").astype("datetime64[s]")).replace("T", " ")
