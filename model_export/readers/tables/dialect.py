"""The dialect of a file of delimited text: what separates and quotes its cells, and the names of its columns."""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
from duckdb import DuckDBPyConnection

from mindstream.mapping import NO_QUOTE
from model_export.readers.layout import Table
from model_export.readers.names import letters, recognised
from model_export.readers.sql import literal
from model_export.readers.tables.files import head_of, is_remote
from model_export.readers.tables.query import one_row

__all__ = ["LONGEST_LINE", "SWALLOWED", "Dialect", "dialect_of"]

SWALLOWED = "mindstream_swallowed"  # the column that counts the lines that a quote has made part of a cell
LONGEST_LINE = 1 << 24
HEAD_LINES = 20
DELIMITERS = (",", "\t", ";", "|", "::", " ", "\x01", "^", "~", "\x1f")


@dataclass(frozen=True)
class Dialect:
    """How cells stand in a file.

    Attributes
    ----------
    names : of the columns, in order.
    patterns : for each column, a pattern of its cells if they are alike (numbers, times), else "".
    has_header : whether the first line holds the names.
    skip : lines before the header, or before the rows.
    quote, escape : "" for none.
    plain_quotes : whether quotes are characters like others, but around a whole cell no part of it.
    notes : sentences on what was noticed.
    """

    names: tuple[str, ...]
    delimiter: str
    quote: str = '"'
    escape: str = '"'
    has_header: bool = True
    skip: int = 0
    patterns: tuple[str, ...] = ()
    plain_quotes: bool = False
    notes: tuple[str, ...] = ()

    def with_plain_quotes(self) -> "Dialect":
        """Return the dialect in which quotes are characters like others."""
        return replace(self, quote="", escape="", plain_quotes=True)


def dialect_of(connection: DuckDBPyConnection, file: str, table: Table, known: Sequence[str]) -> Dialect:
    """Tell the dialect of a file by what is said of it, and what DuckDB's sniffer finds.

    Parameters
    ----------
    known : names of columns that were given in the mapping.

    Raises
    ------
    ValueError
        If the file has no line, other columns than were named, or a header that does not fit its rows.
    """
    if table.lines:
        return Dialect(("line",), "\x1f", quote="", escape="", has_header=False, skip=table.skip_lines)
    skip, lines, numbers = _first_lines(connection, file, table.skip_lines)
    quote = _quote_of(table)
    delimiter, escape = table.delimiter, table.escape or '"'
    if delimiter is None and (said := re.fullmatch(r"sep=(.)", lines[0])) and len(lines) > 1:  # as Excel writes it
        skip, lines, numbers, delimiter = skip + 1, lines[1:], numbers[1:], said[1]
    if delimiter is None:
        delimiter, found = _sniffed(connection, file, skip)
        delimiter, escape = _best_delimiter(delimiter, lines, table.columns, known, quote), table.escape or found
    notes: list[str] = []
    if table.quote is None and table.escape is None and _has_single_quotes(lines, delimiter):
        quote, escape = "'", "\\" if any("\\'" in line for line in lines) else "'"
        notes.append(f"{Path(file).name}: cells are in single quotes, which are read as no part of them (--quote)")
    first = _cells(lines[0], delimiter, quote)
    header = tuple(cell.strip() for cell in first)
    names, has_header = table.columns or header, table.columns in ((), header)
    rows = _rows(lines[has_header:], delimiter, quote, escape)
    names = _with_columns_of_rows(names, rows, has_header, Path(file).name, notes)
    if not has_header:
        _check_columns(file, names, lines[0], len(first), delimiter)
    _check_rows(file, names, rows, lines[has_header:], numbers[has_header:], has_header, skip)
    notes += _same_names(file, names, known)
    patterns = _patterns(rows, len(names))
    escape = escape if quote else ""
    return Dialect(_distinct(names), delimiter, quote, escape, has_header, skip, patterns, notes=tuple(notes))


def _quote_of(table: Table) -> str:
    if table.quote is None:
        return '"'
    return "" if table.quote.lower() in NO_QUOTE else table.quote


def _check_columns(file: str, names: Sequence[str], line: str, cells: int, delimiter: str) -> None:
    if cells != len(names):
        raise ValueError(
            f"{file}: {len(names)} columns are named ({', '.join(names)}), but its first line has {cells} cells with "
            f"the delimiter {delimiter!r}: {line[:200]!r}; --columns names them all, --delimiter says what is "
            "between them"
        )


