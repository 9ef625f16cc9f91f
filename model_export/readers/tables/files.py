"""The files of a table: parts of a folder, globs, and copies of those that DuckDB cannot read as they are."""

import bz2
import codecs
import glob
import gzip
import io
import lzma
import re
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
from tqdm import tqdm

from model_export.readers.layout import COMPRESSIONS, plain_name

__all__ = [
    "head_of",
    "is_remote",
    "kind_of",
    "left_aside",
    "line_at",
    "number_of_line",
    "parts_of",
    "readable",
    "with_one_line_end",
]

HEAD = 1 << 20  # bytes that tell what is in a file
CHUNK = 1 << 22
DATA = (
    *(".csv", ".tsv", ".tab", ".psv", ".json", ".jsonl", ".ndjson", ".inter", ".dat", ".data", ".parquet"),
    *(".arrow", ".feather", ".xlsx", ".xls", ".xlsb", ".ods"),
)
DOCUMENTS = (
    *(".md", ".rst", ".html", ".htm", ".pdf", ".doc", ".docx", ".py", ".ipynb", ".toml", ".yaml", ".yml", ".png"),
    *(".db", ".ini"),
)
_MAGIC = {b"PAR1": "parquet", b"ARROW1": "arrow", b"Obj\x01": "Avro", b"ORC": "ORC", b"SQLite format 3": "SQLite"}
_COMPRESSED = {b"\x1f\x8b": ".gz", b"(\xb5/\xfd": ".zst", b"BZh": ".bz2", b"\xfd7zXZ": ".xz", b"PK\x03\x04": ".zip"}
_ASCII = ("utf-8", "utf-8-sig", "ascii")  # which DuckDB reads as they are


def is_remote(path: str) -> bool:
    """Tell whether a path is the address of an object store or a web server."""
    return bool(re.match(r"[a-z][a-z0-9]+://", path))


def parts_of(path: str) -> list[str]:
    """Return the files of a table at a path: itself, those of a glob or of a folder.

    Files and folders whose names begin with "_" or "." are none of the table (_SUCCESS, .crc), nor are documents. Where
    there is Parquet, that is it; beside files whose names end as those of data, others are none of it.

    Raises
    ------
    FileNotFoundError
        If there is no file.
    """
    if is_remote(path) or Path(path).is_file():
        return [path]
    if Path(path).is_dir():
        found = _visible(Path(path))
        # Beside parts that Spark or pandas wrote lie descriptions and checksums.
        for endings in ((".parquet",), DATA):
            found = [file for file in found if _ending(file) in endings] or found
    else:
        found = [Path(file) for file in glob.glob(path, recursive=True) if Path(file).is_file()]
    if not found:
        raise FileNotFoundError(f"no file at {path}")
    return [str(file) for file in sorted(found)]


def left_aside(path: str) -> list[str]:
    """Return the names of files in a folder that might be data but are not read."""
    if is_remote(path) or not Path(path).is_dir():
        return []
    read = set(parts_of(path))
    return [file.relative_to(path).as_posix() for file in _visible(Path(path)) if str(file) not in read]


def _visible(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if _is_part(file, folder))


def _ending(file: Path) -> str:
    """Return the ending of a file's name without that of a compression."""
    return Path(plain_name(file)).suffix


def _is_part(file: Path, folder: Path) -> bool:
    """Tell whether a file in a folder is a part of the table."""
    hidden = any(part.startswith(("_", ".")) for part in file.relative_to(folder).parts)
    return file.is_file() and not hidden and file.suffix.lower() not in DOCUMENTS


def kind_of(file: str, encoding: str | None = None) -> str:
    """Return what is in a file: "parquet", "arrow", "spreadsheet", "json" or "text".

    Parameters
    ----------
    encoding : as it was given, if it was.

    Raises
    ------
    ValueError
        If it is of a kind that is not read; names the file and what to do.
    """
    if is_remote(file):
        return "parquet" if ".parquet" in file else "json" if re.search(r"\.(json|jsonl|ndjson)\b", file) else "text"
    if file.lower().endswith((".xlsx", ".xls", ".xlsb", ".ods")):
        return "spreadsheet"
    begin = head_of(file, 512)
    kind = next((kind for magic, kind in _MAGIC.items() if begin.startswith(magic)), None)
    if kind in ("parquet", "arrow"):
        return kind
    if kind is not None:
        raise ValueError(f"{file} is a file of {kind}, which is not read; right is Parquet, CSV or JSON lines")
    if file.lower().endswith(".parquet"):
        raise ValueError(f"{file} is not a Parquet file that can be read: it does not begin with PAR1")
    told = _encoding_of(begin)
    if encoding is None and told == "utf-8" and 10 * begin.count(0) > len(begin):
        raise ValueError(f"{file} is no text, and of no kind that is read; right is Parquet, CSV or JSON lines")
    text = begin.decode(told, errors="ignore").lstrip("\ufeff \t\r\n")
    if text and _ending(Path(file)) in (".jsonl", ".ndjson"):
        return "json"
    return "json" if text.startswith("{") or re.match(r"\[\s*[{\]\[]", text) else "text"


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
    """Open a file for its bytes, decompressed."""
    kind = _compression(file)
    try:
        if kind == ".zip":
            with zipfile.ZipFile(file) as archive, archive.open(_only_member(archive, file)) as stream:
                yield stream
            return
        opener = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open, ".zst": _zstd}.get(kind, open)
        with opener(file, "rb") as stream:  # type: ignore[operator]
            yield stream
    except (gzip.BadGzipFile, zlib.error, EOFError, lzma.LZMAError, zipfile.BadZipFile, pa.ArrowInvalid) as error:
        raise ValueError(f"{file} is not a {kind[1:]} file that can be read: {error}") from error
    except OSError as error:
        if kind in (".bz2", ".zst") and error.errno is None:  # how bz2 and Arrow say that it is none
            raise ValueError(f"{file} is not a {kind[1:]} file that can be read: {error}") from error
        raise


