"""Answers of DuckDB: one row, or Arrow."""

from typing import Any

import pyarrow as pa
from duckdb import DuckDBPyConnection

__all__ = ["arrow_batches", "arrow_table", "one_row"]


def one_row(connection: DuckDBPyConnection, sql: str, values: list[Any] | None = None) -> tuple[Any, ...]:
    """Return the only row of an answer."""
    [row] = connection.execute(sql, values or []).fetchall()
    return tuple(row)


def arrow_table(connection: DuckDBPyConnection, sql: str) -> pa.Table:
    """Return an answer as a table."""
    connection.complete()  # of what was asked before, some rows may not have been fetched
    return connection.sql(sql).to_arrow_table()


def arrow_batches(connection: DuckDBPyConnection, sql: str, rows: int) -> pa.RecordBatchReader:
    """Return an answer in batches of so many rows, made as they are read."""
    connection.complete()
    return connection.sql(sql).to_arrow_reader(rows)
