"""Files of users: JSON lines, packed or not, and Parquet, told by the ending of their names."""

import gzip
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from stream.store.state import UserState
from stream.transfer.portable_user import PortableUser

__all__ = ["PAGE", "pages", "read_users", "right_name", "write_users"]

PAGE = 500  # users at a time: of a row group, and of a reading or writing of the store
PACKED, LINES, TABLE = ".jsonl.gz", ".jsonl", ".parquet"
ENDINGS = (LINES, PACKED, TABLE)

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
    }
)


def right_name(file: Path) -> Path:
    """Return a file whose name ends as one of users does; raise ValueError for another."""
    if not file.name.endswith(ENDINGS):
        raise ValueError(f"{file} ends in none of {', '.join(ENDINGS)}, which say what is in it")
    return file


def pages(all_of_them: Iterable[_One], size: int = PAGE) -> Iterator[list[_One]]:
    """Yield some at a time."""
    rest = iter(all_of_them)
    while page := list(islice(rest, size)):
        yield page


def write_users(file: Path, states: Iterable[UserState]) -> None:
    """Write users to a new file, which is there under its name once it is whole.

    Raises
    ------
    ValueError
        If the file is there already, or its name ends otherwise.
    OSError
        If it cannot be written.
    """
    if right_name(file).exists():
        raise ValueError(f"{file} is there already; right is a file that is not")
    partial = file.with_name(f".{file.name}.partial")
    users = map(PortableUser.of, states)
    try:
        (_write_table if file.name.endswith(TABLE) else _write_lines)(partial, users, file.name.endswith(PACKED))
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)


def _write_lines(file: Path, users: Iterable[PortableUser], packed: bool) -> None:
    """Write a line of JSON for each user."""
    with cast(BinaryIO, gzip.open(file, "wb", compresslevel=6) if packed else file.open("wb")) as lines:
        lines.writelines(_encoder.encode(user) + b"\n" for user in users)


def _write_table(file: Path, users: Iterable[PortableUser], _: bool) -> None:
    """Write a Parquet file, PAGE users in a row group."""
    with pq.ParquetWriter(file, SCHEMA, compression="zstd") as writer:
        for page in pages(users):
            writer.write_table(pa.Table.from_pylist([user.row() for user in page], SCHEMA))


def read_users(file: Path) -> Iterator[UserState]:
    """Yield the users of a file.

    Raises
    ------
    ValueError
        If it is no such file, or a line or row is no user: the message says which, and what is wrong.
    OSError
        If it cannot be read.
    """
    table = right_name(file).name.endswith(TABLE)
    for number, read in enumerate((_rows if table else _lines)(file), start=1):
        try:
            yield read().state()
        except ValueError as error:  # msgspec's errors are ValueErrors
            raise ValueError(f"{file}, {'row' if table else 'line'} {number}: {error}") from None


def _lines(file: Path) -> Iterator[Callable[[], PortableUser]]:
    """Yield what decodes each line."""
    packed = file.name.endswith(PACKED)
    with cast(BinaryIO, gzip.open(file, "rb") if packed else file.open("rb")) as lines:
        try:
            for line in lines:
                yield lambda line=line: _decoder.decode(line)  # type: ignore[misc]
        except EOFError as error:
            raise ValueError(f"{file} is cut off: {error}") from None


def _rows(file: Path) -> Iterator[Callable[[], PortableUser]]:
    """Yield what converts each row."""
    try:
        with pq.ParquetFile(file) as table:
            for batch in table.iter_batches(PAGE):
                for row in batch.to_pylist():
                    yield lambda row=row: _user_in(row)  # type: ignore[misc]
    except pa.ArrowInvalid as error:
        raise ValueError(f"{file} is no Parquet file: {error}") from None


def _user_in(row: dict[str, Any]) -> PortableUser:
    """Return the user of a row."""
    return msgspec.convert(row | {"profile": dict(row.get("profile") or [])}, PortableUser)
