"""Numbers and prices as people write them, and the SQL of first known words."""

import math
import re
from collections.abc import Iterable

from duckdb import DuckDBPyConnection

from mindstream.parsing.ids import BLANKS, MISSING
from model_export.readers.sql import literal

__all__ = [
    "first_known",
    "make_macros",
    "points_are_thousands",
    "prices_have_commas",
    "read_price",
]

# What stands around the number of a price: words (EUR, Rs.), signs of currencies, blanks, apostrophes.
_AROUND_PRICE = re.compile(r"[^\W\d_]+\.?|[^\w.,+\-/()%:]")
_PRICE = re.compile(r"([-+]?)([\d.,]*\d)(-|[.,]-+)?")  # 10.99- is negative, 10,- is not
_WITH_COMMA = re.compile(r"[-+]?(\d+,\d{1,2}|\d{1,3}(\.\d{3})+,\d+)-?")
_THOUSANDS_WITH_POINTS = re.compile(r"\d{1,3}(\.\d{3})+,\d+|\d+,\d{1,2}|\d+(\.\d{3}){2,}")
_SCIENTIFIC = re.compile(r"[-+]?\d+(\.\d+)?[eE][-+]?\d+")


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
