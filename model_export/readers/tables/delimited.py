"""Delimited text as a view of DuckDB: its dialect, and what was lost while it was read."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
from duckdb import DuckDBPyConnection

from model_export.readers.columns import quoted
from model_export.readers.layout import Table
from model_export.readers.names import recognised
from model_export.readers.tables.files import head_of, is_remote
from model_export.readers.tables.query import one_row

__all__ = [
    "STRAY_QUOTE",
    "SWALLOWED",
    "SWALLOWED_LINES",
    "UNCLOSED_QUOTE",
    "WRONG_ENCODING",
    "Dialect",
    "Loss",
    "dialect_of",
    "literal",
    "losses",
    "select",
]

SWALLOWED = "mindstream_swallowed"  # the column that counts the lines that a quote has made part of a cell
LONGEST_LINE = 1 << 24
DELIMITERS = (",", "\t", ";", "|", "::", " ", "\x01", "^", "~")
NO_QUOTES = ("", "none")
OPEN_QUOTE = "unterminated"  # in DuckDB's message

MALFORMED = "malformed"
WRONG_NUMBER = "malformed (wrong number of columns)"
STRAY_QUOTE = "malformed (a stray quote)"
UNCLOSED_QUOTE = "swallowed by a quote that is never closed"
SWALLOWED_LINES = "swallowed by a quote"
WRONG_ENCODING = "malformed (not in UTF-8)"
_REASONS = {
    "MISSING COLUMNS": WRONG_NUMBER,
    "TOO MANY COLUMNS": WRONG_NUMBER,
    "UNQUOTED VALUE": STRAY_QUOTE,
    "INVALID STATE": STRAY_QUOTE,
    "INVALID ENCODING": WRONG_ENCODING,
    "LINE SIZE OVER MAXIMUM": "malformed (a line of more than 16 MB)",
    OPEN_QUOTE: UNCLOSED_QUOTE,
}
MISSING = ("", "NULL", "null", "\\N")  # of the databases that write them; words for people are text


@dataclass(frozen=True)
class Dialect:
    """How cells stand in a file.

    Attributes
    ----------
    names : of the columns, in order.
    has_header : whether the first line holds the names.
    plain_quotes : whether cells may be quoted all the same, as a whole.
    quote, escape : "" for none.
    skip : lines before the header, or before the rows.
    """

    names: tuple[str, ...]
    delimiter: str
    quote: str = '"'
    escape: str = '"'
    has_header: bool = True
    skip: int = 0
    plain_quotes: bool = False

    def with_plain_quotes(self) -> "Dialect":
        """Return the dialect in which quotes are characters like others."""
        return replace(self, quote="", escape="", plain_quotes=True)


@dataclass(frozen=True)
class Loss:
    """Lines that are not among the rows.

    Attributes
    ----------
    lines : how many.
    example : where the first is and how it reads.
    """

    reason: str
    lines: int
    example: str


def literal(value: object) -> str:
    """Return a value as a literal of SQL."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(literal, value))}]"
    return str(value)


def dialect_of(connection: DuckDBPyConnection, file: str, table: Table, known: Sequence[str]) -> Dialect:
    """Tell the dialect of a file by what is said of it, and what DuckDB's sniffer finds.

    Parameters
    ----------
    known : names of columns that were given in the mapping.

    Raises
    ------
    ValueError
        If the file has no line, or no header and no names for its columns.
    """
    lines = _first_lines(connection, file, table)
    if table.delimiter is not None:
        delimiter, escape = table.delimiter, table.escape or '"'
    else:
        delimiter, escape = _sniffed(connection, file, table, lines[0], known)
    escape = table.escape or escape
    quote = _quote_of(table)
    first = _cells(lines[0], delimiter, quote)
    names = table.columns or tuple(name.strip() for name in first)
    has_header = not table.columns or tuple(cell.strip() for cell in first) == table.columns
    if table.columns and not has_header and len(first) != len(names):
        raise ValueError(
            f"{file}: {len(names)} columns are named ({', '.join(names)}), but the first line has {len(first)} cells: "
            f"{lines[0][:200]!r}"
        )
    if has_header and len(lines) > 1:
        names = _with_column_of_rows(names, _cells(lines[1], delimiter, quote))
    return Dialect(_distinct(names), delimiter, quote, escape if quote else "", has_header, table.skip_lines)


def _quote_of(table: Table) -> str:
    if table.quote is None:
        return '"'
    return "" if table.quote.lower() in NO_QUOTES else table.quote


def _first_lines(connection: DuckDBPyConnection, file: str, table: Table) -> list[str]:
    """Return the first lines from the header on, at most 20."""
    if is_remote(file):
        [text] = one_row(connection, f"SELECT content FROM read_text({literal(file)})")
    else:
        text = head_of(file).decode(errors="replace")
    lines: list[str] = text.lstrip("\ufeff").splitlines()[table.skip_lines :]
    while lines and not lines[0].strip():
        lines = lines[1:]
    if not lines:
        raise ValueError(f"{file} is empty" + (f" behind its first {table.skip_lines} lines" * bool(table.skip_lines)))
    return lines[:20]


