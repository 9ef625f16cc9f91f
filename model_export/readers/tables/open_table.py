"""Tables on disk as views of a connection, whatever their files are."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
from duckdb import DuckDBPyConnection

from model_export.readers.columns import Column, columns_of
from model_export.readers.layout import Table
from model_export.readers.tables import delimited, json_lines, spreadsheet
from model_export.readers.tables.delimited import SWALLOWED, SWALLOWED_LINES, Dialect, Loss, literal
from model_export.readers.tables.files import is_remote, kind_of, parts_of, readable
from model_export.readers.tables.json_lines import FAULT
from model_export.readers.tables.query import one_row

__all__ = ["ROW_NUMBER", "OpenTable", "faults", "losses", "open_table", "reopen", "view_of"]

ROW_NUMBER = "row_number"


@dataclass(frozen=True)
class OpenTable:
    """A table that can be queried by its name.

    Attributes
    ----------
    name : of the view.
    columns : of the log, without those that count what is lost.
    files : as DuckDB reads them.
    dialect : of delimited text, else None.
    """

    name: str
    columns: tuple[Column, ...]
    files: tuple[str, ...]
    dialect: Dialect | None

    @property
    def names(self) -> list[str]:
        """Return the names of the columns, without what is nested in them."""
        return list(dict.fromkeys(column.steps[0].removesuffix("[]") for column in self.columns))


def open_table(
    connection: DuckDBPyConnection,
    name: str,
    table: Table,
    folder: Path,
    known: Sequence[str] = (),
    numbered: bool = False,
) -> OpenTable:
    """Make a view of a table, and say what it has.

    Parameters
    ----------
    name : of the view.
    folder : for copies of files that DuckDB cannot read.
    known : names of columns that the mapping gives.
    numbered : with a column `row_number`, the place of each row, from 1 on.

    Raises
    ------
    FileNotFoundError
        If there is no file.
    ValueError
        If a file cannot be read, or the files are not of one kind.
    """
    parts = [part for path in table.paths for part in parts_of(path)]
    kind = _only_kind(parts)
    hive = not is_remote(parts[0]) and any("=" in parent.name for parent in Path(parts[0]).parents)
    dialect = None
    if kind == "text":
        files = [readable(part, table.encoding, folder) for part in parts]
        dialect = _dialect(connection, files, table, known)
        select = delimited.select(files, dialect, f"rejects_{name}", hive)
    elif kind == "json":
        files = [readable(part, table.encoding, folder) for part in parts]
        select = json_lines.select(connection, files)
    elif kind == "parquet":
        files = parts
        select = f"SELECT * FROM read_parquet({literal(files)}, union_by_name=true, hive_partitioning={literal(hive)})"
    else:
        files = parts
        rows = [spreadsheet.rows_of(part) if kind == "spreadsheet" else _arrow_rows(part) for part in parts]
        connection.register(f"{name}_rows", pa.concat_tables(rows))
        select = f"SELECT * FROM {name}_rows"
    if numbered:
        select = f"SELECT *, row_number() OVER () AS {ROW_NUMBER} FROM ({select})"
    return view_of(connection, name, select, files, dialect)


def reopen(connection: DuckDBPyConnection, table: OpenTable, dialect: Dialect) -> OpenTable:
    """Read a table of delimited text in another dialect from now on."""
    select = delimited.select(table.files, dialect, f"rejects_{table.name}_again")
    return view_of(connection, table.name, select, table.files, dialect)


def view_of(
    connection: DuckDBPyConnection, name: str, select: str, files: Sequence[str], dialect: Dialect | None = None
) -> OpenTable:
    """Make a view of a SELECT, and say what it has.

    Raises
    ------
    ValueError
        If it cannot be read; names the first file.
    """
    try:
        connection.execute(f"CREATE OR REPLACE VIEW {name} AS {select}")
        described = connection.sql(f"SELECT * FROM {name}")
    except duckdb.Error as error:
        raise ValueError(f"{files[0]} cannot be read: {str(error).splitlines()[0]}") from error
    columns = columns_of(described.columns, described.types)
    own = tuple(column for column in columns if column.path not in (SWALLOWED, FAULT))
    return OpenTable(name, own, tuple(files), dialect)


def _only_kind(parts: Sequence[str]) -> str:
    kinds = {kind_of(part): part for part in parts}
    if len(kinds) > 1:
        (one, first), (other, second), *_ = kinds.items()
        raise ValueError(
            f"files of one log have to be of one kind: {first} is {one}, {second} is {other}; give the path of one, "
            "or a glob such as 'folder/*.csv'"
        )
    return next(iter(kinds))


def _dialect(connection: DuckDBPyConnection, files: Sequence[str], table: Table, known: Sequence[str]) -> Dialect:
    """Return the dialect of the first file; the headers of the others have to be the same."""
    if table.lines:
        return Dialect(("line",), "\x1f", quote="", escape="", has_header=False, skip=table.skip_lines)
    dialect = delimited.dialect_of(connection, files[0], table, known)
    for file in files[1:]:
        if (names := delimited.dialect_of(connection, file, table, known).names) != dialect.names:
            raise ValueError(
                f"{file} has other columns ({', '.join(names)}) than {files[0]} ({', '.join(dialect.names)}); "
                "give the path of one, or a glob such as 'folder/events*.csv'"
            )
    return dialect


def _arrow_rows(file: str) -> pa.Table:
    with pa.memory_map(file) as source:
        return pa.ipc.open_file(source).read_all()


def losses(connection: DuckDBPyConnection, table: OpenTable) -> list[Loss]:
    """Return the lines that were rejected while a table of delimited text was read."""
    if table.dialect is None:
        return []
    again = "_again" if table.dialect.plain_quotes else ""
    return delimited.losses(connection, f"rejects_{table.name}{again}")


def faults(connection: DuckDBPyConnection, table: OpenTable) -> list[Loss]:
    """Read a table, and return the lines that are no rows of it; for one whose rows go through further SQL."""
    names = connection.sql(f"SELECT * FROM {table.name}").columns
    if FAULT in names:
        found = connection.execute(f"SELECT {FAULT}, count(*) FROM {table.name} WHERE {FAULT} IS NOT NULL GROUP BY ALL")
        return [Loss(reason, count, Path(table.files[0]).name) for reason, count in found.fetchall()]
    if SWALLOWED not in names:
        return []
    [lines] = one_row(connection, f"SELECT coalesce(sum({SWALLOWED}), 0) FROM {table.name}")
    lost = losses(connection, table)
    if lines:
        lost.append(Loss(SWALLOWED_LINES, int(lines), Path(table.files[0]).name))
    return lost
