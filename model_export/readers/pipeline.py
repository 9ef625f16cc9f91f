"""From a log on disk to interactions: find its layout, stage its rows, read times and ids, code them.

One reading goes this way, see `read`:

    1. recognise  the format, or the mapping's own layout      presets/, layout.py
    2. open       its tables as views                          tables/
    3. find       the columns of the fields                    fields.py
    4. stage      their cells, cleaned, in a Parquet file      staging.py
    5. read       the times, by all values together            times.py
    6. code       the rows that are kept; count the others     coding.py
    7. collect    what is known of items and users             catalogue.py
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from mindstream.limits import EARLIEST_MS, LATEST_MS
from mindstream.mapping import Mapping
from model_export.data.interactions import EVENT_COLUMNS, InteractionLog
from model_export.readers import catalogue
from model_export.readers.coding import CodedRows, coded_rows, latest_of_users, positions_of_users
from model_export.readers.columns import Column
from model_export.readers.fields import Fields, fields_of
from model_export.readers.layout import Layout, Table
from model_export.readers.rows import make_log
from model_export.readers.staging import LEFT_OUT, STAGED, TIME, Workplace, stage, workplace
from model_export.readers.tables.delimited import (
    STRAY_QUOTE,
    SWALLOWED,
    SWALLOWED_LINES,
    UNCLOSED_QUOTE,
    WRONG_ENCODING,
    Loss,
    literal,
)
from model_export.readers.tables.open_table import ROW_NUMBER, OpenTable, faults, losses, open_table, reopen, view_of
from model_export.readers.tables.query import arrow_table, one_row
from model_export.readers.times import check_times, join_calendar, join_date_and_time, read_times

__all__ = ["read"]

NAMED = "rows_named"  # the view of the staged rows, each column under its field
JOINED = "rows_joined"  # the view of the staged rows with the time in one column
TIMES = "rows_timed"  # the view of the staged rows with their time as a number
MOST_TYPES = 50  # event types of a log
EVENT_WORDS = (
    r"view|click|cart|purchase|impression|checkout|wish|search|play|session|scroll|sign_?(in|up)|log_?in|"
    r"(^|[_ ])(buy|order|like|dislike|rate|share|save|add|remove|visit|open|pay|start|view|show)(s|ed|d)?($|[_ ])"
)
MOST_WRONGLY_ENCODED = 0.001  # share of the lines


@dataclass(frozen=True)
class _Staged:
    """The staged rows, and what was lost on the way."""

    rows: int
    fields: Fields
    lost: tuple[Loss, ...]
    notes: tuple[str, ...] = ()


def read(layout: Layout, source: Path | str) -> InteractionLog:
    """Read a log that lies in this layout.

    Parameters
    ----------
    source : the path as given, for messages.

    Raises
    ------
    FileNotFoundError
        If a file is not there.
    ValueError
        If a file cannot be read, a column is not there, most times are none, or no interaction remains.
    """
    with workplace() as place:
        events, rows, before = _open(layout, place)
        fields = fields_of(layout.mapping, rows.columns, str(source))
        staged = _staged(place, layout, events, rows, fields)
        notes = [*layout.notes, *staged.notes]
        fields = _named(place, fields, notes)
        _make_times(place, layout, str(source), fields, notes)
        coded = coded_rows(place.connection, TIMES, staged.rows, Path(source).name)
        lost = [*before, *staged.lost]
        coded = coded.with_losses({loss.reason: loss.lines for loss in lost})
        notes += [f"{loss.lines:,} lines are {loss.reason}; the first: {loss.example}" for loss in lost]
        if not len(coded.order):
            raise ValueError(_nothing_remains(source, staged.rows, coded.dropped))
        fields = _without_false_title(place, fields, notes)
        items = catalogue.items_of(place.connection, fields, _items_beside(place, layout, notes), notes)
        sides = _sides(place, layout, str(source))
        profiles = catalogue.profiles_of(place.connection, fields, _users_beside(place, layout), notes)
    rows_in_order, dropped = _in_order(coded, layout.mapping)
    log = make_log(rows_in_order, items, profiles, Path(source).name, dropped, sides)
    notes += _unused(fields)
    return replace(log, timed=not layout.mapping.untimed, columns=fields.described(), notes=tuple(notes))


def _nothing_remains(source: Path | str, rows: int, dropped: dict[str, int]) -> str:
    reasons = "; ".join(f"{count:,} {reason}" for reason, count in dropped.items())
    return f"{source}: no interaction remains of {rows:,} rows" + (f"; left out: {reasons}" if reasons else "")


def _unused(fields: Fields) -> list[str]:
    """Return the sentence on a column of ratings that nobody asked for."""
    if fields.unused_value is None:
        return []
    column = fields.unused_value.path
    return [
        f"the column {column!r} is not used: every row counts, whatever its value; "
        f"`--value {column} --min-value 3` leaves out those below 3"
    ]


# 2: open


def _open(layout: Layout, place: Workplace) -> tuple[OpenTable, OpenTable, list[Loss]]:
    """Return the table of events, the rows that the layout makes of them, and what is lost before them."""
    known = [name for field in layout.mapping.given.values() if isinstance(field, str) for name in field.split(",")]
    statements = " ".join(filter(None, (layout.sql, layout.items, layout.users)))
    numbered = ROW_NUMBER in statements
    events = open_table(place.connection, "events", layout.events, place.folder, known, numbered)
    beside = [
        open_table(place.connection, name, table, place.folder, (), numbered) for name, table in layout.beside.items()
    ]
    if layout.sql is None:
        return events, events, []
    rows = view_of(place.connection, "behaviours", layout.sql, events.files)
    lost = [loss for table in (events, *beside) for loss in faults(place.connection, table)]
    return events, rows, lost


# 4: stage


def _staged(place: Workplace, layout: Layout, events: OpenTable, rows: OpenTable, fields: Fields) -> _Staged:
    """Stage the rows; where a stray quote has swallowed lines, also with plain quotes, and keep the better reading.

    Raises
    ------
    ValueError
        If a quote is open at the end of the file, or many lines are not in the encoding.
    """
    where, left_out = layout.mapping.where, layout.left_out
    count = stage(place, rows, fields, where, left_out, "rows.parquet")
    first = _Staged(count, fields, _lost(place, events))
    _check_encoding(events, first)
    quotes = [loss for loss in first.lost if loss.reason in (STRAY_QUOTE, UNCLOSED_QUOTE, SWALLOWED_LINES)]
    if not quotes or layout.events.quote is not None or events.dialect is None:
        _check_quotes(events, first)
        return first
    again = reopen(place.connection, events, events.dialect.with_plain_quotes())
    count = stage(place, rows, fields, where, left_out, "rows-again.parquet")
    other = _Staged(count, fields, _lost(place, again), (_plain_quotes(quotes),))
    if other.rows > first.rows:
        return other
    _check_quotes(events, first)
    reopen(place.connection, events, events.dialect)
    stage(place, rows, fields, where, left_out, "rows-last.parquet")
    return first


def _lost(place: Workplace, events: OpenTable) -> tuple[Loss, ...]:
    """Return the lines of the staged table that are not among its rows."""
    lost = losses(place.connection, events)
    lines, row = one_row(
        place.connection, f"SELECT sum({SWALLOWED}), min(file_row_number) FILTER ({SWALLOWED} > 0) FROM {STAGED}"
    )
    if lines:
        lost.append(Loss(SWALLOWED_LINES, int(lines), f"{Path(events.files[0]).name} row {row + 1}"))
    return tuple(lost)


def _check_encoding(events: OpenTable, staged: _Staged) -> None:
    wrong = [loss for loss in staged.lost if loss.reason == WRONG_ENCODING]
    if wrong and wrong[0].lines > MOST_WRONGLY_ENCODED * staged.rows:
        raise ValueError(
            f"{events.files[0]} is not in UTF-8 ({wrong[0].lines:,} lines; {wrong[0].example}); --encoding says in "
            "which encoding it is, such as latin-1, cp1252 or utf-16"
        )


def _check_quotes(events: OpenTable, staged: _Staged) -> None:
    open_quotes = [loss for loss in staged.lost if loss.reason == UNCLOSED_QUOTE]
    if open_quotes:
        raise ValueError(
            f"{events.files[0]}: a quote is never closed and swallows {open_quotes[0].lines:,} lines "
            f"({open_quotes[0].example}); close it, or --quote none reads quotes as plain characters"
        )


def _plain_quotes(quotes: Iterable[Loss]) -> str:
    lines = sum(loss.lines for loss in quotes)
    first = next(iter(quotes))
    return (
        f"quotes are read as plain characters, since stray ones would have swallowed or spoilt {lines:,} lines "
        f"(the first: {first.example})"
    )


def _named(place: Workplace, fields: Fields, notes: list[str]) -> Fields:
    """Make the view `NAMED` of the staged rows; a column `name` that names events is their type there.

    page_view is no item's title.
    """
    is_type = "type" not in fields.columns and fields.guessed_title and _names_events(place)
    renamed = " RENAME (title AS type)" if is_type else ""
    place.connection.execute(f"CREATE VIEW {NAMED} AS SELECT *{renamed} FROM {STAGED}")
    if not is_type:
        return fields
    notes.append(f"the column {fields.columns['title'][0].path!r} names events: it is the type, and no item's title")
    return replace(fields, columns={"type" if name == "title" else name: one for name, one in fields.columns.items()})


def _names_events(place: Workplace) -> bool:
    """Tell whether most titles read like event types, and are as few."""
    named, events = one_row(
        place.connection,
        f"SELECT count(*), count(*) FILTER (regexp_matches(lower(title), {literal(EVENT_WORDS)})) "
        f"FROM (SELECT DISTINCT title FROM {STAGED} WHERE title IS NOT NULL LIMIT {MOST_TYPES + 1})",
    )
    return bool(named <= MOST_TYPES and events * 2 > named)


# 5: read times, and say of each row whether it is kept


def _make_times(place: Workplace, layout: Layout, source: str, fields: Fields, notes: list[str]) -> None:
    """Make the view `TIMES`: the staged rows with `order`, their time or place, and the reason why one is left out."""
    mapping, name = layout.mapping, _join_times(place, fields.columns.get("time", ()))
    conditions: list[tuple[str, str]] = []
    if mapping.untimed:
        order = "number_of(CAST(moment AS VARCHAR))"
        conditions.append(("placed IS NULL", literal("without a readable order")))
    else:
        reading = read_times(place.connection, JOINED, "moment", name, mapping.time_format)
        check_times(place.connection, JOINED, "moment", name, reading)
        notes += reading.notes
        order = reading.sql
        conditions.append(("placed IS NULL", literal("without a readable time")))
        outside = literal("with a time outside of 1973 to 2100, which the stream does not take")
        conditions.append((f"placed NOT BETWEEN {EARLIEST_MS} AND {LATEST_MS}", outside))
    if mapping.min_value is not None:
        low = literal(f"with a value below {mapping.min_value:g}")
        conditions.append(("value IS NULL", literal("without a readable value")))
        conditions.append((f"value < {mapping.min_value}", low))
    cases = " ".join(f"WHEN {when} THEN {reason}" for when, reason in conditions)
    event_type = "" if "type" in fields.columns else "NULL::VARCHAR AS type, "
    place.connection.execute(
        f"CREATE VIEW {TIMES} AS SELECT *, CASE {cases} END AS reason FROM "
        f"(SELECT *, {event_type}{order} AS placed FROM {JOINED})"
    )
    place.connection.execute(
        f'CREATE VIEW {catalogue.KEPT} AS SELECT *, "user" AS user_id, item AS item_id, placed AS event_time_ms '
        f"FROM {TIMES} WHERE {LEFT_OUT} IS NULL AND reason IS NULL"
    )


def _join_times(place: Workplace, columns: tuple[Column, ...]) -> str:
    """Make the view `JOINED`: the staged rows with `moment`, all columns of the time in one; return their names."""
    parts = [TIME.format(one) for one in range(len(columns))]
    if len(parts) == 2:
        joined = join_date_and_time(place.connection, NAMED, *parts) or f"coalesce({parts[0]}, {parts[1]})"
    elif len(parts) > 2:
        joined = join_calendar(place.connection, NAMED, parts)
    else:
        joined = parts[0] if parts else "file_row_number"
    place.connection.execute(f"CREATE VIEW {JOINED} AS SELECT *, {joined} AS moment FROM {NAMED}")
    return ",".join(column.path for column in columns)


# 6: order the rows that are kept


def _in_order(coded: CodedRows, mapping: Mapping) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the events in order of time, and the numbers of rows that are left out, by reason."""
    if mapping.untimed:
        coded = replace(coded, order=positions_of_users(coded))
    if len(coded.order) > 1 and (np.diff(coded.order) < 0).any():
        coded = coded.take(np.argsort(coded.order, kind="stable"))
    dropped = dict(coded.dropped)
    if mapping.max_events_per_user is not None:
        latest = latest_of_users(np.asarray(coded.user.codes), mapping.max_events_per_user)
        dropped[f"beyond the latest {mapping.max_events_per_user:,} of their user"] = int((~latest).sum())
        coded = coded.take(latest)
    columns = (coded.user, coded.item, coded.event_type)
    events = [column.remove_unused_categories() for column in columns]
    return pd.DataFrame(dict(zip(EVENT_COLUMNS, [*events, coded.order], strict=True))), dropped


