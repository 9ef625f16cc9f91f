"""Unix milliseconds of one number or text: in which unit, or how it is written, is told from the value."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

from mindstream.limits import EARLIEST_MS, LATEST_MS
from mindstream.parsing.time_numbers import DIGITS, LARGER, NEVER_MS, OTHER_ORIGINS, PER_SECOND
from mindstream.parsing.writings import ORDERS, YEAR_FIRST, ZONES, tidied, writing_of
from stream.events.mapped.cells import shown

__all__ = ["NUMBER", "in_format", "in_unit", "milliseconds_of", "number_in", "told", "written"]

NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_MS = 86_400_000
_FIRST_EXCEL_DAY = 25_569  # is 1970-01-01
_ISO = re.compile(
    r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})(?:[T ](\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?)?"
    r"(?: ?(Z|UTC|GMT)|([+-]\d\d)(?::?(\d\d))?)?",
    re.ASCII,
)
_ZONE = re.compile(rf"\b({'|'.join(sorted(ZONES, key=len, reverse=True))})\b")


def milliseconds_of(moment: datetime) -> int:
    """Return Unix milliseconds; a time without a zone is UTC."""
    passed = (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)) - _EPOCH
    return passed.days * _DAY_MS + passed.seconds * 1000 + passed.microseconds // 1000


def number_in(text: str, unit: str = "") -> Decimal:
    """Return the number in a text, with all of its digits."""
    if not NUMBER.fullmatch(text):
        raise ValueError(f"{shown(text)} is no number, and `time_format` is {unit}")
    return Decimal(text)


def in_unit(number: Decimal, unit: str) -> int:
    """Return the milliseconds of a number in a unit."""
    if abs(number) > 10**20:
        raise ValueError(f"{number} is outside of 1973 to 2100")
    if unit == "excel":
        return round((number - _FIRST_EXCEL_DAY) * _DAY_MS)
    if unit == "days":
        return round(number * _DAY_MS)
    return int(round(number * 10**9) // (PER_SECOND[unit] * 10**6))


def told(number: Decimal, named: str | None) -> int:
    """Return the milliseconds of a number whose unit its size tells.

    Raises
    ------
    ValueError
        If it is in no unit, or is as well a date written as digits.
    """
    length = len(str(abs(int(number))))
    as_date = _date_of_digits(int(number), length) if number == int(number) else None
    for ticks in OTHER_ORIGINS if named is None else ():
        if ticks.lowest <= number <= ticks.highest:
            return int(number) // ticks.per_ms + ticks.origin_ms
    unit = next((one for one in PER_SECOND if _is_in(number, one)), None)
    if unit is None:
        if as_date is None:
            raise ValueError(
                f"{number} is no Unix time of 1973 to 2100 in seconds, milliseconds, microseconds or nanoseconds; "
                "`time_format` says the unit or format (days, excel, %Y%m%d, ...)"
            )
        return as_date
    if as_date is not None and named is None:
        raise ValueError(
            f"{number} may be a time in {unit} or a date written as {DIGITS[length]}; "
            f'`time_format = "{unit}"` or `time_format = "{DIGITS[length]}"` says which'
        )
    return in_unit(number, unit)


def _is_in(number: Decimal, unit: str) -> bool:
    """Tell whether a number is a time that the stream takes, in this unit."""
    found = number * 1000 / PER_SECOND[unit]
    if unit in LARGER and NEVER_MS[0] <= number * 1000 / PER_SECOND[LARGER[unit]] < NEVER_MS[1]:
        return False
    return EARLIEST_MS <= found <= LATEST_MS


def _date_of_digits(number: int, length: int) -> int | None:
    """Return the milliseconds of a date in digits, of 1995 to 2050; None if it is none."""
    if number < 0 or length not in DIGITS or not 1995 <= number // 10 ** (length - 4) <= 2050:
        return None
    try:
        return in_format(str(number), DIGITS[length])
    except ValueError:
        return None


def written(text: str) -> int:
    """Return the milliseconds of a time that is written in any usual way.

    Raises
    ------
    ValueError
        If it cannot be read, or in two ways.
    """
    for one in dict.fromkeys((text, tidied(text))):
        if NUMBER.fullmatch(one):
            return told(Decimal(one), None)
        if (found := _iso(one)) is not None:
            return found
        writing = writing_of(one)
        if writing is not None and writing.formats:
            zone = timedelta(minutes=ZONES.get(writing.zone, 0))
            return _in_one_order(one, writing.formats, writing.separator) - zone // timedelta(milliseconds=1)
    raise ValueError(
        f"{shown(text)} cannot be read as a time; `time_format` says how it is written, such as %d.%m.%Y %H:%M"
    )


def _in_one_order(text: str, formats: Sequence[str], separator: str) -> int:
    """Return the milliseconds of a date, of which day and month may change places.

    With the year first the month follows.
    """
    found: dict[int, str] = {}
    for one in formats:
        try:
            found.setdefault(in_format(text, one), one)
        except ValueError:
            continue
        if separator == YEAR_FIRST:
            break
    if not found:
        raise ValueError(f"{shown(text)} is no date; `time_format` says how it is written")
    if len(found) > 1:
        ways = " or ".join(f'`time_format = "{one}"`' for one in found.values())
        raise ValueError(f"{shown(text)} can be read in {len(found)} ways ({', '.join(ORDERS)}): {ways} says which")
    return next(iter(found))


def _iso(text: str) -> int | None:
    """Return the milliseconds of a time by ISO 8601 or as databases write it, or None."""
    if (found := _ISO.fullmatch(text)) is None:
        return None
    year, month, day, hour, minute, second, fraction, _, offset, offset_minutes = found.groups()
    zone: timezone = UTC
    if offset is not None:
        shift = timedelta(hours=int(offset), minutes=int(offset[0] + (offset_minutes or "00")))
        zone = timezone(shift)
    micros = int((fraction or "0")[:6].ljust(6, "0"))
    try:
        moment = datetime(
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), micros, zone
        )
    except ValueError as error:
        raise ValueError(f"{shown(text)} is no date: {error}; `time_format` says how it is written") from None
    return milliseconds_of(moment)


def in_format(text: str, time_format: str) -> int:
    """Return the milliseconds of a text in a strptime format of our directives.

    Raises
    ------
    ValueError
        If the text is not written so; says both.
    """
    known = re.sub(r"%-(.)", r"%\1", time_format).replace("%g", "%f")
    if "%n" in known:  # nanoseconds, of which Python reads six digits
        known, text_read = known.replace("%n", "%f"), re.sub(r"(\D\d{6})\d{1,3}(?!\d)", r"\1", text)
    else:
        text_read = text
    if "%Z" in known:
        text_read = _ZONE.sub(lambda one: f"{'-' if ZONES[one[1]] < 0 else '+'}{_clock(abs(ZONES[one[1]]))}", text_read)
        known = known.replace("%Z", "%z")
    text_read = re.sub(r"([+-]\d\d)$", r"\g<1>00", text_read) if "%z" in known else text_read
    try:
        return milliseconds_of(datetime.strptime(text_read, known))
    except (ValueError, re.error) as error:
        if text:
            raise ValueError(f"{shown(text)} is not written as {time_format}, by `time_format`") from None
        if "does not match" not in str(error):
            raise ValueError(f"time_format is {time_format!r}: {error}") from None
        return 0


def _clock(minutes: int) -> str:
    """Write minutes as hhmm."""
    return f"{minutes // 60:02d}{minutes % 60:02d}"
