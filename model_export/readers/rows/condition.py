"""The condition of --where, with numbers as numbers in columns of text that hold nothing else."""

from collections.abc import Iterable
from typing import Any

import duckdb
from duckdb import DuckDBPyConnection

from model_export.readers.columns import LISTS, Column
from model_export.readers.fields import listed
from model_export.readers.sql import quoted
from model_export.readers.tables.open_table import OpenTable
from model_export.readers.tables.query import one_row, sentence_of

__all__ = ["FITS", "with_condition"]

FITS = "mindstream_fits"
SAMPLED = 10_000  # rows that tell which columns hold numbers


def with_condition(connection: DuckDBPyConnection, rows: OpenTable, where: str) -> str:
    """Return a source for FROM: the rows with `FITS`, whether the condition is true.

    Columns of text that hold numbers only are numbers in it, or text if the condition takes them as such.

    Raises
    ------
    ValueError
        If the condition is no SQL, or there is no such column.
    """
    try:
        if len(connection.extract_statements(f"SELECT 1 WHERE {where}\n")) != 1:
            raise ValueError(f"--where is {where!r}: right is one condition of SQL, such as price > 10")
    except duckdb.Error as error:
        raise ValueError(f"--where is {where!r}: {sentence_of(error)}") from error
    view = connection.sql(f"SELECT * FROM {rows.name}")
    said: list[duckdb.Error] = []
    for numbers in (_numbers(connection, rows), frozenset[str]()):
        columns = [
            f"{_typed((name,), kind, rows.name, numbers)} AS {quoted(name)}"
            for name, kind in zip(view.columns, view.types, strict=True)
        ]
        source = f"(SELECT {', '.join(columns)}, {rows.name} AS mindstream_row FROM {rows.name})"
        try:
            connection.sql(f"SELECT 1 FROM {source} WHERE ({where}\n)")  # there it is a condition and no aggregate
        except duckdb.Error as error:
            said.append(error)
        else:
            return f"(SELECT unnest(mindstream_row), coalesce(({where}\n), false) AS {FITS} FROM {source})"
    there = f"; the columns are {listed(rows.columns)}" if isinstance(said[0], duckdb.BinderException) else ""
    raise ValueError(f"--where is {where!r}: {sentence_of(said[0])}{there}") from said[0]


def _numbers(connection: DuckDBPyConnection, rows: OpenTable) -> frozenset[str]:
    """Return the paths of columns of text whose first values are all numbers."""
    text = [column for column in rows.columns if column.type.id == "varchar" and "[]" not in column.path]
    if not text:
        return frozenset()
    found = one_row(connection, f"SELECT {', '.join(_counts(text))} FROM (FROM {rows.name} LIMIT {SAMPLED})")
    return frozenset(column.path for column, is_number in zip(text, found, strict=True) if is_number)


def _counts(columns: Iterable[Column]) -> Iterable[str]:
    for column in columns:
        value = ".".join(map(quoted, column.steps))
        yield f"count({value}) > 0 AND count({value}) = count(TRY_CAST({value} AS DOUBLE))"


def _typed(steps: tuple[str, ...], kind: Any, source: str, numbers: frozenset[str]) -> str:
    """Return SQL of a column, with the numbers in it and in its structs as such."""
    value = ".".join([source, *map(quoted, steps)])
    if kind.id == "struct":
        fields = (
            f"{quoted(name)} := {_typed((*steps, name), inner, source, numbers)}" for name, inner in kind.children
        )
        return f"struct_pack({', '.join(fields)})"
    if kind.id not in LISTS and ".".join(steps) in numbers:
        return f"TRY_CAST({value} AS DOUBLE)"
    return value