# 7: items and users


def _sides(place: Workplace, layout: Layout, source: str) -> dict[str, str]:
    """Return user_id -> side, where the publisher divides the users.

    Raises
    ------
    ValueError
        If a user is on several sides.
    """
    if layout.sides is None:
        return {}
    listed = f"SELECT user_id, array_agg(DISTINCT side) AS sides FROM ({layout.sides}) GROUP BY user_id"
    table = arrow_table(place.connection, listed)
    known = dict(zip(table["user_id"].to_pylist(), table["sides"].to_pylist(), strict=True))
    torn = {user: sides for user, sides in known.items() if len(sides) > 1}
    if torn:
        user = min(torn)
        raise ValueError(
            f"{source}: {len(torn):,} of the users are on several sides ({', '.join(sorted(torn[user]))}), "
            f"e.g. {user!r}; each must be on one only"
        )
    return {user: sides[0] for user, sides in known.items()}


def _without_false_title(place: Workplace, fields: Fields, notes: list[str]) -> Fields:
    """Return the fields without a title that was found by its name and changes from event to event."""
    if "title" not in fields.columns:
        return fields
    column, (items, changing, titles) = fields.columns["title"][0].path, catalogue.count_titles(place.connection)
    if changing * 2 <= items or titles * 2 > items:
        return fields
    notes.append(
        f"the column {column!r} holds {titles:,} values for {items:,} items, and most items have several: "
        + ("it is not taken as title; --title names another column" if fields.guessed_title else "is it their title?")
    )
    return fields.without("title") if fields.guessed_title else fields


def _items_beside(place: Workplace, layout: Layout, notes: list[str]) -> str | None:
    """Return the SELECT of the catalogue beside the log: the mapping's own file, or the layout's tables."""
    if layout.mapping.items is None:
        return layout.items
    table = open_table(place.connection, "catalogue", Table((str(layout.mapping.items),)), place.folder)
    return catalogue.catalogue_select(table, notes)


def _users_beside(place: Workplace, layout: Layout) -> str | None:
    """Return the SELECT of the profiles beside the log, likewise."""
    if layout.mapping.users is None:
        return layout.users
    return catalogue.users_select(
        open_table(place.connection, "profiles", Table((str(layout.mapping.users),)), place.folder)
    )
