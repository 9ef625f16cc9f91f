"""Answers of DuckDB: one row, or Arrow; and its errors in one sentence."""

import errno
from typing import Any

import duckdb
import pyarrow as pa
from duckdb import DuckDBPyConnection

__all__ = ["arrow_batches", "arrow_table", "is_full", "one_row", "sentence_of"]

FULL = ("No space left", "File too large", "quota exceeded", "max_temp_directory_size")


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


def sentence_of(error: duckdb.Error) -> str:
    """Return the first line of an error, which is the only one for people."""
    return str(error).splitlines()[0]


def is_full(error: BaseException) -> bool:
    """Tell whether an error says that the disk of the temporary folder is full."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
    return isinstance(error, duckdb.Error) and any(one in str(error) for one in FULL)
