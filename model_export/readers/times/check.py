"""The check that a column holds times, and words for what it may hold in their place."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import duckdb

from mindstream.limits import EARLIEST_MS, LATEST_MS
from model_export.readers.times.cells import cells_of, present, type_of
from model_export.readers.times.reading import TimeReading
from model_export.readers.times.writings import CLOCK, ZONES

__all__ = ["check_times"]

_NEARLY_ALL = 0.9
_USUAL = (
    "right are Unix times, ISO dates such as 2025-06-15T15:06:40Z and others that --time-format says "
    "(%d.%m.%Y %H:%M, seconds, days, excel); or --untimed, if they are an order and no times"
)


def check_times(
    connection: duckdb.DuckDBPyConnection, relation: str, column: str, name: str, reading: TimeReading
) -> None:
    """Check that at least half of the cells that are not missing are times that the stream takes.

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
    cells = [re.sub(r"\.0*$", "", cell.strip()) for cell in cells]
    for looks_like, said in _GUESSES:
        if sum(map(looks_like, cells)) >= _NEARLY_ALL * len(cells):
            return f": {said(cells[0])}"
    return ""


def _has_digits(*lengths: int) -> Callable[[str], bool]:
    return lambda cell: cell.isascii() and cell.isdigit() and len(cell) in lengths


def _is_between(lowest: int, highest: int) -> Callable[[str], bool]:
    return lambda cell: cell.isascii() and cell.isdigit() and lowest <= int(cell) <= highest


def _is_in(time_format: str) -> Callable[[str], bool]:
    """Return a function that tells whether digits are a date in a format; numbers may have lost a zero."""
    width = len(datetime(2000, 12, 12).strftime(time_format))

    def is_date(cell: str) -> bool:
        if not _has_digits(width - 1, width)(cell):
            return False
        try:
            # With a leap year where the format has none; strptime alone takes single digits too.
            filled = ("" if "y" in time_format.lower() else "2000") + cell.zfill(width)
            found = datetime.strptime(filled, ("" if "y" in time_format.lower() else "%Y") + time_format)
        except ValueError:
            return False
        return 1970 <= found.year <= 2100

    return is_date


def _any_of(*options: Callable[[str], bool]) -> Callable[[str], bool]:
    return lambda cell: any(one(cell) for one in options)


def _zone_of(cell: str) -> str | None:
    """Return the first word in capitals behind a time of day that is no zone that is known."""
    words = re.findall(r"\d:\d\d.*?\b([A-Z]{2,5})\b", cell)
    return next((word for word in words if word not in ZONES and word not in ("AM", "PM")), None)


def _dates(time_format: str) -> str:
    return f"they may be dates, which --time-format '{time_format}' reads"


def _days(cell: str) -> str:
    since_1900 = datetime(1899, 12, 30, tzinfo=UTC) + timedelta(days=int(cell))
    since_1970 = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=int(cell))
    return (
        f"they may be days: {cell} is {since_1900:%Y-%m-%d} by --time-format excel and {since_1970:%Y-%m-%d} by "
        "--time-format days"
    )


# What cells look like, and what to say of an example; the first that nearly all look like.
_GUESSES: tuple[tuple[Callable[[str], bool], Callable[[str], str]], ...] = (
    (
        lambda cell: _zone_of(cell) is not None,
        lambda cell: (
            f"the zone {_zone_of(cell)!r} is unknown or has several meanings; write it as an offset such as +02:00"
        ),
    ),
    (
        lambda cell: re.fullmatch(CLOCK, cell) is not None,
        lambda _: "they are times of day without a date; name both columns, as in --time date,time",
    ),
    (_is_between(1970, 2100), lambda _: "they are years alone, without month and day"),
    (
        lambda cell: _has_digits(6)(cell) and _is_in("%Y%m")(cell),
        lambda _: "they may be a year and a month, without a day; --time-format %Y%m reads the first of the month",
    ),
    (_is_between(1, 100), lambda _: "these are no times but an order or a count; --untimed, where they are an order"),
    (
        lambda cell: _has_digits(3, 4)(cell) and _any_of(_is_in("%m%d"), _is_in("%d%m"))(cell),
        lambda _: "they may be month and day without a year",
    ),
    (_is_in("%Y%m%d"), lambda _: _dates("%Y%m%d")),
    (_is_in("%d%m%Y"), lambda _: _dates("%d%m%Y")),
    (_is_in("%m%d%Y"), lambda _: _dates("%m%d%Y")),
    (_is_in("%y%m%d"), lambda _: _dates("%y%m%d")),
    (_is_in("%d%m%y"), lambda _: _dates("%d%m%y")),
    (_is_in("%m%d%y"), lambda _: _dates("%m%d%y")),
    (_is_between(1096, 73_051), _days),
    (
        _is_between(0, 9_999_999),
        lambda _: "these are no times but an order or a count; --untimed, where they are an order",
    ),
)
