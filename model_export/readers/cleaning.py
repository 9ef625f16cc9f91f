"""Ids, words, numbers and prices as people write them."""

import re

from duckdb import DuckDBPyConnection

__all__ = ["MISSING", "clean_id", "clean_text", "make_macros"]

# What stands for a missing id, in any case. Of categories and titles it does not: NA is Namibia's code, and a brand.
MISSING = frozenset(
    (
        *("na", "n/a", "#n/a", "<na>", "nan", "nil", "none", "null", "(null)", "undefined", "(not set)", "not set"),
        *("unknown", "\\n", "-", "--"),
    )
)
LONGEST_MISSING = max(map(len, MISSING))
BLANKS = " \t\r\n\v\f\u00a0\u2007\u202f\u3000\u200b\ufeff"


def clean_text(cell: str | None) -> str | None:
    """Return a cell without blanks around it; None if nothing is left."""
    return (cell.strip(BLANKS) or None) if cell else None


def clean_id(cell: str | None) -> str | None:
    """Return an id without blanks around it and 12.0 as 12; None for what stands for a missing one."""
    word = clean_text(cell)
    if word is None or (len(word) <= LONGEST_MISSING and word.lower() in MISSING):
        return None
    # Integers with gaps are floats to pandas, and it writes them so.
    return re.sub(r"^([-+]?[0-9]+)\.0+$", r"\1", word) if word.endswith("0") else word


def make_macros(connection: DuckDBPyConnection) -> None:
    """Define number_of, bare_price and price_of in a connection.

    number_of(text) : the finite DOUBLE, also with a decimal comma; else NULL.
    price_of(text, comma) : likewise with currency signs and thousands: 1,299.00; 1.299,00; EUR 10,99. `comma` says that
    the prices of the log have decimal commas, by which 1.299 is a thousand.
    """
    connection.execute(
        "CREATE MACRO number_of(x) AS CASE WHEN isfinite(TRY_CAST(replace(x, ',', '.') AS DOUBLE)) "
        "THEN TRY_CAST(replace(x, ',', '.') AS DOUBLE) END"
    )
    # What is left of a price without currency, blanks and apostrophes: digits, points and commas.
    connection.execute(r"CREATE MACRO bare_price(x) AS regexp_replace(x, '[\pL\p{Sc}\pZ''\x{2019}]+\.?', '', 'g')")
    connection.execute(
        r"""CREATE MACRO price_of(x, comma) AS TRY_CAST(CASE
            WHEN NOT regexp_full_match(bare_price(x), '-?[\d.,]*\d[\d.,]*(-|[.,]-+)?') THEN NULL
            WHEN comma OR regexp_full_match(bare_price(x), '-?\d{1,3}(\.\d{3})+,\d+|-?\d+,\d{1,2}|-?\d+(\.\d{3}){2,}')
                THEN replace(replace(rtrim(bare_price(x), ',-'), '.', ''), ',', '.')
            ELSE replace(rtrim(bare_price(x), '.,-'), ',', '') END AS DOUBLE)"""
    )