def _sniffed(
    connection: DuckDBPyConnection, file: str, table: Table, line: str, known: Sequence[str]
) -> tuple[str, str]:
    """Return delimiter and escape: as the sniffer says, if the names in the first line are cut by it.

    A short file of few columns tells it too little; then the delimiter counts that cuts out most usual names.
    """
    sniffed = (
        f"SELECT Delimiter, Escape FROM sniff_csv({literal(file)}, all_varchar=true, sample_size=2000, "
        f"skip={table.skip_lines}, max_line_size={LONGEST_LINE})"
    )
    try:
        delimiter, escape = one_row(connection, sniffed)
    except duckdb.Error:
        delimiter, escape = ",", '"'
    escape = escape if escape == "\\" else '"'

    def fit(one: str) -> tuple[int, int]:
        cells = _cells(line, one, _quote_of(table))
        if table.columns:
            return int(len(cells) == len(table.columns)), 0
        return sum(cell.strip() in known or recognised(cell) is not None for cell in cells), int(one == delimiter)

    best = max((delimiter, *DELIMITERS), key=fit)
    return (best if fit(best)[0] else delimiter), escape


def _cells(line: str, delimiter: str, quote: str) -> list[str]:
    if len(delimiter) > 1:
        return line.split(delimiter)
    if not quote:
        return line.split(delimiter)
    return next(csv.reader([line], delimiter=delimiter, quotechar=quote), [])


def _with_column_of_rows(names: tuple[str, ...], row: list[str]) -> tuple[str, ...]:
    """Add a column where rows have one cell more than the header.

    It is empty and at the end (a delimiter ends each line), or in front (R writes the rows' names so).
    """
    if len(row) != len(names) + 1:
        return names
    return (*names, "") if not row[-1].strip() else ("", *names)


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    """Give columns without a name, and a second one of the same name, names of their own."""
    found: list[str] = []
    for place, name in enumerate(names):
        name = name or f"column{place}"
        while name.lower() in (one.lower() for one in found):
            name += "_"
        found.append(name)
    return tuple(found)


def select(files: Sequence[str], dialect: Dialect, rejects: str, hive: bool = False) -> str:
    """Return the SELECT of all cells as text, and of the lines that a cell has swallowed.

    Parameters
    ----------
    rejects : name of the tables that take what cannot be read.
    hive : whether folders are named column=value.
    """
    options = {
        "auto_detect": False,
        "header": dialect.has_header,
        "skip": dialect.skip,
        "delim": dialect.delimiter,
        "quote": dialect.quote,
        "escape": dialect.escape,
        "nullstr": [one for one in MISSING if not dialect.escape or dialect.escape not in one],
        "store_rejects": True,
        "rejects_table": rejects,
        "rejects_scan": f"{rejects}_scans",
        "max_line_size": LONGEST_LINE,
        "buffer_size": 2 * LONGEST_LINE,  # not 32 times: of several tables that are read at once each has its own
        "hive_partitioning": hive,
    }
    listed = ", ".join(f"{name}={literal(value)}" for name, value in options.items())
    columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in dialect.names)
    return f"SELECT {_cells_of(dialect)} FROM read_csv({literal(list(files))}, columns={{{columns}}}, {listed})"


def _cells_of(dialect: Dialect) -> str:
    """Return what is selected of a row."""
    if dialect.plain_quotes:  # what was quoted all the same is not a part of the cell
        bare = [f"regexp_replace({quoted(name)}, '^\"(.*)\"$', '\\1') AS {quoted(name)}" for name in dialect.names]
        return f"* REPLACE ({', '.join(bare)}), 0 AS {SWALLOWED}"
    return f"*, {_swallowed(dialect)} AS {SWALLOWED}"


def _swallowed(dialect: Dialect) -> str:
    """Return SQL that counts the lines within cells that look like rows.

    A stray quote makes one cell of all lines up to the next one. They have as many cells as rows have, and no blank
    behind a delimiter as in prose.
    """
    if not dialect.quote or len(dialect.names) < 2:
        return "0"
    delimiter = _escaped(dialect.delimiter)
    other = rf"\n{_escaped(dialect.delimiter[0])}"
    row = rf"(?m)^[^{other}]+(?:{delimiter}(?:[^{other} ][^{other}]*)?){{{len(dialect.names) - 1}}}$"
    cells = [quoted(name) for name in dialect.names]
    has_line_end = " OR ".join(f"contains({cell}, chr(10))" for cell in cells)
    lines = " + ".join(f"coalesce(len(regexp_extract_all({cell}, {literal(row)})), 0)" for cell in cells)
    return f"CASE WHEN {has_line_end} THEN {lines} ELSE 0 END"


def _escaped(delimiter: str) -> str:
    """Return a delimiter for a regular expression."""
    return "".join(f"\\x{{{ord(one):x}}}" for one in delimiter)


def losses(connection: DuckDBPyConnection, rejects: str) -> list[Loss]:
    """Return the lines that DuckDB rejected while a table was read, by reason.

    A table that was read twice has them twice; they count once.
    """
    is_there = "SELECT 1 FROM duckdb_tables() WHERE table_name = ?"  # it is made with the first rejected line
    if not connection.execute(is_there, [rejects]).fetchone():
        return []
    lines = "len(csv_line) - len(replace(csv_line, chr(10), '')) + (csv_line NOT LIKE '%' || chr(10))::INT"
    found = connection.execute(
        "WITH once AS (SELECT DISTINCT ON (file_path, line) file_path, line, csv_line, "
        f"CASE WHEN error_message LIKE '%{OPEN_QUOTE}%' THEN '{OPEN_QUOTE}' ELSE error_type::VARCHAR END AS kind "
        f"FROM {rejects} JOIN {rejects}_scans USING (scan_id, file_id)) "
        f"SELECT kind, sum({lines}), min_by(file_path, line), min(line), min_by(csv_line, line) "
        "FROM once GROUP BY kind ORDER BY kind"
    ).fetchall()
    return [
        Loss(_REASONS.get(kind, MALFORMED), int(count), f"{Path(file).name} line {line}: {text[:100]!r}")
        for kind, count, file, line, text in found
    ]