def _check_rows(
    file: str,
    names: Sequence[str],
    rows: Sequence[Sequence[str]],
    lines: Sequence[str],
    numbers: Sequence[int],
    has_header: bool,
    skip: int,
) -> None:
    """Raise ValueError with the first row, if most have more cells than there are columns."""
    most = _most_cells(rows)
    if most <= len(names) or 2 * sum(len(row) == most for row in rows) <= len(rows):
        return
    place = next(place for place, row in enumerate(rows) if len(row) == most)
    at = min(sum(1 + sum(cell.count("\n") for cell in row) for row in rows[:place]), len(lines) - 1)
    shown = f"(line {numbers[at]}: {lines[at][:200]!r})"
    if not has_header:
        raise ValueError(
            f"{file}: {len(names)} columns are named ({', '.join(names)}), but its rows have {most} cells {shown}; "
            "--columns names them all, --delimiter says what is between them, --quote what is around them"
        )
    raise ValueError(
        f"{file}: rows have {most} cells, the header {len(names)} {shown}; --skip-lines skips lines before it, "
        f"--quote says what is around cells, --delimiter what is between them, --columns names all {most} (with "
        f"--skip-lines {skip + 1}, for the header)"
    )


def _same_names(file: str, names: Sequence[str], known: Sequence[str]) -> list[str]:
    """Return a sentence for each column whose name is that of one before it."""
    first: dict[str, int] = {}
    found = []
    for place, name in enumerate(names):
        before = first.setdefault(letters(name) or f"column{place}", place)
        if before == place or (name in known and name.lower() != names[before].lower()):
            continue
        found.append(
            f"{Path(file).name}: columns {before + 1} ({names[before]}) and {place + 1} ({name}) have one name; "
            f"column {before + 1} is the one that counts"
        )
    return found


def _first_lines(connection: DuckDBPyConnection, file: str, skip: int) -> tuple[int, list[str], list[int]]:
    """Return the number of lines before the header, and the first lines with their numbers.

    Blank lines count as well.
    """
    if is_remote(file):
        [text] = one_row(connection, f"SELECT content FROM read_text({literal(file)})")
    else:
        text = head_of(file).decode(errors="replace")
    lines = re.split(r"\r\n|\r|\n", text.removeprefix("\ufeff"))
    first = next((place for place, line in enumerate(lines) if place >= skip and line.strip()), None)
    if first is None:
        raise ValueError(f"{file} is empty" + (f" behind its first {skip} lines" * bool(skip)))
    found = [place for place in range(first, min(first + HEAD_LINES, len(lines))) if lines[place].strip()]
    return first, [lines[place] for place in found], [place + 1 for place in found]


def _sniffed(connection: DuckDBPyConnection, file: str, skip: int) -> tuple[str, str]:
    """Return delimiter and escape as DuckDB's sniffer finds them."""
    sniffed = (
        f"SELECT Delimiter, Escape FROM sniff_csv({literal(file)}, all_varchar=true, sample_size=2000, "
        f"skip={skip}, max_line_size={LONGEST_LINE})"
    )
    try:
        delimiter, escape = one_row(connection, sniffed)
    except duckdb.Error:
        return ",", '"'
    return delimiter, escape if escape == "\\" else '"'


def _best_delimiter(
    sniffed: str, lines: Sequence[str], columns: Sequence[str], known: Sequence[str], quote: str
) -> str:
    """Return the delimiter that cuts the lines as they should be.

    A short file of few columns tells the sniffer too little. With a header that delimiter counts which cuts out most
    usual names; without one, where the sniffed one does not cut at all, the one that gives as many cells as columns.
    """
    others = dict.fromkeys(re.findall(r"[^\w\s\"'.@-]+", lines[0]))
    if columns:
        cut = [len(_cells(line, sniffed, quote)) for line in lines]
        doubled = all(len(line.split(sniffed * 2)) == len(columns) for line in lines)
        if min(cut) > 1 and len(columns) not in cut and not doubled:
            return sniffed
        candidates = (sniffed, *([sniffed * 2] if doubled else []), *DELIMITERS, *others)
        return next((one for one in candidates if len(_cells(lines[0], one, quote)) == len(columns)), sniffed)

    def names(one: str) -> int:
        return sum(cell.strip() in known or recognised(cell) is not None for cell in _cells(lines[0], one, quote))

    best = max((sniffed, *DELIMITERS, *others), key=names)
    return best if names(best) else sniffed


