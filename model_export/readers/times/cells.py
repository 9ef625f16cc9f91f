"""Cells in SQL: literals, which cells are missing, which are numbers, and text that is tidied up."""

import duckdb

from mindstream.parsing.ids import BLANKS, MISSING
from model_export.readers.sql import literal

__all__ = ["NUMBER", "cells_of", "literal", "matches", "number_of_text", "present", "tidy", "trimmed", "type_of"]

# Python's re and RE2 read it the same.
NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"

_MISSING = ("", "?", "nat", "<null>", *sorted(MISSING))
_SQL_BLANKS = " || ".join(f"chr({ord(one)})" for one in BLANKS)
_BLANK = "[" + "".join(rf"\x{{{ord(one):04X}}}" for one in f"{BLANKS}\u200e\u200f") + "]"  # and marks of direction

# Pattern, and what stands in its place everywhere; in this order.
_TIDY = (
    (rf"{_BLANK}+", " "),
    (r"^ ?\\?/Date\((-?\d+)(?:[+-]\d{4})?\)\\?/ ?$", r"\1"),  # .NET's JSON: milliseconds
    (r"\[[A-Za-z_]+/[A-Za-z_/]+\]$", ""),  # Java: the region behind an offset
    (r" ?\([^()]*\) *$", ""),  # JavaScript: the zone's name behind an offset
    (r"""^[ \["'(]+|[ \]"');,.]+$""", ""),
    (r"(?i) ?\b([ap])\. ?m\b\.?", r" \1m"),
    (r"(?i)(\d)(?:st|nd|rd|th)\b", r"\1"),
    (r"(?i)\b(jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)\.", r"\1"),
    (r"(?i)\bsept\b", "Sep"),
    (r"(\d{4}\D*) at (\d)", r"\1 \2"),
    (r"(UTC|GMT)([+-])(\d)$", r"\1\20\3"),
    (r"^(\d{9,}),(\d+)$", r"\1.\2"),
    (r"^(\d{4}):(\d\d):(\d\d)\b", r"\1-\2-\3"),  # cameras
)


def matches(text: str, pattern: str) -> str:
    """Write the SQL that tells whether a whole text matches a pattern."""
    return f"regexp_full_match({text}, {literal(pattern)})"


def trimmed(text: str) -> str:
    """Write the SQL of a text without blanks around it."""
    return f"trim({text}, {_SQL_BLANKS})"


def present(text: str) -> str:
    """Write the SQL that tells whether a text cell is there, and no word for a missing value."""
    words = ", ".join(map(literal, _MISSING))
    # Most cells are told by their first character, or their length: none of the words begins with a digit or is long.
    is_word = f"lower({trimmed(text)}) IN ({words})"
    return (
        f"CASE WHEN {text} IS NULL THEN false WHEN {text} >= '0' AND ({text} < ':' OR strlen({text}) > 12) THEN true "
        f"ELSE NOT {is_word} END"
    )


def tidy(text: str) -> str:
    """Write the SQL of a text without odd blanks, quotes, brackets, and the th of 15th."""
    for pattern, instead in _TIDY:
        text = f"regexp_replace({text}, {literal(pattern)}, {literal(instead)}, 'g')"
    return text


def number_of_text(text: str) -> tuple[str, str]:
    """Write the SQL of a text's number as DOUBLE and, exact above 2^53, as BIGINT."""
    return f"TRY_CAST({text} AS DOUBLE)", f"TRY_CAST({text} AS BIGINT)"


def type_of(connection: duckdb.DuckDBPyConnection, relation: str, column: str) -> str:
    """Return the name of a column's type without its parameters, such as VARCHAR or DECIMAL."""
    described = connection.execute(f"DESCRIBE SELECT {column} FROM {relation}").fetchall()
    return str(described[0][1]).partition("(")[0]


def cells_of(
    connection: duckdb.DuckDBPyConnection, relation: str, column: str, condition: str, most: int, spread: bool = True
) -> list[str]:
    """Return some cells that meet a condition, as text.

    Parameters
    ----------
    spread : drawn from all rows, the same each time; else the first ones.
    """
    cells = f"SELECT CAST({column} AS VARCHAR) AS cell FROM {relation} WHERE {condition}"
    draw = f"USING SAMPLE reservoir({most} ROWS) REPEATABLE (1)" if spread else f"LIMIT {most}"
    return [str(row[0]) for row in connection.execute(f"SELECT cell FROM ({cells}) {draw}").fetchall()]
