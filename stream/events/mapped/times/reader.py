"""The time in a record, told from its value alone: a text, a number in any unit, or the parts of a date."""

import re
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal

from mindstream.limits import EARLIEST_MS, LATEST_MS
from mindstream.parsing.ids import BLANKS, MISSING
from mindstream.parsing.time_formats import UNIT_NAMES, digits_of, named_unit, plain_format
from stream.events.mapped.cells import shown, text_of
from stream.events.mapped.times.milliseconds import (
    NUMBER,
    in_format,
    in_unit,
    milliseconds_of,
    number_in,
    told,
    written,
)

__all__ = ["TimeReader"]

_CLOCK = re.compile(r"\d{1,2}:\d{2}")
_MIDNIGHT = re.compile(r"[T ]0?0:00(?::00(?:\.0+)?)?(?:Z|\+00:?00)?$")


class TimeReader:
    """A reader of the times of a topic.

    Parameters
    ----------
    name : as the mapping names it; one that ends in a unit (ts_us) decides where a number may be two times.
    time_format : a strptime format or a unit, where it is given.

    Raises
    ------
    ValueError
        If the format is none.
    """

    def __init__(self, name: str = "", time_format: str | None = None) -> None:
        self.given = time_format
        is_unit = time_format is not None and time_format.lower() in UNIT_NAMES
        self.unit = time_format.lower() if time_format and is_unit else None
        self.named = named_unit(name)
        self.format = plain_format(time_format, "time_format") if time_format and not is_unit else None
        if self.format:
            in_format("", self.format)

    def read(self, values: Sequence[object]) -> int | None:
        """Return the time in one value, or in several that belong together; None if there is none.

        Returns
        -------
        Unix milliseconds, from 1973 to 2100.

        Raises
        ------
        ValueError
            If it cannot be read, is outside of that, or can be read in two ways; names the value and what to set.
        """
        there = [None if _is_missing(value) else value for value in values]
        if not any(value is not None for value in there):
            return None
        value = self._joined(there)
        found = self._of(value)
        if not EARLIEST_MS <= found <= LATEST_MS:
            raise ValueError(f"{shown(value)} is outside of 1973 to 2100; `time_format` says the format or the unit")
        return found

    def _joined(self, values: Sequence[object]) -> object:
        """Return date and time of day, or year, month and day, as one value."""
        if len(values) == 1:
            return values[0]
        if len(values) > 2:
            texts = [re.sub(r"\.0+$", "", text_of(value) or "") for value in values]
            clock = ":".join(text.zfill(2) for text in texts[3:6] if text)
            return "-".join(texts[:3]) + (f" {clock}" if len(texts) > 4 else f" {clock}:00" if clock else "")
        first, second = values
        if first is None or second is None:
            return second if first is None else first
        day, clock = text_of(first) or "", text_of(second) or ""
        if self.format or (_CLOCK.match(clock) and not _has_clock(first, day)):
            return f"{_MIDNIGHT.sub('', day)} {clock}"
        return first

    def _of(self, value: object) -> int:
        """Return the milliseconds of a value."""
        if isinstance(value, date):
            return milliseconds_of(value if isinstance(value, datetime) else datetime(*value.timetuple()[:3]))
        if isinstance(value, bool) or not isinstance(value, (str, int, float, Decimal)) or text_of(value) is None:
            raise ValueError(f"{shown(value)} is no time: right are Unix times and dates such as 2026-01-31T12:00:00Z")
        text = (value if isinstance(value, str) else text_of(value) or "").strip(BLANKS)
        if self.format:
            return self._formatted(text)
        if self.unit:
            return in_unit(number_in(text, self.unit), self.unit)
        if NUMBER.fullmatch(text):
            return told(number_in(text), self.named)
        return written(text)

    def _formatted(self, text: str) -> int:
        """Return the milliseconds of a text in the format that is given."""
        assert self.format is not None
        if width := digits_of(self.format):  # numbers lose their zeros
            text = re.sub(r"\.0*$", "", text).zfill(width)
        return in_format(text, self.format)


def _is_missing(value: object) -> bool:
    """Tell whether there is no time in a value: nothing, or a word for nothing."""
    if not isinstance(value, str):
        return value is None
    word = value.strip(BLANKS).lower()
    return not word or word in MISSING or word in ("?", "nat", "<null>")


def _has_clock(value: object, text: str) -> bool:
    """Tell whether a date has a time of day of its own."""
    if NUMBER.fullmatch(text):
        return len(text.partition(".")[0]) != 8
    return ":" in _MIDNIGHT.sub("", text)
