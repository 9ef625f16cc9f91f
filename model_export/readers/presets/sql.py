"""Pieces of SQL that several presets use."""

from collections.abc import Iterable

from model_export.readers.sql import literal, quoted

__all__ = ["AS_RATING", "PLACE", "decade", "listed", "text_of", "with_missing"]

AS_RATING = "SELECT *, 'rating' AS event_type FROM events"

# The place of an element of a row's list among all elements of all rows.
PLACE = "row_number * 1000000 + place"


def listed(texts: Iterable[str]) -> str:
    """Return texts as a list for IN."""
    return "(" + ", ".join(literal(text) for text in texts) + ")"


def text_of(column: str) -> str:
    """Return the expression of a column as text, NULL where it is empty."""
    return f"nullif(CAST({column} AS VARCHAR), '')"


def decade(age: str) -> str:
    """Return the decade of an expression of an age ("20s"), NULL if it is no age."""
    number = f"TRY_CAST({age} AS DOUBLE)"
    decades = f"CAST(CAST(floor({number} / 10) * 10 AS INTEGER) AS VARCHAR) || 's'"
    return f"CASE WHEN {number} < 0 OR {number} > 130 THEN NULL WHEN {number} < 10 THEN 'under 10' ELSE {decades} END"


def with_missing(columns: Iterable[str], table: str = "events") -> str:
    """Return a table for FROM that has all these columns, of NULL if the table lacks them."""
    nothing = ", ".join(f"NULL AS {quoted(column)}" for column in columns)
    return f"(SELECT {nothing} WHERE false UNION ALL BY NAME SELECT * FROM {table})"
