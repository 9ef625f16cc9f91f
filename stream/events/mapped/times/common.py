"""Times as most records have them, read fast: ISO 8601 to the second or millisecond, and whole numbers."""

import re
from datetime import UTC, datetime
from typing import Any

from mindstream.limits import EARLIEST_MS, LATEST_MS
from stream.events.mapped.known import Known
from stream.events.mapped.times.milliseconds import milliseconds_of

__all__ = ["PLAIN_MS", "other_time"]

# Numbers that are no dates written as digits too.
PLAIN_MS, FIRST_S, FIRST_DATE, FIRST_US = 10**12, 10**9, 1_995_000_000, 10**15

_MINUTE = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d", re.ASCII)
_SECOND = re.compile(r":([0-5]\d)(?:\.(\d{1,3}))?Z?", re.ASCII)
_LONGEST_SECOND = 8  # characters of :00.123Z


def other_time(value: Any) -> int | None:
    """Return the time in a number of seconds or microseconds, or in a text; else None."""
    if value.__class__ is str:
        if len(value) <= 16 + _LONGEST_SECOND:
            # Of the minutes and of the seconds few come at any time, so both are known mostly.
            minute, second = _minutes[value[:16]], _seconds[value[16:]]
            return None if minute is None or second is None else minute + second
        return _with_more(value)
    if value.__class__ is int:
        if FIRST_S <= value < FIRST_DATE:
            return int(value) * 1000
        return int(value) // 1000 if FIRST_US <= value <= LATEST_MS * 1000 else None
    return None


def _with_more(text: str) -> int | None:
    """Return the time in a text with microseconds or an offset, or None."""
    if not _MINUTE.match(text):
        return None
    try:
        found = milliseconds_of(datetime.fromisoformat(text))
    except ValueError:
        return None
    return found if EARLIEST_MS <= found <= LATEST_MS else None


def _minute_of(text: str) -> int | None:
    """Return the milliseconds at which a minute begins, or None."""
    if not _MINUTE.fullmatch(text):
        return None
    try:
        found = milliseconds_of(datetime.fromisoformat(text).replace(tzinfo=UTC))
    except ValueError:
        return None
    return found if EARLIEST_MS <= found < LATEST_MS - 60_000 else None


def _second_of(text: str) -> int | None:
    """Return the milliseconds of the second and its fraction, or None."""
    found = _SECOND.fullmatch(text)
    return None if found is None else int(found[1]) * 1000 + int((found[2] or "0").ljust(3, "0"))


_minutes, _seconds = Known(_minute_of), Known(_second_of)
