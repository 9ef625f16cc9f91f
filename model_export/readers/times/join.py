"""Times that stand in several columns: date and time of day, or year, month and day."""

from collections.abc import Sequence

import duckdb

from mindstream.parsing.writings import CLOCK
from model_export.readers.times.cells import NUMBER, matches, present, trimmed, type_of
from model_export.readers.times.given import reads_any

__all__ = ["join_calendar", "join_date_and_time"]

_CLOCK_OF_POINTS = r"(?:[01]?\d|2[0-3])\.[0-5]\d(?:\.[0-5]\d)?"  # 10.24, 10.24.31

_MIDNIGHT = r"[T ]0?0:00(?::00(?:\.0+)?)?$"
_SAMPLE = 2000
_NEARLY_ALL = 0.9

# Numbers as times of day: conditions and text. A row of hours is never above 23, so the first that fits is right.
_NUMBER_CLOCKS = (
    ("{i} BETWEEN 0 AND 23", "printf('%02d:00', {i})"),
    ("{i} BETWEEN 0 AND 2359 AND {i} % 100 < 60", "printf('%02d:%02d', {i} // 100, {i} % 100)"),
    (
        "{i} BETWEEN 0 AND 235959 AND {i} // 100 % 100 < 60 AND {i} % 100 < 60",
        "printf('%02d:%02d:%02d', {i} // 10000, {i} // 100 % 100, {i} % 100)",
    ),
)


def join_date_and_time(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    date_column: str,
    time_column: str,
    time_format: str | None = None,
) -> str | None:
    """Return SQL of a text with date and time of day; None if the second column has none.

    Times of day are text (15:06:40, 3:06 PM; 15.06 and 15.06.40 beside a date), of the type TIME, or numbers: hours,
    hhmm or hhmmss. If a time format is given that reads both columns as they stand, with a blank between them, they are
    joined so. A row without one
    has its date alone. A date at midnight, as spreadsheets write it, counts as a date; if the first column has times of
    day of its own, nothing is joined.
    """
    date = f"regexp_replace({trimmed(f'CAST({date_column} AS VARCHAR)')}, '{_MIDNIGHT}', '')"
    if time_format is not None:
        cells = (trimmed(f"CAST({column} AS VARCHAR)") for column in (date_column, time_column))
        as_they_stand = f"concat_ws(' ', {', '.join(cells)})"
        if reads_any(connection, relation, as_they_stand, time_format):
            return as_they_stand
    clock = _clock(connection, relation, time_column) or _clock_of_points(
        connection, relation, date_column, time_column
    )
    if clock is None or _is_met(connection, relation, date_column, f"contains({date}, ':')"):
        return None
    return f"CASE WHEN {present(date)} THEN concat_ws(' ', {date}, {clock}) END"


def join_calendar(connection: duckdb.DuckDBPyConnection, relation: str, columns: Sequence[str]) -> str:
    """Return SQL of the text "Y-m-d" or "Y-m-d h:m:s" from columns that hold its parts.

    Parameters
    ----------
    columns : year, month, day and, if they are there, hour, minute and second. Of the first three the order may be
        another (day, month, year): it stays, and is told like that of any date. Months may have names.

    Raises
    ------
    ValueError
        If there are fewer than three columns, or more than six.
    """
    if not 3 <= len(columns) <= 6:
        raise ValueError(f"a time in {len(columns)} columns cannot be joined: year, month, day[, hour, minute, second]")
    date = " || '-' || ".join(_whole(column) for column in columns[:3])
    numbers = [f"TRY_CAST(TRY_CAST({column} AS DOUBLE) AS INTEGER)" for column in columns[3:]]
    if not numbers:
        return date
    clock = ", ".join([*numbers, "0", "0"][:3])
    return f"{date} || coalesce(printf(' %02d:%02d:%02d', {clock}), '')"


def _clock(connection: duckdb.DuckDBPyConnection, relation: str, column: str) -> str | None:
    """Write the SQL of a column's times of day as text; None if it has none."""
    text = trimmed(f"CAST({column} AS VARCHAR)")
    pattern = CLOCK.replace(r"(?![\d:])", "").replace("( ?)", "( *)")
    if type_of(connection, relation, column) in ("TIME", "TIME_NS") or _is_met(
        connection, relation, column, matches(text, pattern)
    ):
        return f"CASE WHEN {present(text)} THEN {text} END"
    number = f"TRY_CAST({text} AS DOUBLE)"
    whole = f"CASE WHEN {number} = floor({number}) THEN TRY_CAST({number} AS INTEGER) END"
    for condition, written in _NUMBER_CLOCKS:
        if _is_met(connection, relation, column, condition.format(i=whole), least=1.0):
            return written.format(i=whole)
    return None


def _clock_of_points(
    connection: duckdb.DuckDBPyConnection, relation: str, date_column: str, time_column: str
) -> str | None:
    """Write the SQL of times of day that are written with points; None if there are none."""
    date, text = (trimmed(f"CAST({column} AS VARCHAR)") for column in (date_column, time_column))
    is_date = f"(NOT {matches(date, NUMBER)} OR {matches(date, r'[0-9]{8}')})"
    if not _is_met(connection, relation, date_column, is_date):
        return None
    if not _is_met(connection, relation, time_column, matches(text, _CLOCK_OF_POINTS)):
        return None
    return f"CASE WHEN {present(text)} THEN replace({text}, '.', ':') END"


def _whole(column: str) -> str:
    """Write the SQL of a cell as text, 15.0 as 15; NULL for a missing one."""
    text = trimmed(f"CAST({column} AS VARCHAR)")
    return f"CASE WHEN {present(text)} THEN regexp_replace({text}, '\\.0+$', '') END"


def _is_met(
    connection: duckdb.DuckDBPyConnection, relation: str, column: str, condition: str, least: float = _NEARLY_ALL
) -> bool:
    """Tell whether nearly all cells of a sample that are not missing meet a condition."""
    there = present(f"CAST({column} AS VARCHAR)")
    cells = f"SELECT {column} FROM {relation} WHERE {there}"
    sample = f"SELECT * FROM ({cells}) USING SAMPLE reservoir({_SAMPLE} ROWS) REPEATABLE (1)"
    total, met = connection.execute(f"SELECT count(*), count(*) FILTER ({condition}) FROM ({sample})").fetchone() or (
        0,
        0,
    )
    return bool(total) and met >= least * total