def _compression(file: str) -> str:
    """Return how a file is compressed: the usual ending of its name, or ''.

    Its first bytes tell it.

    Raises
    ------
    ValueError
        If its name says otherwise.
    """
    with open(file, "rb") as stream:
        begin = stream.read(8)
    found = next((ending for magic, ending in _COMPRESSED.items() if begin.startswith(magic)), "")
    named = Path(file).suffix.lower()
    if named in COMPRESSIONS and named != found:
        raise ValueError(f"{file} is not a {named[1:]} file that can be read: it does not begin as one")
    return found


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
    """Return a file that DuckDB reads: itself, or a copy that is plain UTF-8.

    Parameters
    ----------
    encoding : of the text; None: UTF-8, or UTF-16 or UTF-32 where its mark or its zero bytes stand in front.
    folder : where copies are made.

    Raises
    ------
    ValueError
        If the encoding is not known, or the file is not in it.
    """
    if is_remote(file):
        return file
    encoding = _known(encoding, head_of(file, 4))
    compression = _compression(file)
    is_read = compression in ("", ".gz", ".zst") and compression == Path(file).suffix.lower() * bool(compression)
    if encoding in _ASCII and is_read:
        return file
    copy = _new_copy(file, folder)
    said: Any = {"desc": f"unpacking {Path(file).name}", "unit": "B", "unit_scale": True, "delay": 2, "leave": False}
    with _opened(file) as source, copy.open("wb") as target, tqdm.wrapattr(source, "read", **said) as shown:
        if encoding in _ASCII:
            shutil.copyfileobj(shown, target, CHUNK)
        else:
            _recode(shown, target, encoding, file)
    return str(copy)


def with_one_line_end(file: str, folder: Path) -> str:
    r"""Return a copy of a file in which all lines end in \n.

    For files that several programs have written to.
    """
    copy = _new_copy(file, folder)
    with _opened(file) as source, copy.open("wb") as target:
        left = b""
        while chunk := source.read(CHUNK):
            chunk = left + chunk
            left = b"\r" if chunk.endswith(b"\r") else b""
            target.write(chunk.removesuffix(b"\r").replace(b"\r\n", b"\n"))
        target.write(left)
    return str(copy)


def line_at(file: str, place: int) -> int:
    """Return the number of the line that a byte of a text file is in, from 1 on."""
    line, left = 1, place
    with _opened(file) as source:
        while left > 0 and (chunk := source.read(min(left, CHUNK))):
            line += chunk.count(b"\n") or chunk.count(b"\r")
            left -= len(chunk)
    return line


def number_of_line(file: str, line: str) -> int | None:
    """Return the number of the first line of a text file that reads so, from 1 on."""
    wanted = line.strip().encode()
    with _opened(file) as source:
        lines: Any = io.BufferedReader(source) if isinstance(source, pa.NativeFile) else source
        for number, one in enumerate(lines, 1):
            if one.strip().removeprefix(codecs.BOM_UTF8) == wanted:
                return number
    return None


def _new_copy(file: str, folder: Path) -> Path:
    """Return the path of a copy, which is called as the file itself in messages."""
    place = folder / str(len(list(folder.iterdir())))
    place.mkdir()
    # By the ending of a compression DuckDB would decompress it.
    return place / next((Path(file).stem for one in COMPRESSIONS if file.lower().endswith(one)), Path(file).name)


def _recode(source: Any, target: IO[bytes], encoding: str, file: str) -> None:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        while chunk := source.read(CHUNK):
            target.write(decoder.decode(chunk).encode())
        target.write(decoder.decode(b"", final=True).encode())
    except UnicodeError as error:
        raise ValueError(f"{file} is not in the encoding {encoding}: {error}; --encoding names another") from error


def _known(encoding: str | None, begin: bytes) -> str:
    """Return the standard name of the encoding given, or of what a file begins like."""
    if encoding is None:
        return _encoding_of(begin)
    try:
        found = codecs.lookup(encoding)
    except LookupError:
        found = None
    if found is None or not getattr(found, "_is_text_encoding", True):
        raise ValueError(f"--encoding is {encoding!r}; right are utf-8, utf-16, latin-1, cp1252 and the like")
    # Of UTF-16 and UTF-32 the order of bytes is told by the mark, or else by the zero bytes.
    told = _encoding_of(begin)
    return told if told.startswith(found.name) else found.name


def _encoding_of(begin: bytes) -> str:
    """Return UTF-16 or UTF-32 if its mark, or its zero bytes, stand in front; else UTF-8."""
    if begin.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if begin.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if len(begin) < 4 or sum(byte == 0 for byte in begin[:4]) != 2:
        return "utf-8"
    return "utf-16-le" if begin[1] == begin[3] == 0 else "utf-16-be" if begin[0] == begin[2] == 0 else "utf-8"
