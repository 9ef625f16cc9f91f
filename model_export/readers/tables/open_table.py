"""Tables on disk as views of a connection, whatever their files are."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import pyarrow as pa
from duckdb import DuckDBPyConnection

from model_export.readers.columns import Column, columns_of
from model_export.readers.layout import Table
from model_export.readers.names import recognised
from model_export.readers.sql import literal, quoted
from model_export.readers.tables import delimited, json_lines, spreadsheet
from model_export.readers.tables.delimited import SWALLOWED_LINES, Loss
from model_export.readers.tables.dialect import SWALLOWED, Dialect, dialect_of
from model_export.readers.tables.files import is_remote, kind_of, parts_of, readable
from model_export.readers.tables.json_lines import FAULT
from model_export.readers.tables.query import one_row, sentence_of

__all__ = ["ROW_NUMBER", "OpenTable", "faults", "open_table", "rejected", "reopen", "view_of"]

ROW_NUMBER = "row_number"
OWN = (SWALLOWED, FAULT)  # columns that are not the log's


@dataclass(frozen=True)
class OpenTable:
    """A table that can be queried by its name.

    Attributes
    ----------
    name : of the view.
    files : as DuckDB reads them.
    source : the first of them as it was given, for messages.
    columns : of the log, without those that count what is lost.
    own : those that count what is lost.
    dialect : of delimited text, of the first file; else None.
    dialects : of each file.
    notes : sentences on what was noticed.
    rejects : name of the table of lines that cannot be read.
    hive : whether folders are named column=value.
    numbered : whether there is a column `row_number`, the place of each row, from 1 on.
    """

    name: str
    files: tuple[str, ...]
    source: str
    columns: tuple[Column, ...] = ()
    own: tuple[str, ...] = ()
    dialect: Dialect | None = None
    dialects: tuple[Dialect, ...] = ()
    notes: tuple[str, ...] = ()
    rejects: str = ""
    hive: bool = False
    numbered: bool = False

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
    kind = _only_kind(parts, table.encoding)
    hive = not is_remote(parts[0]) and any("=" in parent.name for parent in Path(parts[0]).parents)
    is_text = kind in ("text", "json")
    files = [readable(part, table.encoding, folder) for part in parts] if is_text else parts
    opened = OpenTable(name, tuple(files), parts[0], rejects=f"rejects_{name}", hive=hive, numbered=numbered)
    try:
        if kind == "text":
            dialect, dialects = _dialects(connection, files, table, known)
            notes = tuple(dict.fromkeys(note for one in dialects for note in one.notes))
            return reopen(connection, replace(opened, dialects=dialects, notes=notes), dialect)
        return view_of(connection, opened, _select(connection, opened, kind))
    except ValueError as error:
        said = str(error)
        for file, part in zip(files, parts, strict=True):
            said = said.replace(file, part)  # copies are nobody's
        raise ValueError(said) from error


def _select(connection: DuckDBPyConnection, table: OpenTable, kind: str) -> str:
    """Return the SELECT of a table that is no delimited text."""
    if kind == "json":
        return json_lines.select(connection, table.files, table.rejects, table.hive)
    if kind == "parquet":
        files, hive = literal(list(table.files)), literal(table.hive)
        return f"SELECT * FROM read_parquet({files}, union_by_name=true, hive_partitioning={hive})"
    rows = [spreadsheet.rows_of(file) if kind == "spreadsheet" else _arrow_rows(file) for file in table.files]
    connection.register(f"{table.name}_rows", pa.concat_tables(rows))
    return f"SELECT * FROM {table.name}_rows"


def reopen(connection: DuckDBPyConnection, table: OpenTable, dialect: Dialect) -> OpenTable:
    """Read a table of delimited text in this dialect from now on."""
    again = replace(table, dialect=dialect, rejects=f"{table.rejects}_again" if table.dialect else table.rejects)
    return view_of(connection, again, _by_name(again, dialect))


def _by_name(table: OpenTable, dialect: Dialect) -> str:
    """Return the SELECT of parts of delimited text, whose columns are joined by name."""
    parts: list[tuple[Dialect, list[str]]] = []
    for file, own in zip(table.files, table.dialects, strict=True):
        if not parts or parts[-1][0].names != own.names:
            patterns = dialect.patterns if own.names == dialect.names else own.patterns
            parts.append((replace(dialect, names=own.names, patterns=patterns), []))
        parts[-1][1].append(file)
    return " UNION ALL BY NAME ".join(
        f"({delimited.select(files, own, table.rejects, table.hive)})" for own, files in parts
    )


def view_of(connection: DuckDBPyConnection, table: OpenTable, select: str) -> OpenTable:
    """Make the view of a table from a SELECT, and say what it has.

    Raises
    ------
    ValueError
        If it cannot be read; names the first file.
    """
    if table.numbered:
        select = f"SELECT *, row_number() OVER () AS {ROW_NUMBER} FROM ({select})"
    try:
        connection.execute(f"CREATE OR REPLACE VIEW {table.name} AS {select}")
        described = connection.sql(f"SELECT * FROM {table.name}")
    except duckdb.Error as error:
        raise ValueError(f"{table.source} cannot be read: {sentence_of(error)}") from error
    columns = tuple(column for column in columns_of(described.columns, described.types) if column.path not in OWN)
    return replace(table, columns=columns, own=tuple(name for name in OWN if name in described.columns))


def _only_kind(parts: Sequence[str], encoding: str | None) -> str:
    kinds = {kind_of(part, encoding): part for part in parts}
    if len(kinds) > 1:
        (one, first), (other, second), *_ = kinds.items()
        raise ValueError(
            f"files of one log have to be of one kind: {first} is {one}, {second} is {other}; give the path of one, "
            "or a glob such as 'folder/*.csv'"
        )
    return next(iter(kinds))


def _dialects(
    connection: DuckDBPyConnection, files: Sequence[str], table: Table, known: Sequence[str]
) -> tuple[Dialect, tuple[Dialect, ...]]:
    """Return the first dialect, and those of all files, which have columns in common."""
    first, *others = dialects = [dialect_of(connection, file, table, known) for file in files]
    names = {name.lower() for name in first.names}
    for file, other in zip(files[1:], others, strict=True):
        common = names & {name.lower() for name in other.names}
        if other.names != first.names and not (common and first.has_header and other.has_header):
            raise ValueError(
                f"{file} has other columns ({', '.join(other.names)[:500]}) than {files[0]} "
                f"({', '.join(first.names)[:500]}){_without_header(files[0], first, file, other)}; give the path of "
                "one, or a glob such as 'folder/events*.csv'"
            )
        if (other.delimiter, other.has_header, other.skip) != (first.delimiter, first.has_header, first.skip):
            raise ValueError(
                f"{file} is laid out in another way than {files[0]}: cells are separated by {other.delimiter!r} and "
                f"{first.delimiter!r}, the header is behind {other.skip} and {first.skip} lines; give the path of one"
            )
    escape = "\\" if "\\" in {one.escape for one in dialects} else first.escape
    quote = next((one.quote for one in dialects if one.quote != '"'), first.quote)
    return replace(first, quote=quote, escape=escape if escape == "\\" else quote), tuple(dialects)


def _without_header(file: str, one: Dialect, other_file: str, other: Dialect) -> str:
    """Return which of two files seems to have no header: numbers, and no usual name."""
    for bare, named, path in ((other, one, other_file), (one, other, file)):
        has_cells = not any(map(recognised, bare.names)) and any(name[:1].isdecimal() for name in bare.names)
        if has_cells and any(map(recognised, named.names)):
            return f": {path} seems to have no header, the other has one"
    return ""


def _arrow_rows(file: str) -> pa.Table:
    try:
        with pa.memory_map(file) as source:
            return pa.ipc.open_file(source).read_all()
    except pa.ArrowInvalid as error:
        raise ValueError(f"{file} is not an Arrow file that can be read: {error}") from error


def rejected(connection: DuckDBPyConnection, table: OpenTable) -> list[Loss]:
    """Return the lines that were rejected while a table was read."""
    return delimited.losses(connection, table.rejects)


def faults(connection: DuckDBPyConnection, table: OpenTable) -> list[Loss]:
    """Read a table of text, and return the lines that are no rows of it."""
    name = Path(table.files[0]).name
    found: list[Loss] = []
    if FAULT in table.own:
        counts = f"SELECT {FAULT}, count(*) FROM {table.name} WHERE {FAULT} IS NOT NULL GROUP BY ALL"
        counted = connection.execute(counts).fetchall()
        example = json_lines.first_fault(connection, table.files, table.rejects) if counted else name
        found = [Loss(reason, count, example) for reason, count in counted]
    elif SWALLOWED in table.own:
        # All cells are looked at: the lines that cannot be read are found while they are.
        cells = ", ".join(f"count({quoted(one)})" for one in table.names if one != ROW_NUMBER)
        lines, *_ = one_row(connection, f"SELECT coalesce(sum({SWALLOWED}), 0), {cells} FROM {table.name}")
        found = [Loss(SWALLOWED_LINES, int(lines), name)] if lines else []
    return [*rejected(connection, table), *found]
