"""The files of a table: parts of a folder, globs, and copies of those that DuckDB cannot read as they are."""

import bz2
import codecs
import glob
import gzip
import lzma
import re
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
from tqdm import tqdm

__all__ = ["head_of", "is_remote", "kind_of", "parts_of", "readable"]

HEAD = 1 << 20  # bytes that tell what is in a file
CHUNK = 1 << 22
DOCUMENTS = (
    "",
    ".md",
    ".rst",
    ".html",
    ".htm",
    ".pdf",
    ".doc",
    ".docx",
    ".py",
    ".ipynb",
    ".toml",
    ".yaml",
    ".yml",
    ".png",
)

_MAGIC = {b"PAR1": "parquet", b"ARROW1": "arrow", b"Obj\x01": "Avro", b"ORC": "ORC", b"SQLite format 3": "SQLite"}


def is_remote(path: str) -> bool:
    """Tell whether a path is the address of an object store or a web server."""
    return bool(re.match(r"[a-z][a-z0-9]+://", path))


def parts_of(path: str) -> list[str]:
    """Return the files of a table at a path: itself, those that a glob names, or those in a folder.

    Files and folders whose names begin with "_" or "." are none of the table (_SUCCESS, .crc), nor are documents; where
    there is Parquet, that is it.

    Raises
    ------
    FileNotFoundError
        If there is no file.
    """
    if is_remote(path) or Path(path).is_file():
        return [path]
    if Path(path).is_dir():
        found = [file for file in Path(path).rglob("*") if _is_part(file, Path(path))]
        # Beside parts that Spark or pandas wrote lie descriptions and checksums.
        found = [file for file in found if file.suffix.lower() == ".parquet"] or found
    else:
        found = [Path(file) for file in glob.glob(path, recursive=True) if Path(file).is_file()]
    if not found:
        raise FileNotFoundError(f"no file at {path}")
    return [str(file) for file in sorted(found)]


def _is_part(file: Path, folder: Path) -> bool:
    """Tell whether a file in a folder is a part of the table."""
    hidden = any(part.startswith(("_", ".")) for part in file.relative_to(folder).parts)
    return file.is_file() and not hidden and file.suffix.lower() not in DOCUMENTS


def kind_of(file: str) -> str:
    """Return what is in a file: "parquet", "arrow", "spreadsheet", "json" or "text".

    Raises
    ------
    ValueError
        If it is of a kind that is not read; names the file and what to do.
    """
    if is_remote(file):
        return "parquet" if ".parquet" in file else "json" if re.search(r"\.(json|jsonl|ndjson)\b", file) else "text"
    if file.lower().endswith((".xlsx", ".xls", ".xlsb", ".ods")):
        return "spreadsheet"
    begin = head_of(file, 64)
    kind = next((kind for magic, kind in _MAGIC.items() if begin.startswith(magic)), None)
    if kind in ("parquet", "arrow"):
        return kind
    if kind is not None:
        raise ValueError(f"{file} is a file of {kind}, which is not read; right is Parquet, CSV or JSON lines")
    if file.lower().endswith(".parquet"):
        raise ValueError(f"{file} is not a Parquet file that can be read: it does not begin with PAR1")
    text = begin.decode(_encoding_by_mark(begin) or "utf-8", errors="ignore").lstrip("\ufeff \t\r\n")
    return "json" if text.startswith("{") or re.match(r"\[\s*[{\]]", text) else "text"


def head_of(file: str, size: int = HEAD) -> bytes:
    """Return the first bytes of a file, decompressed.

    Raises
    ------
    ValueError
        If it is not compressed as its name says.
    """
    with _opened(file) as stream:
        parts, left = [], size
        while left and (part := stream.read(left)):
            parts.append(part)
            left -= len(part)
        return b"".join(parts)


@contextmanager
def _opened(file: str) -> Iterator[IO[bytes] | Any]:
    """Open a file for its bytes, decompressed by the ending of its name."""
    kind = Path(file).suffix.lower()
    try:
        if kind == ".zip":
            with zipfile.ZipFile(file) as archive, archive.open(_only_member(archive, file)) as stream:
                yield stream
            return
        opener = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open, ".zst": _zstd}.get(kind, open)
        with opener(file, "rb") as stream:  # type: ignore[operator]
            yield stream
    except (gzip.BadGzipFile, EOFError, lzma.LZMAError, zipfile.BadZipFile, pa.ArrowInvalid) as error:
        raise ValueError(f"{file} is not a {kind[1:]} file that can be read: {error}") from error
    except OSError as error:
        if kind in (".bz2", ".zst") and error.filename is None:  # how bz2 and Arrow say that it is none
            raise ValueError(f"{file} is not a {kind[1:]} file that can be read: {error}") from error
        raise


def _zstd(file: str, _mode: str) -> Any:
    return pa.CompressedInputStream(pa.OSFile(file), "zstd")


def _only_member(archive: zipfile.ZipFile, file: str) -> str:
    members = [name for name in archive.namelist() if not name.endswith("/") and "__MACOSX" not in name]
    if len(members) != 1:
        raise ValueError(
            f"{file} holds {len(members)} files ({', '.join(members[:5])}); unpack it and give the folder or one file"
        )
    return members[0]


def readable(file: str, encoding: str | None, folder: Path) -> str:
    """Return a file that DuckDB reads: the file itself, or a copy in UTF-8 and without compression.

    Parameters
    ----------
    encoding : of the text; None: UTF-8, or UTF-16 where its mark stands in front.
    folder : where copies are made.

    Raises
    ------
    ValueError
        If the encoding is not known, or the file is not in it.
    """
    if is_remote(file):
        return file
    encoding = _known(encoding) or _encoding_by_mark(head_of(file, 4)) or "utf-8"
    compressed = Path(file).suffix.lower() in (".bz2", ".xz", ".zip")
    if encoding in ("utf-8", "ascii") and not compressed:
        return file
    copy = folder / f"{len(list(folder.iterdir()))}-{Path(file).name}.txt"
    said: Any = {"desc": f"unpacking {Path(file).name}", "unit": "B", "unit_scale": True, "delay": 2, "leave": False}
    with _opened(file) as source, copy.open("wb") as target, tqdm.wrapattr(source, "read", **said) as shown:
        if encoding in ("utf-8", "ascii"):
            shutil.copyfileobj(shown, target, CHUNK)
        else:
            _recode(shown, target, encoding, file)
    return str(copy)


def _recode(source: Any, target: IO[bytes], encoding: str, file: str) -> None:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        while chunk := source.read(CHUNK):
            target.write(decoder.decode(chunk).encode())
        target.write(decoder.decode(b"", final=True).encode())
    except UnicodeError as error:
        raise ValueError(f"{file} is not in the encoding {encoding}: {error}; --encoding names another") from error


def _known(encoding: str | None) -> str | None:
    """Return the standard name of an encoding."""
    try:
        return codecs.lookup(encoding).name if encoding else None
    except LookupError:
        raise ValueError(f"--encoding is {encoding!r}; right are utf-8, utf-16, latin-1, cp1252 and the like") from None


def _encoding_by_mark(begin: bytes) -> str | None:
    """Return UTF-16 if its byte order mark, or its zero bytes, stand in front."""
    if begin.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if len(begin) >= 4 and begin[0] and begin[2] and not begin[1] and not begin[3]:
        return "utf-16-le"
    return None
