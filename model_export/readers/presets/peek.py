"""What stands at the beginning of files: first lines, names of columns, and all that presets look at."""

import bz2
import codecs
import gzip
import json
import lzma
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from model_export.readers.layout import Found, Table, plain_name

__all__ = [
    "cells_of",
    "data_files",
    "encoding_of",
    "first_lines",
    "found_at",
    "is_json",
    "is_parquet",
    "names_at",
    "names_of",
    "parts",
    "stem",
]

_LONGEST = 1 << 20  # bytes of a file that are looked at
_DELIMITERS = ("::", "\t", ",", ";", "|")
_DATA = re.compile(r"\.(csv|tsv|txt|dat|data|inter|json|jsonl|ndjson|parquet|xlsx)$")


def found_at(path: Path) -> Found:
    """Return the path with its files and the names in its first line."""
    folder = path if path.is_dir() else path.parent
    files: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        if file.is_file() and not file.name.startswith("."):
            files.setdefault(plain_name(file), file)  # log.csv comes before log.csv.gz
    return Found(path, files, () if path.is_dir() else names_of(path))


def names_at(found: Found, name: str) -> tuple[str, ...]:
    """Return the names of the columns of a file in the folder; () if there is no such file."""
    if not found.is_folder and found.name == name:
        return found.names
    return names_of(found.files[name]) if name in found.files else ()


def names_of(path: Path) -> tuple[str, ...]:
    """Return the columns of Parquet, the keys of the first JSON object, or the first cells.

    () for what cannot be read: the error comes when the rows are.
    """
    if is_parquet(path):
        try:
            return tuple(pq.read_schema(path).names)
        except (pa.ArrowException, OSError):
            return ()
    line = next(iter(first_lines(path, 1)), "")
    if line.lstrip().startswith("{"):
        return _keys(line)
    return cells_of(line)


def is_parquet(path: Path) -> bool:
    """Tell whether a file's name ends as Parquet's."""
    return plain_name(path).endswith((".parquet", ".pq"))


def is_json(path: Path) -> bool:
    """Tell whether a file begins with a JSON object."""
    return not is_parquet(path) and "".join(first_lines(path, 1)).lstrip().startswith("{")


def cells_of(line: str) -> tuple[str, ...]:
    """Return the cells of a line, cut at its most frequent delimiter, without quotes."""
    delimiter = max(_DELIMITERS, key=lambda one: line.count(one) * len(one))
    return tuple(cell.strip().strip('"') for cell in line.split(delimiter)) if line else ()


def first_lines(path: Path, count: int) -> list[str]:
    """Return up to `count` lines of a text file, compressed or not, without the line ends.

    [] for a file that cannot be read.
    """
    try:
        with _opened(path) as file:
            content = file.read(_LONGEST)
    except (OSError, EOFError, IndexError, lzma.LZMAError, zipfile.BadZipFile, pa.ArrowException):
        return []
    utf_16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    text = content.decode("utf-16" if utf_16 else "utf-8-sig", errors="replace")
    return list(islice((line.rstrip("\r") for line in text.split("\n") if line.strip()), count))


def data_files(found: Found) -> list[Path]:
    """Return the path itself for a file, or the data files in a folder and in those below it."""
    if not found.is_folder:
        return [found.path]
    return sorted(
        file
        for file in found.path.rglob("*")
        if _DATA.search(plain_name(file)) and not file.name.startswith((".", "_"))
    )


def parts(found: Found) -> Table:
    """Return the table in the path itself, or in the files of one ending in a folder.

    Of several endings the most frequent one counts: a README.txt is no part.
    """
    files = data_files(found)
    endings = Counter(plain_name(file).rpartition(".")[2] for file in files)
    most = max(endings, key=lambda one: (endings[one], one != "txt", one != "json")) if endings else ""
    return Table(tuple(str(file) for file in files if plain_name(file).endswith(f".{most}")) or (str(found.path),))


def stem(path: Path) -> str:
    """Return the name of a file in lower case, without its ending and that of a compression."""
    return plain_name(path).rpartition(".")[0]


def _keys(line: str) -> tuple[str, ...]:
    try:
        content = json.loads(line)
    except ValueError:
        return ()
    return tuple(content) if isinstance(content, dict) else ()


def encoding_of(path: Path) -> str | None:
    """Return latin-1 for a CSV file that is not in UTF-8, None for all others."""
    if not plain_name(path).endswith(".csv"):
        return None
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with _opened(path) as file:
            while chunk := file.read(_LONGEST):
                decoder.decode(chunk)
    except UnicodeDecodeError:
        return "latin-1"
    except (OSError, EOFError, IndexError, lzma.LZMAError, zipfile.BadZipFile, pa.ArrowException):
        pass  # the error comes when the rows are read
    return None


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for reading, compressed or not."""
    ending = path.suffix.lower()
    if ending == ".zip":
        with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as file:
            yield file
    elif ending == ".zst":
        with pa.OSFile(str(path)) as raw, pa.CompressedInputStream(raw, "zstd") as file:
            yield file
    else:
        with _open(path, ending) as file:
            yield file


def _open(path: Path, ending: str) -> IO[bytes]:
    openers: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
    file: IO[bytes] = openers.get(ending, open)(path, "rb")
    return file
