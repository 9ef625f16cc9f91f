"""What was stored of users who cannot be read, set aside in a file of JSON lines, and put back from there."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import RawIOBase
from itertools import islice
from pathlib import Path
from typing import TypeVar

import msgspec

from mindstream.files import file_errors, lines_of
from stream.events.event import NO_JSON, excerpt
from stream.store.contract import Store, read_readable
from stream.store.unreadable import Unreadable

__all__ = ["PAGE", "RIGHT", "RIGHT_NEW", "PutBack", "find_unreadable", "put_back", "read_file", "remove", "write_file"]

PAGE = 500  # users who are read, removed or put back at a time

RIGHT = "a file that `mindstream stream repair --set-aside` wrote"
RIGHT_NEW = "a file that may be written, new or of an earlier --set-aside, on a disk with room for it"

_One = TypeVar("_One")
_encoder = msgspec.json.Encoder()


class _Line(msgspec.Struct):
    """An Unreadable as a line of JSON; bytes are base64."""

    user_id: str
    reason: str
    stored: bytes


_decoder = msgspec.json.Decoder(_Line)


@dataclass(frozen=True)
class PutBack:
    """The outcome of putting users back.

    Attributes
    ----------
    back : who can be read again.
    taken : of whom something else is stored since; it stays.
    still : user_id -> why this version cannot read the user either; nothing was stored.
    """

    back: list[str]
    taken: list[str]
    still: dict[str, str]


def find_unreadable(store: Store, user_ids: Iterable[str]) -> Iterator[Unreadable]:
    """Yield what is stored of those of these users who cannot be read."""
    for page in _pages(user_ids):
        page = list(dict.fromkeys(page))  # Redis may name a user twice
        _, unreadable = read_readable(store, page)
        if unreadable:
            yield from store.unreadable(list(unreadable))


def write_file(found: Sequence[Unreadable], file: Path) -> None:
    """Append users to a file, and return once they are on disk.

    Raises
    ------
    OSError
        Names the file, which is then as it was before.
    """
    lines = b"".join(_encoder.encode(_Line(one.user_id, one.reason, one.stored)) + b"\n" for one in found)
    with file_errors(file, "written", RIGHT_NEW), file.open("ab", buffering=0) as stream:
        end = stream.tell()
        try:
            _write_all(stream, lines)
            os.fsync(stream.fileno())
        except OSError:
            stream.truncate(end)  # half a line would make the next one unreadable
            raise


def _write_all(stream: RawIOBase, content: bytes) -> None:
    """Write all of it, where the system may take a part at a time."""
    left = memoryview(content)
    while left:
        left = left[stream.write(left) or 0 :]


def read_file(file: Path) -> list[Unreadable]:
    """Read the users that `write_file` has written.

    Raises
    ------
    ValueError
        Names the file and the line that is none of ours.
    OSError
        If it cannot be read.
    """
    found = []
    for number, line in enumerate(lines_of(file, RIGHT), start=1):
        try:
            read = _decoder.decode(line)
        except UnicodeDecodeError:
            raise ValueError(f"{file}, line {number} is not UTF-8; right is {RIGHT}") from None
        except NO_JSON as error:
            said = f"{error}; the line is {excerpt(line)}"
            raise ValueError(f"{file}, line {number}: {said}; right is {RIGHT}") from None
        found.append(Unreadable(read.user_id, read.reason, read.stored))
    return found


def remove(store: Store, found: Iterable[Unreadable], file: Path | None) -> Iterator[tuple[str, bool]]:
    """Remove what is stored of these users, some at a time; a file, if any, has it before.

    Yields
    ------
    user_id, and whether it was removed; not if somebody has written something else meanwhile.
    """
    for page in _pages(found):
        if file is not None:
            write_file(page, file)
        written = store.remove_unreadable(page)
        yield from ((one.user_id, one.user_id not in written) for one in page)


def put_back(store: Store, removed: Iterable[Unreadable]) -> PutBack:
    """Store what was removed once more, of those whom this version can read.

    Of several lines of one user the last one counts.
    """
    latest = {one.user_id: one for one in removed}
    outcome = PutBack([], [], {})
    for page in _pages(latest.values()):
        taken = store.put_back(page)
        tried = [one for one in page if one.user_id not in taken]
        _, unreadable = read_readable(store, [one.user_id for one in tried])
        store.remove_unreadable(one for one in tried if one.user_id in unreadable)
        outcome.still.update(unreadable)
        outcome.taken.extend(taken)
        outcome.back.extend(one.user_id for one in tried if one.user_id not in unreadable)
    return outcome


def _pages(all_of_them: Iterable[_One]) -> Iterator[list[_One]]:
    """Yield some at a time."""
    remaining = iter(all_of_them)
    while page := list(islice(remaining, PAGE)):
        yield page
