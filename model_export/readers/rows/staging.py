"""Staging: the wanted columns of a log in a Parquet file that is read again as often as is needed."""

import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
from duckdb import DuckDBPyConnection
from tqdm import tqdm

from model_export.readers.cleaning import first_known, make_macros
from model_export.readers.columns import Column, Unnesting, text_of
from model_export.readers.fields import Fields
from model_export.readers.names import FEATURE_PREFIX, PROFILE_PREFIX
from model_export.readers.rows.condition import FITS, with_condition
from model_export.readers.sql import literal, quoted
from model_export.readers.tables.dialect import SWALLOWED
from model_export.readers.tables.json_lines import FAULT
from model_export.readers.tables.open_table import OpenTable
from model_export.readers.tables.query import sentence_of

__all__ = ["LEFT_OUT", "STAGED", "TIME", "Staged", "Workplace", "show", "stage", "workplace"]

MEMORY_LIMIT = "700MB"  # of DuckDB; what does not fit goes to the disk
CLOSING_S = 10.0  # for what was interrupted to end
STAGED = "rows_staged"  # the view of what was staged
LEFT_OUT = "left_out"  # its column with the reason why a row is left out
TIME = "time_{}"  # its columns of the time, which may be in parts

PLAIN_INTEGERS = ("tinyint", "smallint", "integer", "bigint", "utinyint", "usmallint", "uinteger")
AS_THEY_ARE = ("float", "double", "decimal", "date", "time", "time with time zone", "timestamp", "timestamp_s")


@dataclass(frozen=True)
class Workplace:
    """A connection to DuckDB, and a folder for what does not fit into memory."""

    connection: DuckDBPyConnection
    folder: Path


