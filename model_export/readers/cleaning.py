"""Ids, words, numbers and prices as people write them."""

import json
import math
import re
from collections.abc import Iterable

from duckdb import DuckDBPyConnection

from model_export.readers.sql import literal

__all__ = [
    "BLANKS",
    "MISSING",
    "clean_id",
    "clean_text",
    "first_known",
    "make_macros",
    "points_are_thousands",
    "prices_have_commas",
    "read_price",
]

# What stands for a missing id, in any case. Of categories and titles it does not: NA is Namibia's code, and a brand.
MISSING = frozenset(
    (
        *("na", "n/a", "#n/a", "<na>", "nan", "nil", "none", "null", "(null)", "undefined", "(not set)", "not set"),
        *("unknown", "\\n", "-", "--"),
    )
)
LONGEST_MISSING = max(map(len, MISSING))
BLANKS = "".join(chr(one) for one in range(0x3001) if chr(one).isspace()) + "\u200b\u2060\ufeff"

# What stands around the number of a price: words (EUR, Rs.), signs of currencies, blanks, apostrophes.
_AROUND_PRICE = re.compile(r"[^\W\d_]+\.?|[^\w.,+\-/()%:]")
_PRICE = re.compile(r"([-+]?)([\d.,]*\d)(-|[.,]-+)?")  # 10.99- is negative, 10,- is not
_WITH_COMMA = re.compile(r"[-+]?(\d+,\d{1,2}|\d{1,3}(\.\d{3})+,\d+)-?")
_THOUSANDS_WITH_POINTS = re.compile(r"\d{1,3}(\.\d{3})+,\d+|\d+,\d{1,2}|\d+(\.\d{3}){2,}")
_SCIENTIFIC = re.compile(r"[-+]?\d+(\.\d+)?[eE][-+]?\d+")


def clean_text(cell: str | None) -> str | None:
    """Return a cell without blanks around it; None if nothing is left."""
    return (cell.strip(BLANKS) or None) if cell else None


def clean_id(cell: str | None) -> str | None:
    """Return an id without blanks around it and 12.0 as 12; None if it is missing.

    An object of JSON is no id.
    """
    word = clean_text(cell)
    if (
        word is None
        or (word[0] == "{" and _is_object(word))
        or (len(word) <= LONGEST_MISSING and word.lower() in MISSING)
    ):
        return None
    # Integers with gaps are floats to pandas, and it writes them so.
    return re.sub(r"^([-+]?[0-9]+)\.0+$", r"\1", word) if word.endswith("0") else word


def _is_object(word: str) -> bool:
    try:
        return isinstance(json.loads(word), dict)
    except ValueError:
        return False


def first_known(cells: Iterable[str]) -> str:
    """Return SQL of the first of several cells that is not missing."""
    words = ", ".join(map(literal, sorted({"", *MISSING})))
    blanks = literal(BLANKS)
    known = (f"CASE WHEN lower(trim({cell}, {blanks})) NOT IN ({words}) THEN {cell} END" for cell in cells)
    return f"coalesce({', '.join(known)})"


def make_macros(connection: DuckDBPyConnection) -> None:
    """Define number_of(text) in a connection: the finite DOUBLE, or NULL.

    It may have a decimal comma.
    """
    connection.execute(
        "CREATE MACRO number_of(x) AS CASE WHEN isfinite(TRY_CAST(replace(x, ',', '.') AS DOUBLE)) "
        "THEN TRY_CAST(replace(x, ',', '.') AS DOUBLE) END"
    )


def prices_have_commas(cells: Iterable[str]) -> bool:
    """Tell whether the prices of a log have decimal commas.

    One of them may show it: 10,99 or 1.299,00.
    """
    return any("," in cell and _WITH_COMMA.fullmatch(_AROUND_PRICE.sub("", cell)) for cell in cells)


def points_are_thousands(cells: Iterable[str]) -> bool:
    """Tell whether points in prices stand before thousands: all have three digits behind."""
    plain = {_AROUND_PRICE.sub("", cell) for cell in cells}
    with_point = [cell for cell in plain if "." in cell]
    return len(with_point) > 1 and all(re.fullmatch(r"[-+]?[1-9]\d{0,2}(\.\d{3})+-?", cell) for cell in with_point)


def read_price(cell: str, commas: bool) -> float | None:
    """Return a price with currency signs and thousands; None if it is none.

    As in 1,299.00; 1.299,00 EUR; $10.

    Parameters
    ----------
    commas : whether the prices of the log have decimal commas, by which 1.299 is a thousand.
    """
    if _SCIENTIFIC.fullmatch(cell):
        return _finite(cell)
    found = _PRICE.fullmatch(_AROUND_PRICE.sub("", cell))
    if found is None:
        return None
    sign, number, end = found.groups()
    thousand = re.fullmatch(r"\d{1,3}(\.\d{3})+", number)
    if _THOUSANDS_WITH_POINTS.fullmatch(number) or (commas and (thousand or number.rfind(",") > number.rfind("."))):
        number = number.replace(".", "").replace(",", ".")
    price = _finite(number.replace(",", ""))
    return -price if price is not None and (sign == "-" or end == "-") else price


def _finite(number: str) -> float | None:
    try:
        value = float(number)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
