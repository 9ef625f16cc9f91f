"""Cells in SQL: literals, which cells are missing, which are numbers, and text that is tidied up."""

import duckdb

from mindstream.parsing.ids import BLANKS, MISSING
from mindstream.parsing.writings import ODD_BLANKS, TIDY
from model_export.readers.sql import literal

__all__ = ["NUMBER", "cells_of", "literal", "matches", "number_of_text", "present", "tidy", "trimmed", "type_of"]

# Python's re and RE2 read it the same.
NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"

_MISSING = ("", "?", "nat", "<null>", *sorted(MISSING))
_SQL_BLANKS = " || ".join(f"chr({ord(one)})" for one in BLANKS)
_ESCAPED = {ord(one): rf"\x{{{ord(one):04X}}}" for one in ODD_BLANKS}  # as RE2 writes them


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
    for pattern, instead in TIDY:
        text = f"regexp_replace({text}, {literal(pattern.translate(_ESCAPED))}, {literal(instead)}, 'g')"
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