@contextmanager
def workplace() -> Iterator[Workplace]:
    """Open a connection with a folder of its own; both are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="mindstream-reading-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        connection = duckdb.connect(config={"memory_limit": MEMORY_LIMIT, "temp_directory": str(folder / "spilled")})
        try:
            # DuckDB tells the progress only to who wants its bar; ours is drawn instead.
            connection.execute("SET enable_progress_bar = true; SET enable_progress_bar_print = false")
            make_macros(connection)
            yield Workplace(connection, folder)
        except RuntimeError as error:
            if "interrupted" in str(error).lower():  # as DuckDB says that Ctrl-C came within a call
                raise KeyboardInterrupt from error
            raise
        finally:
            _close(connection)


def _close(connection: DuckDBPyConnection) -> None:
    """End what runs on a connection, and close it, also under a further Ctrl-C."""
    deadline = time.monotonic() + CLOSING_S
    while True:
        try:
            connection.interrupt()
            connection.close()
            return
        except (KeyboardInterrupt, duckdb.Error):  # the thread that copies is still within a call
            if time.monotonic() > deadline:
                return
            time.sleep(0.02)


@dataclass(frozen=True)
class Staged:
    """Staged rows: the file that holds them, and how many there are."""

    file: Path
    rows: int


def stage(
    place: Workplace, rows: OpenTable, fields: Fields, where: str | None, left_out: Mapping[str, str], copy: str
) -> Staged:
    """Write the fields of all rows to a Parquet file.

    Parameters
    ----------
    rows : the table of behaviours.
    where : SQL condition; rows for which it is not true are left out.
    left_out : reason -> SQL condition on the rows that are left out for it.
    copy : name of the file.

    Raises
    ------
    ValueError
        If the condition is no SQL, or there is no such column.
    duckdb.Error
        If the rows cannot be read.
    """
    is_said = where is not None and where.strip() != ""
    source = Unnesting(rows.name, with_condition(place.connection, rows, where) if where and is_said else "")
    parts = [f"{sql} AS {quoted(name)}" for name, sql in _selected(fields, source).items()]
    reasons = [(f"{quoted(FAULT)} IS NOT NULL", quoted(FAULT))] if FAULT in rows.own else []
    reasons += [(f"NOT {FITS}", literal("left out by --where"))] if is_said else []
    reasons += [(f"coalesce({sql}, false)", literal(reason)) for reason, sql in left_out.items()]
    cases = " ".join(f"WHEN {when} THEN {reason}" for when, reason in reasons)
    parts.append(f"CASE {cases} END AS {LEFT_OUT}" if cases else f"NULL::VARCHAR AS {LEFT_OUT}")
    parts.append(quoted(SWALLOWED) if SWALLOWED in rows.own else f"0 AS {SWALLOWED}")
    file = place.folder / copy
    try:
        _copy(place.connection, f"SELECT {', '.join(parts)} FROM {source.clause}", file, rows.source)
    except duckdb.ConversionException as error:
        if is_said:  # cells of text are never converted but in it
            raise ValueError(f"--where is {where!r}: {sentence_of(error)}") from error
        raise
    return Staged(file, int(pq.read_metadata(file).num_rows))


def show(place: Workplace, staged: Staged) -> None:
    """Make the view `STAGED` of staged rows."""
    source = f"read_parquet({literal(str(staged.file))}, file_row_number=true)"
    place.connection.execute(f"CREATE OR REPLACE VIEW {STAGED} AS SELECT * FROM {source}")


def _selected(fields: Fields, source: Unnesting) -> dict[str, str]:
    """Return name of the staged column -> SQL."""
    found: dict[str, str] = {}
    for name, columns in fields.columns.items():
        if name == "time":
            found |= {TIME.format(place): _raw(one, source) for place, one in enumerate(columns)}
            continue
        cells = [text_of(source.sql(column), column.type) for column in columns]
        text = cells[0] if len(cells) == 1 else first_known(cells)
        found[name] = f"number_of({text})" if name == "value" else text
    for name, column in fields.profile.items():
        found[PROFILE_PREFIX + name] = text_of(source.sql(column), column.type)
    for name, column in fields.features.items():
        found[FEATURE_PREFIX + name] = _values_of(source.sql(column), column)
    return found


def _raw(column: Column, source: Unnesting) -> str:
    """Return a cell of a time as it is, if Parquet can hold it, else as text."""
    kind = column.type.id
    keeps = kind in (*PLAIN_INTEGERS, *AS_THEY_ARE) or kind.startswith("timestamp")
    return source.sql(column) if keeps else text_of(source.sql(column), column.type)


def _values_of(value: str, column: Column) -> str:
    """Return all values of a side feature, joined as one cell."""
    if column.is_list:
        return f"nullif(array_to_string(CAST({value} AS VARCHAR[]), '|'), '')"
    return text_of(value, column.type)


def _copy(connection: DuckDBPyConnection, select: str, file: Path, source: str) -> None:
    """Write what a SELECT gives to a Parquet file, with a progress bar."""
    failed: list[BaseException] = []
    done = threading.Event()  # to join a thread is not safe once Ctrl-C has come in the midst of it

    def run() -> None:
        try:
            connection.execute(f"COPY ({select}) TO {literal(str(file))} (FORMAT parquet, ROW_GROUP_SIZE 200000)")
        except BaseException as error:
            failed.append(error)
        finally:
            done.set()

    form = "{l_bar}{bar}| {elapsed}<{remaining}"
    thread = threading.Thread(target=run, daemon=True)
    try:
        thread.start()
        with tqdm(total=100, desc=f"reading {Path(source).name}", bar_format=form, delay=2, leave=False) as bar:
            while not done.wait(0.1):
                bar.update(max(0.0, connection.query_progress() - bar.n))
    except BaseException:  # Ctrl-C, mostly
        _interrupt_until(connection, thread, done)
        raise
    if failed:
        raise failed[0]


def _interrupt_until(connection: DuckDBPyConnection, thread: threading.Thread, done: threading.Event) -> None:
    """Interrupt a connection until its thread is done, also under a further Ctrl-C.

    An interrupt that comes before the call has begun has no effect, so it is repeated.
    """
    while thread.ident is not None and thread.is_alive():
        try:
            connection.interrupt()
            if done.wait(0.05):
                return
        except KeyboardInterrupt:
            continue
