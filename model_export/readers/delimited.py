"""Read delimited text with Arrow: every cell as text, malformed rows counted."""

from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import csv

__all__ = ["read_delimited"]

MALFORMED = "malformed (wrong number of columns)"

# Not "NA": that is Namibia's country code, and a brand.
_MISSING = ["", "NULL", "null", "NaN", "nan", "\\N"]


def read_delimited(
    path: Path,
    header: list[str],
    *,
    wanted: list[str] | None = None,
    has_header: bool = True,
    separator: str = ",",
    quotes: bool = True,
    encoding: str = "utf-8",
    dropped: dict[str, int] | None = None,
) -> pa.Table:
    """Read the wanted columns of a delimited file (also .gz) as text, null for missing cells.

    Types are not guessed: guessing makes of the id 007 a 7, and of an id column with a gap one of floats.

    Parameters
    ----------
    header : list of str
        The names of the file's columns.
    has_header : bool
        Whether the file's first line is the header.
    separator : str
        One character, or several ("::"); with several the file is read into memory first.
    dropped : dict, optional
        Where rows with a wrong number of columns are counted; without it such a row is an error.

    Raises
    ------
    ValueError
        If the file cannot be parsed or is not in the encoding; names the path.
    """
    malformed: list[int] = []

    def skip(row: Any) -> str:
        # A stray quote makes one row of all the lines up to the next quote: each of them is lost, so counted.
        malformed.append(row.text.count("\n") + 1)
        return "skip" if dropped is not None else "error"

    try:
        table = csv.read_csv(
            _source(path, separator),
            read_options=csv.ReadOptions(
                column_names=header, skip_rows=int(has_header), encoding=encoding, block_size=1 << 24
            ),
            parse_options=csv.ParseOptions(
                delimiter=separator if len(separator) == 1 else "\x1f",
                quote_char='"' if quotes else False,
                newlines_in_values=quotes,
                invalid_row_handler=skip,
            ),
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(header, pa.large_string()),
                include_columns=wanted,
                null_values=_MISSING,
                strings_can_be_null=True,
            ),
        )
    except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
        raise ValueError(f"{path} cannot be read as delimited text: {error}") from error
    if dropped is not None:
        dropped[MALFORMED] = sum(malformed)
    return table


def _source(path: Path, separator: str) -> Any:
    """Return the source for Arrow, with a longer separator replaced by one character."""
    if len(separator) == 1:
        return str(path)
    return pa.BufferReader(path.read_bytes().replace(separator.encode(), b"\x1f"))
