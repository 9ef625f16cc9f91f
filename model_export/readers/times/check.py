"""The check that a column holds times, and words for what it may hold in their place."""

import re
from collections.abc import Callable
from datetime import date, datetime, timedelta

import duckdb

from mindstream.limits import EARLIEST_MS, LATEST_MS
from mindstream.parsing.writings import CLOCK, ZONES
from model_export.readers.times.cells import cells_of, present, type_of
from model_export.readers.times.reading import TimeReading

__all__ = ["check_times"]

_NEARLY_ALL = 0.9
_DATES = ("%Y%j", "%Y%m%d", "%d%m%Y", "%m%d%Y", "%y%m%d", "%d%m%y", "%m%d%y")
_ORDER = "these are no times but an order or a count; --untimed, if they are an order"
_USUAL = (
    "right are Unix times, ISO dates such as 2025-06-15T15:06:40Z and others that --time-format says "
    "(%d.%m.%Y %H:%M, seconds, days, excel); or --untimed, if they are an order and no times"
)


def check_times(
    connection: duckdb.DuckDBPyConnection, relation: str, column: str, name: str, reading: TimeReading
) -> None:
    """Check that at least half of the cells that are there are times the stream takes.

    Raises
    ------
    ValueError
        If they are not; names the column, an example, what it may be and what would be right.
    """
    kind = type_of(connection, relation, column)
    is_there = present(column) if kind == "VARCHAR" else present(f"CAST({column} AS VARCHAR)")
    is_right = f"coalesce(({reading.sql}) BETWEEN {EARLIEST_MS} AND {LATEST_MS}, false)"
    found = f"SELECT CASE WHEN {is_right} THEN true WHEN {is_there} THEN false END AS is_right FROM {relation}"
    total, right = connection.execute(
        f"SELECT count(is_right), count(*) FILTER (is_right) FROM ({found})"
    ).fetchone() or (0, 0)
    if 2 * (total - right) <= total:
        return
    wrong = cells_of(connection, relation, column, f"{is_there} AND NOT {is_right}", 1000)
    raise ValueError(
        f"{total - right:,} of {total:,} times in column {name!r} cannot be read or are outside of 1973 to 2100, for "
        f"example {wrong[0]!r}{_guess(wrong)}; {_USUAL}"
    )


def _guess(cells: list[str]) -> str:
    """Say what cells that are no times look like, beginning with a colon; "" if nobody knows."""
    cells = [re.sub(r"^(\d+)\.\d*$", r"\1", cell.strip()) for cell in cells]
    said = _guess_text(cells) or (_guess_numbers(cells) if _most(cells, str.isdecimal) else "")
    return said and f": {said}"


def _most(cells: list[str], looks_like: Callable[[str], object]) -> bool:
    return sum(bool(looks_like(cell)) for cell in cells) >= _NEARLY_ALL * len(cells)


def _guess_text(cells: list[str]) -> str:
    if _most(cells, _zone_of):
        zone = next(filter(None, map(_zone_of, cells)))
        return f"the zone {zone!r} is unknown or has several meanings; write it as an offset such as +02:00"
    if _most(cells, lambda cell: re.fullmatch(CLOCK, cell)):
        return "they are times of day without a date; name both columns, as in --time date,time"
    return ""


def _zone_of(cell: str) -> str | None:
    """Return the first word in capitals behind a time of day that is no zone that is known."""
    words = re.findall(r"\d:\d\d.*?\b([A-Z]{2,5})\b", cell)
    return next((word for word in words if word not in ZONES and word not in ("AM", "PM")), None)


def _guess_numbers(cells: list[str]) -> str:
    example = next(filter(str.isdecimal, cells))
    if _most(cells, _is_between(1970, 2100)):
        return "they are years alone, without month and day"
    if _most(cells, _is_in("%Y%m")):
        return "they may be a year and a month, without a day; --time-format %Y%m reads the first of the month"
    if _most(cells, _is_between(1, 100)):
        return _ORDER
    if any(_most(cells, _is_in(one)) for one in ("%m%d", "%d%m")):
        return "they may be month and day without a year"
    if formats := [one for one in _DATES if _most(cells, _is_in(one))]:
        return "they may be dates, which " + " or ".join(f"--time-format '{one}'" for one in formats) + " reads"
    if _most(cells, _is_between(1096, 73_051)):  # from 1973 as days since 1970, to 2100 as those of spreadsheets
        since_1900, since_1970 = (
            origin + timedelta(days=int(example)) for origin in (date(1899, 12, 30), date(1970, 1, 1))
        )
        return (
            f"they may be days: {example} is {since_1900} by --time-format excel and {since_1970} by --time-format days"
        )
    return _ORDER if _most(cells, _is_between(0, 9_999_999)) else ""


def _is_between(lowest: int, highest: int) -> Callable[[str], bool]:
    return lambda cell: cell.isdecimal() and lowest <= int(cell) <= highest


def _is_in(time_format: str) -> Callable[[str], bool]:
    """Return a function that tells whether digits are a date; they may have lost a zero."""
    width = len(datetime(2000, 12, 12).strftime(time_format))
    shortest = width if time_format.startswith("%Y") else width - 1  # a year of four digits begins with no zero
    year = "" if "y" in time_format.lower() else "2000"  # a leap year, if the format has none

    def is_date(cell: str) -> bool:
        if not cell.isdecimal() or not shortest <= len(cell) <= width:
            return False
        try:
            found = datetime.strptime(year + cell.zfill(width), ("%Y" if year else "") + time_format)
        except ValueError:
            return False
        return 1970 <= found.year <= 2100

    return is_date
