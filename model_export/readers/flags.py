"""Columns beside those of the fields that say which rows are no behaviours: flags, ratings, negative quantities."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from duckdb import DuckDBPyConnection

from model_export.readers.columns import Column, text_of
from model_export.readers.fields import Fields
from model_export.readers.names import letters, recognised
from model_export.readers.sql import quoted
from model_export.readers.tables.open_table import OpenTable
from model_export.readers.tables.query import one_row

__all__ = ["has_flag_as_type", "other_users", "unused_columns"]

FLAGS = frozenset(
    (
        *(
            "click",
            "clicks",
            "clicked",
            "isclick",
            "isclicked",
            "label",
            "target",
            "purchase",
            "purchased",
            "ispurchase",
        ),
        *("ispurchased", "bought", "buy", "isbuy", "isbought", "ordered", "converted", "conversion", "isconversion"),
        *("isconverted", "liked", "isliked", "islike", "watched", "viewed", "event", "installed", "booked"),
    )
)
QUANTITIES = frozenset(("quantity", "qty", "amount", "units", "itemquantity", "orderquantity", "count"))
MANY_WITHOUT = 0.05  # share of the rows
NO, YES = ("0", "0.0", "false", "f", "no"), ("1", "1.0", "true", "t", "yes")
FLAG_WORDS = frozenset(("0", "1", "true", "false"))


def has_flag_as_type(connection: DuckDBPyConnection, staged: str) -> bool:
    """Tell whether the types of staged rows are 0 and 1, or true and false, which say no type.

    Where all are 1, that is the number of a type.
    """
    found = connection.execute(
        f"SELECT DISTINCT lower(trim(type)) FROM {staged} WHERE type IS NOT NULL AND trim(type) <> '' LIMIT 5"
    ).fetchall()
    words = {word for (word,) in found}
    return bool(words) and words <= FLAG_WORDS and words != {"1"}


def unused_columns(
    connection: DuckDBPyConnection, rows: OpenTable, fields: Fields, conditions: str, false_type: str | None
) -> list[str]:
    """Return sentences on columns by which rows should be left out, and which are not used.

    Parameters
    ----------
    rows : the table of behaviours.
    conditions : all that the mapping says already; columns that are named in it are not looked at.
    false_type : a column that was taken for the type by its name, and holds a flag.
    """
    used = {column.steps for columns in fields.columns.values() for column in columns}
    columns = [
        column
        for column in rows.columns
        if column.steps not in used
        and not any("[]" in step for step in column.steps)
        and not column.is_list
        and not re.search(rf"\b{re.escape(column.words[-1])}\b", conditions, re.IGNORECASE)
    ]
    flags = [one for one in columns if letters(one.words[-1]) in FLAGS or one.path == false_type]
    quantities = [one for one in columns if letters(one.words[-1]) in QUANTITIES]
    found = [_flag(connection, rows, column, column.path == false_type) for column in flags]
    found += [_quantity(connection, rows, column) for column in quantities]
    return [sentence for sentence in found if sentence]


def other_users(rows: OpenTable, fields: Fields, without: int, total: int) -> list[str]:
    """Return the sentence on columns that may hold the user where it is missing.

    Parameters
    ----------
    without, total : rows without a user, and all.
    """
    if without <= MANY_WITHOUT * total:
        return []
    used = {column.steps for columns in fields.columns.values() for column in columns}
    others = [
        one.path
        for one in rows.columns
        if one.steps not in used and not one.is_list and recognised(one.words[-1]) == "user"
    ]
    if not others:
        return []
    ways = ",".join([*(column.path for column in fields.columns["user"]), *others[:3]])
    return [f"{', '.join(others)} may hold the user where it is missing: `--user {shlex.quote(ways)}`"]


@dataclass(frozen=True)
class _Cells:
    """A column as it is counted: SQL of its text, and its name in a condition for people."""

    text: str
    name: str


def _cells(rows: OpenTable, column: Column) -> _Cells:
    value = ".".join([rows.name, *map(quoted, column.steps)])
    names: Sequence[str] = column.steps
    plain = all(re.fullmatch(r"[A-Za-z_]\w*", name) for name in names)
    return _Cells(f"trim({text_of(value, column.type)})", ".".join(names if plain else map(quoted, names)))


def _flag(connection: DuckDBPyConnection, rows: OpenTable, column: Column, is_type: bool) -> str | None:
    """Say that a flag is not used; None if it is none, or all rows have it."""
    cells = _cells(rows, column)
    no, yes = (f"count(*) FILTER (lower({cells.text}) IN ({_listed(words)}))" for words in (NO, YES))
    known = f"count(*) FILTER ({cells.text} <> '')"
    words = f"min({cells.text}) FILTER (lower({cells.text}) IN ({_listed(NO)})), max({cells.text})"
    without, having, filled, word, other = one_row(connection, f"SELECT {no}, {yes}, {known}, {words} FROM {rows.name}")
    if not without or without + having != filled:
        return None
    if word.startswith("0") and other[:1] in "01":
        way = f"--value {shlex.quote(column.path)} --min-value 1"
    else:
        condition = f"{cells.name} = {_yes(word)}"
        in_quotes = f'"{condition}"' if re.fullmatch(r"[\w.' =]+", condition) else shlex.quote(condition)
        way = f"--where {in_quotes}"
    why = "is not used, and no event type" if is_type else "is not used"
    return f"the column {column.path!r} {why}: {without:,} of {filled:,} rows have {word}; `{way}` leaves them out"


def _yes(no: str) -> str:
    """Return the literal that is written where `no` is not, in the same case."""
    yes = dict(zip(NO, YES, strict=True))[no.lower()]
    return f"'{yes.upper() if no.isupper() else yes.capitalize() if no[0].isupper() else yes}'"


def _quantity(connection: DuckDBPyConnection, rows: OpenTable, column: Column) -> str | None:
    """Say that a quantity is below 0 in some rows."""
    cells = _cells(rows, column)
    negative, *_ = one_row(connection, f"SELECT count(*) FILTER (number_of({cells.text}) < 0) FROM {rows.name}")
    if not negative:
        return None
    way = f"--where {shlex.quote(f'{cells.name} > 0')}"
    return f"{negative:,} {'row has' if negative == 1 else 'rows have'} a {column.path} below 0 (returns?): `{way}`"


def _listed(words: Sequence[str]) -> str:
    return ", ".join(f"'{word}'" for word in words)
