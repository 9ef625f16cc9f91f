"""Rows placed in time, or in their order, with the reason why one is left out."""

from dataclasses import dataclass

from mindstream.limits import EARLIEST_MS, LATEST_MS
from mindstream.mapping import Mapping
from model_export.readers.columns import Column
from model_export.readers.fields import Fields
from model_export.readers.rows.staging import LEFT_OUT, TIME, Workplace
from model_export.readers.sql import literal
from model_export.readers.times import check_times, join_calendar, join_date_and_time, read_times, trimmed

__all__ = ["KEPT", "PLACED", "place_rows"]

JOINED = "rows_joined"  # the view of the staged rows with the time in one column
PLACED = "rows_placed"  # the view of the staged rows with their time as a number, and the reason why one is left out
KEPT = "rows_kept"  # the view of those that are kept: user_id, item_id, event_time_ms, title, category, price, ...
OUTSIDE = "with a time outside of 1973 to 2100, which the stream does not take"


@dataclass(frozen=True)
class _Order:
    """What rows are ordered by, as SQL, and why one is left out: conditions on it as `placed`, and reasons."""

    sql: str
    left_out: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = ()


def place_rows(place: Workplace, named: str, mapping: Mapping, fields: Fields, notes: list[str]) -> None:
    """Make the views `PLACED` and `KEPT` of the staged rows.

    Parameters
    ----------
    named : name of the view of the staged rows.
    notes : sentences on what was noticed; added to in place.

    Raises
    ------
    ValueError
        If most times are none.
    """
    name = _join_times(place, named, fields.columns.get("time", ()), mapping, notes)
    order = _order() if mapping.untimed else _times(place, name, mapping.time_format)
    notes += order.notes
    cases = " ".join(f"WHEN {when} THEN {literal(reason)}" for when, reason in (*order.left_out, *_values(mapping)))
    event_type = "" if "type" in fields.columns else "NULL::VARCHAR AS type, "
    place.connection.execute(
        f"CREATE VIEW {PLACED} AS SELECT *, CASE {cases} END AS reason FROM "
        f"(SELECT *, {event_type}{order.sql} AS placed FROM {JOINED})"
    )
    place.connection.execute(
        f'CREATE VIEW {KEPT} AS SELECT *, "user" AS user_id, item AS item_id, placed AS event_time_ms '
        f"FROM {PLACED} WHERE {LEFT_OUT} IS NULL AND reason IS NULL"
    )


def _join_times(place: Workplace, named: str, columns: tuple[Column, ...], mapping: Mapping, notes: list[str]) -> str:
    """Make the view `JOINED`, with all columns of the time in one; return their names.

    It is the staged rows with `moment`. A note says if a second column has no times of day to add.
    """
    parts = [TIME.format(one) for one in range(len(columns))]
    if len(parts) == 2:
        joined = join_date_and_time(place.connection, named, parts[0], parts[1], mapping.time_format) or ""
        if not joined:
            joined = f"coalesce({parts[0]}, {parts[1]})"
            first, second = (repr(column.path) for column in columns)
            notes.append(
                f"column {second} was not used as the time of day of column {first}, since it holds none that can be "
                f"read or {first} has its own: it is read only where {first} has no value"
            )
    elif len(parts) > 2:
        joined = join_calendar(place.connection, named, parts)
    else:
        joined = parts[0] if parts else "file_row_number"
    place.connection.execute(f"CREATE VIEW {JOINED} AS SELECT *, {joined} AS moment FROM {named}")
    return ",".join(column.path for column in columns)


def _order() -> _Order:
    """Return the order by numbers that are no times."""
    return _Order(f"number_of({trimmed('CAST(moment AS VARCHAR)')})", (("placed IS NULL", "without a readable order"),))


def _times(place: Workplace, name: str, time_format: str | None) -> _Order:
    """Return the order by times."""
    reading = read_times(place.connection, JOINED, "moment", name, time_format)
    check_times(place.connection, JOINED, "moment", name, reading)
    left_out = (
        ("placed IS NULL", "without a readable time"),
        (f"placed NOT BETWEEN {EARLIEST_MS} AND {LATEST_MS}", OUTSIDE),
    )
    return _Order(reading.sql, left_out, reading.notes)


def _values(mapping: Mapping) -> tuple[tuple[str, str], ...]:
    """Return the conditions and reasons of rows that are left out for their rating."""
    if mapping.min_value is None:
        return ()
    low = (f"value < {mapping.min_value}", f"with a value below {mapping.min_value:g}")
    return ("value IS NULL", "without a readable value"), low
