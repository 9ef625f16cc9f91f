"""Times of a column of any type as SQL: Unix milliseconds."""

from dataclasses import dataclass

import duckdb

from model_export.readers.times.cells import number_of_text, type_of
from model_export.readers.times.given import read_given
from model_export.readers.times.numbers import read_numbers
from model_export.readers.times.text import read_text

__all__ = ["TimeReading", "read_times"]

_TYPED = {
    "DATE": "epoch_us({}) // 1000",  # epoch_ms would round
    "TIMESTAMP": "epoch_us({}) // 1000",
    "TIMESTAMP WITH TIME ZONE": "epoch_us({}) // 1000",
    "TIMESTAMP_S": "epoch_us(TRY_CAST({} AS TIMESTAMP)) // 1000",
    "TIMESTAMP_MS": "epoch_us(TRY_CAST({} AS TIMESTAMP)) // 1000",
    "TIMESTAMP_NS": "CASE WHEN isfinite({0}) THEN epoch_ns({0}) // 1000000 END",
}
_NO_TIMES = ("TIME", "TIME_NS", "TIME WITH TIME ZONE", "INTERVAL", "BOOLEAN")
_FLOATS = ("DOUBLE", "FLOAT")
_INTEGERS = (
    *("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"),
    *("UHUGEINT", "DECIMAL"),
)


@dataclass(frozen=True)
class TimeReading:
    """Times of a column as SQL.

    Attributes
    ----------
    sql : an expression over the column: Unix milliseconds as BIGINT, also outside of what the stream takes; NULL if
        the cell is missing or cannot be read.
    notes : sentences to say.
    """

    sql: str
    notes: tuple[str, ...] = ()


def read_times(
    connection: duckdb.DuckDBPyConnection, relation: str, column: str, name: str, time_format: str | None = None
) -> TimeReading:
    """Tell units and formats of a column of times from all its values together.

    Times without a zone are UTC, and the session's zone does not matter.

    Parameters
    ----------
    relation : table or view.
    column : of it, as SQL (quoted where it needs to be).
    name : of the column, for messages; one that ends in _ms says milliseconds.
    time_format : a unit or a strptime format, where it is known.

    Raises
    ------
    ValueError
        If the values can be read in two ways, or the format is wrong or reads no value; names the column, an example
        and what would be right.
    """
    kind = type_of(connection, relation, column)
    if kind in _TYPED:
        notes = (f"column {name!r} is of type {kind}, so the time format is not needed",) if time_format else ()
        return TimeReading(_TYPED[kind].format(column), notes)
    if kind in _NO_TIMES:
        return TimeReading("NULL::BIGINT")
    lost = _say_lost_digits(kind, name)
    if time_format is not None:
        sql, said = read_given(connection, relation, column, name, time_format)
        return TimeReading(sql, (*said, *lost))
    if kind in _FLOATS or kind in _INTEGERS:
        v, i = _numbers_of(column, kind)
        reading = read_numbers(connection, f"SELECT {v} AS v, {i} AS i FROM {relation}", name)
        return TimeReading(reading.over(v, i), (*reading.notes, *lost))
    text = column if kind == "VARCHAR" else f"CAST({column} AS VARCHAR)"
    return TimeReading(*read_text(connection, relation, text, name))


def _say_lost_digits(kind: str, name: str) -> tuple[str, ...]:
    """Say that numbers of 32 bits are no exact times."""
    if kind != "FLOAT":
        return ()
    return (
        f"column {name!r} is of type FLOAT (float32), which has lost seconds: its times may be wrong by about a "
        "minute, and events of one minute out of order; write them as whole numbers or as float64",
    )


def _numbers_of(column: str, kind: str) -> tuple[str, str]:
    """Write the SQL of a column's numbers as DOUBLE and as BIGINT."""
    if kind not in _FLOATS:
        return number_of_text(column)
    # Above 2^53 doubles are not exact: 1750000000123000000 ns would be a few too few, so in the millisecond before.
    exact = f"CASE WHEN abs({column}) BETWEEN 1e17 AND 9.2e18 THEN TRY_CAST(round({column} / 1000) AS BIGINT) * 1000"
    return f"TRY_CAST({column} AS DOUBLE)", f"({exact} ELSE TRY_CAST({column} AS BIGINT) END)"
