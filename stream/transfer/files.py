"""Files of users: JSON lines, packed or not, and Parquet, told by the ending of their names."""

import gzip
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from mindstream.files import check_readable, check_writable, file_errors
from stream.store.state import UserState
from stream.transfer.portable_user import PortableUser

__all__ = ["PAGE", "check_source", "check_target", "pages", "read_users", "write_users"]

PAGE = 500  # users at a time: of a row group, and of a reading or writing of the store
PACKED, LINES, TABLE = ".jsonl.gz", ".jsonl", ".parquet"
ENDINGS = (LINES, PACKED, TABLE)
RIGHT = "a file that `mindstream stream export-store` wrote"
RIGHT_NEW = "the name of a new file, in a folder that is there and may be written"
ROOM = "a disk with room for it, in a folder that may be written"

_One = TypeVar("_One")
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(PortableUser)

_ITEM = pa.struct(
    {
        "item_id": pa.string(),
        "rejected_ms": pa.int64(),
        "rejected_id": pa.string(),
        "wanted_ms": pa.int64(),
        "wanted_id": pa.string(),
    }
)
SCHEMA = pa.schema(
    {
        "user_id": pa.string(),
        "topic_life": pa.string(),
        "partition": pa.int32(),
        "offset": pa.int64(),
        "item_ids": pa.list_(pa.string()),
        "event_times_ms": pa.list_(pa.int64()),
        "event_ids": pa.list_(pa.string()),
        "feedback": pa.list_(_ITEM),
        "profile": pa.map_(pa.string(), pa.string()),
        "profile_time_ms": pa.int64(),
        "forgotten_ms": pa.int64(),
        "model_version": pa.string(),
        "dim": pa.int32(),
        "precision": pa.string(),
        "capsules": pa.binary(),
        "importance": pa.binary(),
        "event_types": pa.list_(pa.string()),
    }
)


def check_source(file: Path) -> None:
    """Raise ValueError if a file's name says not what is in it, OSError if it cannot be read."""
    _check_name(file)
    check_readable(file, RIGHT)


def check_target(file: Path) -> None:
    """Raise ValueError for a file that is there or has a wrong name, OSError if it cannot be.

    It cannot be where nobody may write in its folder, or there is none.
    """
    _check_name(file)
    if file.exists():
        raise ValueError(f"{file} is there already; right is {RIGHT_NEW}")
    check_writable(file, RIGHT_NEW)


def _check_name(file: Path) -> None:
    """Raise ValueError if a name ends otherwise than one of users does."""
    if not file.name.endswith(ENDINGS):
        raise ValueError(f"{file} ends in none of {', '.join(ENDINGS)}, which say what is in it")


def pages(all_of_them: Iterable[_One], size: int = PAGE) -> Iterator[list[_One]]:
    """Yield some at a time."""
    rest = iter(all_of_them)
    while page := list(islice(rest, size)):
        yield page


def write_users(file: Path, states: Iterable[UserState]) -> int:
    """Write users to a new file and return how many; it has its name once it is whole.

    Raises
    ------
    ValueError
        If the file is there already, or its name ends otherwise.
    OSError
        If it cannot be written.
    """
    check_target(file)
    partial, written = file.with_name(f".{file.name}.partial"), 0
    opened = _Table if file.name.endswith(TABLE) else _PackedLines if file.name.endswith(PACKED) else _Lines
    try:
        with file_errors(file, "written", ROOM):
            target = opened(partial)
        try:
            for page in pages(map(PortableUser.of, states)):  # what the store raises is no error of the file
                with file_errors(file, "written", ROOM):
                    target.write(page)
                written += len(page)
        finally:
            with file_errors(file, "written", ROOM):
                target.close()
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
    return written


class _Lines:
    """A file with a line of JSON for each user."""

    def __init__(self, file: Path) -> None:
        self.stream = self.open(file)

    def open(self, file: Path) -> BinaryIO:
        """Open the file anew."""
        return file.open("wb")

    def write(self, users: list[PortableUser]) -> None:
        """Write some users."""
        self.stream.writelines(_encoder.encode(user) + b"\n" for user in users)

    def close(self) -> None:
        """Write what is left and close the file."""
        self.stream.close()


class _PackedLines(_Lines):
    """The same, packed."""

    def open(self, file: Path) -> BinaryIO:
        """Open the file anew."""
        return cast(BinaryIO, gzip.open(file, "wb", compresslevel=6))


class _Table:
    """A Parquet file, a row group for each time that users are written."""

    def __init__(self, file: Path) -> None:
        self.writer = pq.ParquetWriter(file, SCHEMA, compression="zstd")

    def write(self, users: list[PortableUser]) -> None:
        """Write some users."""
        self.writer.write_table(pa.Table.from_pylist([user.row() for user in users], SCHEMA))

    def close(self) -> None:
        """Write what is left and close the file."""
        self.writer.close()


def read_users(file: Path) -> Iterator[UserState]:
    """Yield the users of a file.

    Raises
    ------
    ValueError
        If it is no such file, or a line or row is no user: the message says which, and what is wrong.
    OSError
        If it cannot be read.
    """
    check_source(file)
    table = file.name.endswith(TABLE)
    for number, read in enumerate((_rows if table else _lines)(file), start=1):
        try:
            yield read().state()
        except UnicodeDecodeError:
            raise ValueError(f"{file}, line {number} is not UTF-8; right is {RIGHT}") from None
        except ValueError as error:  # msgspec's errors are ValueErrors
            raise ValueError(f"{file}, {'row' if table else 'line'} {number}: {error}; right is {RIGHT}") from None


def _lines(file: Path) -> Iterator[Callable[[], PortableUser]]:
    """Yield what decodes each line."""
    packed = file.name.endswith(PACKED)
    with file_errors(file, "read", RIGHT), _gzip_errors(file):
        if packed and not file.stat().st_size:  # which gzip takes for the end of what it packed
            raise EOFError
        with cast(BinaryIO, gzip.open(file, "rb") if packed else file.open("rb")) as lines:
            for line in lines:
                yield lambda line=line: _decoder.decode(line)  # type: ignore[misc]


@contextmanager
def _gzip_errors(file: Path) -> Iterator[None]:
    """Raise an error of unpacking as a ValueError that names the file."""
    try:
        yield
    except EOFError:
        raise ValueError(f"{file} is cut off: the end of what gzip packed is missing; right is {RIGHT}") from None
    except (zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{file} is no gzip file, or a damaged one ({error}); right is {RIGHT}") from None


def _rows(file: Path) -> Iterator[Callable[[], PortableUser]]:
    """Yield what converts each row."""
    try:
        with pq.ParquetFile(file) as table:
            for batch in table.iter_batches(PAGE):
                for row in batch.to_pylist():
                    yield lambda row=row: _user_in(row)  # type: ignore[misc]
    except (pa.ArrowException, OSError) as error:
        said = " ".join(str(error).split()).rstrip(".")
        raise ValueError(f"{file} is no Parquet file, or a damaged one ({said}); right is {RIGHT}") from None


def _user_in(row: dict[str, Any]) -> PortableUser:
    """Return the user of a row."""
    return msgspec.convert(row | {"profile": dict(row.get("profile") or [])}, PortableUser)
