"""Delimited text as a view of DuckDB, and what was lost while it was read."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from duckdb import DuckDBPyConnection

from model_export.readers.sql import literal, quoted
from model_export.readers.tables.dialect import LONGEST_LINE, SWALLOWED, Dialect
from model_export.readers.tables.files import line_at

__all__ = [
    "QUOTE_LOSSES",
    "STRAY_QUOTE",
    "SWALLOWED_LINES",
    "UNCLOSED_QUOTE",
    "WRONG_ENCODING",
    "Loss",
    "losses",
    "select",
]

OPEN_QUOTE = "unterminated"  # in DuckDB's message

MALFORMED = "malformed"
WRONG_NUMBER = "malformed (wrong number of columns)"
STRAY_QUOTE = "malformed (a stray quote)"
UNCLOSED_QUOTE = "swallowed by a quote that is never closed"
SWALLOWED_LINES = "swallowed by a quote"
WRONG_ENCODING = "malformed (not in UTF-8)"
QUOTE_LOSSES = (STRAY_QUOTE, UNCLOSED_QUOTE, SWALLOWED_LINES)
_REASONS = {
    "MISSING COLUMNS": WRONG_NUMBER,
    "TOO MANY COLUMNS": WRONG_NUMBER,
    "UNQUOTED VALUE": STRAY_QUOTE,  # also an open quote that takes no other line
    "INVALID STATE": STRAY_QUOTE,
    "INVALID ENCODING": WRONG_ENCODING,
    "LINE SIZE OVER MAXIMUM": "malformed (a line of more than 16 MB)",
    OPEN_QUOTE: UNCLOSED_QUOTE,
}
MISSING = ("", "NULL", "null", "\\N")  # of the databases that write them; words for people are text


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


def select(files: Sequence[str], dialect: Dialect, rejects: str, hive: bool = False) -> str:
    """Return the SELECT of all cells as text, and of the lines that a cell has swallowed.

    Parameters
    ----------
    rejects : name of the table that takes what cannot be read.
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
    """Return SQL that counts the lines that stray quotes have made part of cells.

    A stray quote makes one cell of all lines up to the next one. Most have as many cells as rows have, numbers and
    times where rows have them, and no blank behind a delimiter as in prose.
    """
    if not dialect.quote or len(dialect.names) < 2:
        return "0"
    between = "".join(f"\\x{{{ord(one):x}}}" for one in dialect.delimiter)
    other = rf"\n{between[: between.index('}') + 1]}"
    patterns = dialect.patterns or [""] * len(dialect.names)
    forms = [_form(pattern, other) for pattern in patterns]
    first, *others = forms
    row = rf"(?m)^{between.join([first, *(f'(?:{one})?' for one in others)])}\r?$"
    cells = [quoted(name) for name in dialect.names]
    has_line_end = " OR ".join(f"contains({cell}, chr(10))" for cell in cells)
    looks = [(cell, row) for cell in cells]
    for place, cell in enumerate(cells[:-1]):  # the end of the row's own line, where that has a number or time
        if any(patterns[place + 1 :]):
            looks.append((cell, rf"^{between.join(forms[place:])}\r?\n"))
    has_row = " OR ".join(f"coalesce(regexp_matches({cell}, {literal(look)}), false)" for cell, look in looks)
    # One such line tells that the quote is stray; then all lines of the row but its own are lost, whatever they are.
    lines = " + ".join(f"coalesce(len({cell}) - len(replace({cell}, chr(10), '')), 0)" for cell in cells)
    return f"CASE WHEN ({has_line_end}) AND ({has_row}) THEN {lines} ELSE 0 END"


def _form(pattern: str, other: str) -> str:
    """Return the regular expression of a cell of a column with this pattern.

    The cell is not empty, quoted or not.
    """
    if pattern == r"\d":
        pattern = rf"\d[^{other}]*"
    return f'"?{pattern}"?' if pattern else f"[^{other} ][^{other}]*"


def losses(connection: DuckDBPyConnection, rejects: str) -> list[Loss]:
    """Return the lines that DuckDB rejected while a table was read, by reason.

    A table that was read twice has them twice; they count once.
    """
    is_there = "SELECT 1 FROM duckdb_tables() WHERE table_name = ?"  # it is made with the first rejected line
    if not connection.execute(is_there, [rejects]).fetchall():
        return []
    bare = "trim(csv_line, chr(13) || chr(10))"  # it begins with the end of the line before, at times
    lines = f"len({bare}) - len(replace({bare}, chr(10), '')) + 1"
    found = connection.execute(
        "WITH once AS (SELECT DISTINCT ON (file_path, line) file_path, line, csv_line, line_byte_position AS place, "
        f"CASE WHEN error_message LIKE '%{OPEN_QUOTE}%' AND {lines} > 1 THEN '{OPEN_QUOTE}' "
        "ELSE error_type::VARCHAR END AS kind "
        f"FROM {rejects} JOIN {rejects}_scans USING (scan_id, file_id)) "
        f"SELECT kind, sum({lines}), min_by(file_path, line), min_by(place, line), min_by({bare}[:100], line) "
        "FROM once GROUP BY kind ORDER BY min(line)"
    ).fetchall()
    together: dict[str, Loss] = {}
    for kind, count, file, place, text in found:
        reason = _REASONS.get(kind, MALFORMED)
        before = together.get(reason, Loss(reason, 0, f"{Path(file).name} line {line_at(file, place)}: {text!r}"))
        together[reason] = replace(before, lines=before.lines + int(count))
    return list(together.values())
