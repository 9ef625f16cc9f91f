"""The tables of a log, opened and staged: in the reading that loses fewest lines, with what is lost."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from model_export.readers.fields import Fields
from model_export.readers.layout import Layout, Table
from model_export.readers.rows.staging import LEFT_OUT, STAGED, Staged, Workplace, show, stage
from model_export.readers.tables.delimited import QUOTE_LOSSES, SWALLOWED_LINES, UNCLOSED_QUOTE, WRONG_ENCODING, Loss
from model_export.readers.tables.dialect import SWALLOWED
from model_export.readers.tables.files import with_one_line_end
from model_export.readers.tables.json_lines import FAULT, NO_OBJECT, first_fault
from model_export.readers.tables.open_table import ROW_NUMBER, OpenTable, faults, open_table, rejected, reopen, view_of
from model_export.readers.tables.query import one_row

__all__ = ["Opened", "losses_said", "open_beside", "open_log", "stage_log"]

MOST_WRONGLY_ENCODED = 0.001  # share of the lines
MOST_SWALLOWED = 0.01  # likewise; what is less is counted
MIXED_LINE_ENDS = "CSV Parser state machine"  # in DuckDB's message

# Name of a table beside the log -> the option that names its file.
OPTIONS = {"catalogue": "--items", "profiles": "--users", "item_vectors": "--item-vectors"}


@dataclass(frozen=True)
class Opened:
    """The tables of a log.

    Attributes
    ----------
    events : the table of events as it lies on disk.
    rows : the rows that the layout makes of it; the same table if it makes none.
    """

    events: OpenTable
    rows: OpenTable


def open_log(place: Workplace, layout: Layout, notes: list[str]) -> Opened:
    """Open the tables of a layout, and make its rows.

    Parameters
    ----------
    notes : sentences on what was noticed; added to in place.
    """
    known = [name for field in layout.mapping.given.values() if isinstance(field, str) for name in field.split(",")]
    statements = " ".join(filter(None, (layout.sql, layout.items, layout.users, layout.sides)))
    numbered = ROW_NUMBER in statements
    if layout.sql is None and not layout.beside:
        events = open_table(place.connection, "events", layout.events, place.folder, known, numbered)
        notes += events.notes
        return Opened(events, events)
    events = _open_bare(place, "events", layout.events, known, numbered)
    notes += events.notes
    for name, table in layout.beside.items():
        opened = _open_bare(place, name, table, (), numbered)
        notes += [*opened.notes, *losses_said(faults(place.connection, opened))]
    if layout.sql is None:
        return Opened(events, events)
    return Opened(events, view_of(place.connection, OpenTable("behaviours", events.files, events.source), layout.sql))


def _open_bare(place: Workplace, name: str, table: Table, known: Iterable[str], numbered: bool) -> OpenTable:
    """Open a table, and make a view with its own columns and no faulty line."""
    opened = open_table(place.connection, f"{name}_read", table, place.folder, tuple(known), numbered)
    without = f" EXCLUDE ({', '.join(opened.own)})" if opened.own else ""
    faulty = f" WHERE {opened.own[0]} IS NULL" if opened.own and opened.own[0] != SWALLOWED else ""
    place.connection.execute(f"CREATE VIEW {name} AS SELECT *{without} FROM {opened.name}{faulty}")
    return opened


def open_beside(place: Workplace, name: str, file: Path, known: Iterable[str], notes: list[str]) -> OpenTable:
    """Open a catalogue or profiles beside the log, and note what is lost of it.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no file, or it cannot be read; names the option.
    """
    try:
        table = open_table(place.connection, name, Table((str(file),)), place.folder, tuple(known))
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{OPTIONS[name]}: {error}") from error
    best, attempt, said = _best(place, table, lambda one, _: _Attempt(tuple(faults(place.connection, one))))
    _check_quotes(best, attempt.lost, 0)
    _check_encoding(best, attempt.lost, 0)
    notes += [*table.notes, *said, *losses_said(attempt.lost)]
    return best


def losses_said(lost: Iterable[Loss]) -> list[str]:
    """Return a sentence for each loss."""
    return [
        f"{loss.lines:,} {'line is' if loss.lines == 1 else 'lines are'} {loss.reason}; the first: {loss.example}"
        for loss in lost
    ]


def stage_log(
    place: Workplace, layout: Layout, opened: Opened, fields: Fields, notes: list[str]
) -> tuple[int, tuple[Loss, ...]]:
    """Stage the rows in the reading that loses fewest lines; return how many, and the losses.

    Parameters
    ----------
    notes : sentences on what was noticed; added to in place.

    Raises
    ------
    ValueError
        If the rows cannot be read, a quote is open at the end of the file, or many lines are not in the encoding.
    """

    def read(events: OpenTable, copy: str) -> _Attempt:
        rows = events if opened.rows is opened.events else opened.rows
        staged = stage(place, rows, fields, layout.mapping.where, layout.left_out, f"{copy}.parquet")
        show(place, staged)
        lost = faults(place.connection, events) if rows is not events else _lost(place, events)
        return _Attempt(tuple(lost), staged)

    best, attempt, said = _best(place, opened.events, read)
    assert attempt.staged is not None
    show(place, attempt.staged)
    _check_quotes(best, attempt.lost, attempt.staged.rows)
    _check_encoding(best, attempt.lost, attempt.staged.rows)
    notes += [*said, *losses_said(attempt.lost)]
    if FAULT in best.own and opened.rows is opened.events:  # they are rows that are left out
        notes += losses_said(_faulty(place, best))
    return attempt.staged.rows, attempt.lost


@dataclass(frozen=True)
class _Attempt:
    """The outcome of reading a table in one dialect."""

    lost: tuple[Loss, ...]
    staged: Staged | None = None

    @property
    def lines(self) -> int:
        """Return how many lines are lost."""
        return sum(loss.lines for loss in self.lost)


def _best(
    place: Workplace, table: OpenTable, read: Callable[[OpenTable, str], _Attempt]
) -> tuple[OpenTable, _Attempt, list[str]]:
    """Read a table; if its lines end in different ways, a second time with one line end.

    What is returned is the table as it is open then, what was read, and a sentence if quotes are read as characters.
    """
    try:
        return _with_best_quotes(place, table, read)
    except duckdb.Error as error:
        if MIXED_LINE_ENDS not in str(error) or table.dialect is None:
            raise
    files = tuple(with_one_line_end(file, place.folder) for file in table.files)
    again = reopen(place.connection, replace(table, files=files), table.dialect)
    return _with_best_quotes(place, again, read)


def _with_best_quotes(
    place: Workplace, table: OpenTable, read: Callable[[OpenTable, str], _Attempt]
) -> tuple[OpenTable, _Attempt, list[str]]:
    """Read a table with quotes, and as plain characters where they lose lines.

    The reading that loses fewer lines is kept.
    """
    first = read(table, "rows")
    quotes = [loss for loss in first.lost if loss.reason in QUOTE_LOSSES]
    if not quotes or table.dialect is None or table.dialect.quote != '"':
        return table, first, []
    plain = reopen(place.connection, table, table.dialect.with_plain_quotes())
    other = read(plain, "rows-with-plain-quotes")
    if other.lines < first.lines:
        return plain, other, [_plain_quotes(quotes)]
    return reopen(place.connection, table, table.dialect), first, []


def _lost(place: Workplace, events: OpenTable) -> list[Loss]:
    """Return the lines of the staged table that are not among its rows."""
    lost = rejected(place.connection, events)
    lines, row = one_row(
        place.connection, f"SELECT sum({SWALLOWED}), min(file_row_number) FILTER ({SWALLOWED} > 0) FROM {STAGED}"
    )
    if lines:
        lost.append(Loss(SWALLOWED_LINES, int(lines), f"{Path(events.source).name} row {row + 1}"))
    return lost


def _faulty(place: Workplace, events: OpenTable) -> list[Loss]:
    """Return the staged lines that are no JSON objects."""
    [lines] = one_row(place.connection, f"SELECT count(*) FROM {STAGED} WHERE {LEFT_OUT} = '{NO_OBJECT}'")
    return [Loss(NO_OBJECT, lines, first_fault(place.connection, events.files, events.rejects))] if lines else []


def _check_encoding(table: OpenTable, lost: Iterable[Loss], rows: int) -> None:
    wrong = next((loss for loss in lost if loss.reason == WRONG_ENCODING), None)
    if wrong and wrong.lines > MOST_WRONGLY_ENCODED * rows:
        raise ValueError(
            f"{table.source} is not in UTF-8 ({wrong.lines:,} lines; {wrong.example}); --encoding says in "
            "which encoding it is, such as latin-1, cp1252 or utf-16"
        )


def _check_quotes(table: OpenTable, lost: Iterable[Loss], rows: int) -> None:
    unclosed = next((loss for loss in lost if loss.reason == UNCLOSED_QUOTE), None)
    if unclosed and unclosed.lines > MOST_SWALLOWED * rows:
        raise ValueError(
            f"{table.source}: a quote is never closed and swallows {unclosed.lines:,} lines "
            f"({unclosed.example}); close it, or --quote none reads quotes as plain characters"
        )


def _plain_quotes(quotes: list[Loss]) -> str:
    lines = sum(loss.lines for loss in quotes)
    return (
        f"quotes are read as plain characters, since stray ones would have swallowed or spoilt {lines:,} lines "
        f"(the first: {quotes[0].example})"
    )
