"""Columns called `name` or `title` that are no titles: names of events, or values that change from event to event."""

from dataclasses import replace

from duckdb import DuckDBPyConnection

from model_export.readers.fields import Fields
from model_export.readers.flags import has_flag_as_type
from model_export.readers.sql import literal
from model_export.readers.tables.query import one_row

__all__ = ["with_event_names_as_type", "without_false_title"]

MOST_TYPES = 50  # event types of a log
EVENT_WORDS = (
    r"view|click|cart|purchase|impression|checkout|wish|search|play|session|scroll|sign_?(in|up)|log_?in|"
    r"(^|[_ ])(buy|order|like|dislike|rate|share|save|add|remove|visit|open|pay|start|view|show)(s|ed|d)?($|[_ ])"
)


def with_event_names_as_type(
    connection: DuckDBPyConnection, staged: str, named: str, fields: Fields, is_type_given: bool, notes: list[str]
) -> Fields:
    """Make a view of the staged rows in which a column `name` that names events is their type.

    page_view is no item's title; true and false are no types.

    Parameters
    ----------
    staged, named : names of the view of the staged rows, and of the one that is made.
    is_type_given : whether the mapping names the column of the type.
    notes : added to in place.
    """
    without = ""
    if "type" in fields.columns and not is_type_given and has_flag_as_type(connection, staged):
        fields, without = fields.without("type"), " EXCLUDE (type)"
    is_type = "type" not in fields.columns and fields.guessed_title and _names_events(connection, staged)
    renamed = " RENAME (title AS type)" if is_type else ""
    connection.execute(f"CREATE VIEW {named} AS SELECT *{without}{renamed} FROM {staged}")
    if not is_type:
        return fields
    notes.append(f"the column {fields.columns['title'][0].path!r} names events: it is the type, and no item's title")
    return replace(fields, columns={"type" if name == "title" else name: one for name, one in fields.columns.items()})


def _names_events(connection: DuckDBPyConnection, staged: str) -> bool:
    """Tell whether most titles read like event types, and are as few."""
    named, events = one_row(
        connection,
        f"SELECT count(*), count(*) FILTER (regexp_matches(lower(title), {literal(EVENT_WORDS)})) "
        f"FROM (SELECT DISTINCT title FROM {staged} WHERE title IS NOT NULL LIMIT {MOST_TYPES + 1})",
    )
    return bool(named <= MOST_TYPES and events * 2 > named)


def without_false_title(connection: DuckDBPyConnection, kept: str, fields: Fields, notes: list[str]) -> Fields:
    """Return the fields without a title that changes from event to event.

    Only one that was found by its name is left out.

    Parameters
    ----------
    kept : name of the view of the rows that are kept, with item_id and title.
    notes : added to in place.
    """
    if "title" not in fields.columns:
        return fields
    column, (items, changing, titles) = fields.columns["title"][0].path, _count_titles(connection, kept)
    if changing * 2 <= items or titles * 2 > items:
        return fields
    notes.append(
        f"the column {column!r} holds {titles:,} values for {items:,} items, and most items have several: "
        + ("it is not taken as title; --title names another column" if fields.guessed_title else "is it their title?")
    )
    return fields.without("title") if fields.guessed_title else fields


def _count_titles(connection: DuckDBPyConnection, kept: str) -> tuple[int, int, int]:
    """Return the numbers of items with a title, with several, and of titles."""
    items, changing, titles = one_row(
        connection,
        f"SELECT count(*), count(*) FILTER (several > 1), (SELECT count(DISTINCT title) FROM {kept}) "
        f"FROM (SELECT item_id, count(DISTINCT title) AS several FROM {kept} WHERE title IS NOT NULL GROUP BY item_id)",
    )
    return items, changing, titles