def _cells(line: str, delimiter: str, quote: str) -> list[str]:
    """Return the cells of one line."""
    return next(iter(_rows([line], delimiter, quote)), [])


def _rows(lines: Sequence[str], delimiter: str, quote: str, escape: str = '"') -> list[list[str]]:
    """Return the cells of rows; a quoted cell may hold line ends."""
    if len(delimiter) == 1 and quote and quote != delimiter:
        escaped = None if escape == quote else escape
        text = [f"{line}\n" for line in lines]
        try:
            return list(csv.reader(text, delimiter=delimiter, quotechar=quote, escapechar=escaped))
        except csv.Error:  # a cell of more than 128 KB
            pass
    return [line.split(delimiter) for line in lines]


def _has_single_quotes(lines: Sequence[str], delimiter: str) -> bool:
    """Tell whether cells are in single quotes.

    They are where one column is in them throughout, or where only they make one number of cells of all lines.
    """
    if len(delimiter) > 1 or any('"' in line for line in lines):
        return False
    plain, cut = _rows(lines, delimiter, ""), _rows(lines, delimiter, "'")
    widths = {len(row) for row in cut}
    if len(widths) != 1 or len(lines) < 2:
        return False
    # Where a cell holds a delimiter, it is in pieces without quotes.
    whole = [row for row in plain[1:] if len(row) == len(cut[0])]
    quoted = any(all(re.fullmatch(r"\s*'.*'\s*", row[place]) for row in whole) for place in range(len(cut[0])))
    # A stray one joins lines, and all that it joins has one number of cells too.
    return (quoted and bool(whole)) or ({len(row) for row in plain} != widths and len(cut) == len(plain))


def _most_cells(rows: Sequence[Sequence[str]]) -> int:
    """Return the number of cells that most rows have."""
    [(most, _)] = Counter(map(len, rows)).most_common(1) or [(0, 0)]
    return most


def _with_columns_of_rows(
    names: tuple[str, ...], rows: list[list[str]], has_header: bool, file: str, notes: list[str]
) -> tuple[str, ...]:
    """Add columns where most rows have more cells than the header.

    They are empty and at the end (delimiters end each line), or there is one in front that numbers the rows, as R
    writes it.

    Parameters
    ----------
    file : its name, for notes.
    notes : sentences on what was noticed; added to in place.
    """
    most = _most_cells(rows)
    more = most - len(names)
    if more <= 0:
        return names
    if not any(cell.strip() for row in rows if len(row) == most for cell in row[-more:]):
        return (*names, *[""] * more)
    if more == 1 and has_header and _are_numbered(rows, most):
        notes.append(f"{file}: the first cell of each row is its number, which the header does not name")
        return ("", *names)
    return names


def _are_numbered(rows: Sequence[Sequence[str]], cells: int) -> bool:
    """Tell whether the first cells of most rows are the rows' numbers, from 0 or 1 on."""
    first = [row[0].strip(" \"'") if len(row) == cells else "" for row in rows]
    fits = (sum(cell == str(place + start) for place, cell in enumerate(first)) for start in (0, 1))
    return 2 * max(fits) > len(rows)


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    """Give columns without a name, and a second one of the same name, names of their own."""
    found: list[str] = []
    for place, name in enumerate(names):
        name = name or f"column{place}"
        while name.lower() in (SWALLOWED, *(one.lower() for one in found)):
            name += "_"
        found.append(name)
    return tuple(found)


def _patterns(rows: Sequence[Sequence[str]], count: int) -> tuple[str, ...]:
    """Return a pattern of the cells of each of so many columns.

    Rows count that have so many cells.
    """
    whole = [row for row in rows if len(row) == count]
    return tuple(_pattern([row[place] for row in whole]) for place in range(count))


def _pattern(cells: Sequence[str]) -> str:
    """Return a pattern of cells that are alike; "" if they are not.

    Alike are times of one form, and what begins with a digit.
    """
    cells = [cell for cell in cells if cell.strip()]
    shapes = {re.sub(r"\d", r"\\d", re.escape(cell)) for cell in cells}
    if len(cells) > 2 and len(shapes) == 1 and (shape := shapes.pop()).count(r"\d") >= 8:
        return shape
    return r"\d" if len(cells) > 2 and all(cell[0].isdecimal() for cell in cells) else ""
