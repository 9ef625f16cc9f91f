"""The one file to read, and how it begins."""

import csv
import gzip
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["FORMATS", "column_names", "delimiter", "first_line", "is_data_file", "only_file", "unknown_format"]

FORMATS = ("table", "online-retail", "movielens-100k", "movielens-1m", "taobao", "comirec")

_DATA_FILE = re.compile(r"\.(csv|tsv)(\.gz)?$|\.parquet$|\.xlsx$", re.IGNORECASE)


def is_data_file(path: Path) -> bool:
    """Tell whether the name ends as a table's does: .csv, .tsv (or .gz), .parquet, .xlsx."""
    return bool(_DATA_FILE.search(path.name))


def only_file(path: Path) -> Path:
    """Return the path itself for a file, or the one data file of a folder.

    Raises
    ------
    ValueError
        If the folder has no data file or several.
    """
    if not path.is_dir():
        return path
    found = sorted(file for file in path.iterdir() if file.is_file() and is_data_file(file))
    if len(found) > 1:
        raise ValueError(f"{path} has several data files ({', '.join(f.name for f in found)}); give the path of one")
    if not found:
        raise unknown_format(path, "the folder has no file of a known kind")
    return found[0]


def unknown_format(path: Path, why: str) -> ValueError:
    """Return the error for a path that has none of the formats."""
    return ValueError(f"cannot tell the format of {path}: {why}; the formats are {', '.join(FORMATS)}")


def column_names(path: Path) -> list[str]:
    """Return the columns of a Parquet file, or the first line's cells of a delimited one.

    Raises
    ------
    ValueError
        If the file is a spreadsheet or not what its ending says.
    """
    if path.suffix.lower() == ".xlsx":
        raise ValueError(f"{path} is a spreadsheet; only Online Retail is read as one, save others as CSV")
    if path.suffix.lower() != ".parquet":
        return next(csv.reader([first_line(path)], delimiter=delimiter(path)), [])
    try:
        return list(pq.read_schema(path).names)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path} is not a Parquet file that can be read: {error}") from error


def first_line(path: Path) -> str:
    """Return the first line of a text file, gzip-compressed or not, without the line end.

    Raises
    ------
    ValueError
        If a .gz file is not gzip-compressed.
    """
    try:
        # Only names are looked for here; a wrong encoding is told when the rows are read.
        opener = gzip.open if path.suffix.lower() == ".gz" else open
        with opener(path, "rt", encoding="utf-8-sig", errors="replace") as file:
            return str(file.readline()).rstrip("\r\n")
    except (gzip.BadGzipFile, EOFError) as error:
        raise ValueError(f"{path} is not a gzip file that can be read: {error}") from error


def delimiter(path: Path) -> str:
    """Return the separator of the first line's cells: the most frequent of tab, ',' and ';'."""
    line = first_line(path)
    return max("\t,;", key=line.count)
