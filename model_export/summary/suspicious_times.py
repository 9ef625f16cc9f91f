"""Suspicions about times: dates without times, gaps, a future, far outliers, a wrong unit."""

import numpy as np

from model_export.summary.clues import Clues, count_of, date, of_all

__all__ = ["at_one_moment", "far_apart", "gap", "in_the_future", "long_ago", "without_time_of_day"]

DAY_MS, SECOND_MS = 86_400_000, 1_000
MOST = 0.5
LONG_AGO_MS = 788_918_400_000  # 1995-01-01: few logs of users with items are older
OUTLIERS = 0.001  # share of the events at one end
THEIR_SPAN = 0.5  # share of the log's time range that they take
LEAST_SPAN_MS = 60 * DAY_MS
OUTSIDE = 20  # times the range of the others, if the events are few
MANY = 1_000
LONGEST_GAP_DAYS = 3
USUAL_GAPS = 4.0  # times the usual length of a gap
COVERED = 0.5  # share of the days that have events


def at_one_moment(clues: Clues) -> str | None:
    """Say that most events are within one second."""
    if clues.few or not len(clues.times):
        return None
    seconds = clues.times // SECOND_MS
    starts = _starts(seconds)
    lengths = np.diff(starts, append=len(seconds))
    if (count := int(lengths.max())) <= MOST * len(seconds):
        return None
    when = str(np.datetime64(int(seconds[starts[lengths.argmax()]]), "s")).replace("T", " ")
    return (
        f"{of_all(count, len(clues.times))} events are within one second, {when}: probably the time of an export or a "
        "default; --time names the column of the events' own times, --untimed takes the order of the rows instead"
    )


def without_time_of_day(clues: Clues) -> str | None:
    """Say that most events of several days are at the same time of day."""
    if clues.few or at_one_moment(clues) or len(_days(clues.times)) < 2:
        return None
    counts = np.bincount(clues.times % DAY_MS // SECOND_MS)
    value, count = int(counts.argmax()), int(counts.max())
    if count <= MOST * len(clues.times):
        return None
    clock = f"{value // 3600:02}:{value // 60 % 60:02}:{value % 60:02}"
    return (
        f"{of_all(count, len(clues.times))} events are at {clock}: dates without a time of day; within a day the order "
        "of the rows counts, and if the file is not in order the last interest of a user is a guess (is there another "
        "column, for --time date,time?)"
    )


def in_the_future(clues: Clues) -> str | None:
    """Say that events are later than now."""
    later = len(clues.times) - int(np.searchsorted(clues.times, clues.now_ms + DAY_MS, side="right"))
    if not later:
        return None
    return (
        f"{of_all(later, len(clues.times))} events are in the future, up to {date(clues.times[-1])}: a wrong unit or "
        "order of day and month (--time-format), or the end of something (an offer, a subscription) taken for its time "
        "(--time)"
    )


def long_ago(clues: Clues) -> str | None:
    """Say that all events are before anybody kept such logs."""
    if not len(clues.times) or clues.times[-1] >= LONG_AGO_MS:
        return None
    last = date(clues.times[-1])
    return f"the last event is of {last}: a wrong unit, or a number that is no time (--time-format, --time)"


def far_apart(clues: Clues) -> str | None:
    """Say that very few events at one end take most of the time range."""
    times = clues.times
    if len(times) < 2 or times[-1] - times[0] < LEAST_SPAN_MS:
        return None
    few = max(1, int(len(times) * OUTLIERS))
    if few >= len(times) - 1:
        return None
    for count, from_, to, rest in (
        (few, times[0], times[few], times[-1] - times[few]),
        (few, times[-1 - few], times[-1], times[-1 - few] - times[0]),
    ):
        if _is_outside(int(to - from_), int(rest), len(times)):
            return (
                f"{count_of(count, 'event')} of {len(times):,} {'take' if count > 1 else 'takes'} most of the time "
                f"range, from {date(from_)} to {date(to)}: default dates or a broken clock; --where with a condition "
                "on the time leaves them out"
            )
    return None


def _is_outside(span: int, rest: int, events: int) -> bool:
    """Tell whether the span of a few events is out of proportion to that of the others."""
    if events >= MANY:
        return span > THEIR_SPAN * (span + rest)
    return span > OUTSIDE * max(rest, DAY_MS)


def gap(clues: Clues) -> str | None:
    """Say that several days in a row have no event, although most days have."""
    known = clues.times[: np.searchsorted(clues.times, clues.now_ms + DAY_MS, side="right")]
    days = _days(known)
    if clues.few or len(days) < 7:
        return None
    empty = np.diff(days) - 1
    gaps, longest = empty[empty > 0], int(empty.argmax())
    # Outliers at an end are another suspicion; a shop that is closed on Sundays is none.
    inner = days[-1] - days[0] + 1
    if empty[longest] < LONGEST_GAP_DAYS or len(days) < COVERED * (inner - empty[longest]):
        return None
    if len(gaps) > 1 and empty[longest] < USUAL_GAPS * np.median(np.delete(gaps, gaps.argmax())):
        return None
    if far_apart(clues):
        return None
    first, last = days[longest] + 1, days[longest + 1] - 1
    return (
        f"there is no event from {date(first * DAY_MS)} to {date(last * DAY_MS)} ({empty[longest]:,} days), although "
        f"{of_all(len(days), int(inner - empty[longest]))} of the other days have some: is a part of the log missing?"
    )


def _starts(ascending: np.ndarray) -> np.ndarray:
    """Return where each different value of an ascending array begins."""
    return np.flatnonzero(np.diff(ascending, prepend=ascending[:1] - 1))


def _days(times: np.ndarray) -> np.ndarray:
    """Return the days with events, as days since 1970, of ascending times."""
    days = times // DAY_MS
    return np.asarray(days[_starts(days)])
