"""Where items are kept that were put, changed or removed at run time. LMDB: for the processes of one host.

For several hosts there is redis_items.py.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol, Self

import lmdb

from index.catalogue.item import Item, from_json, to_json

__all__ = [
    "MOST_ITEMS",
    "Changes",
    "Entries",
    "LmdbOverlayStore",
    "OverlayStore",
    "from_bytes",
    "needs_full_read",
    "to_bytes",
    "too_many",
]

MOST_ITEMS = 100_000  # entries; beyond it a new bundle is due, which knows them
MAP_SIZE = 8 * 2**30  # bytes of address space, not of disk
LAST, FORGOTTEN = b"last", b"forgotten"
KEPT = b"-"  # what begins the entry of an item that was put and then removed; behind it stands what was put
NUMBER = 8  # bytes of a change's number

Entries = Mapping[str, Item | None]  # item_id -> the item, None where it was removed


class Changes(NamedTuple):
    """What was written after some change.

    Attributes
    ----------
    last : number of the last change that is surely in `entries`; later ones may be.
    entries : each as it is now.
    whole : whether these are all that there are, and others are there no more.
    """

    last: int
    entries: Entries
    whole: bool


class OverlayStore(Protocol):
    """What every item store can do. All methods may be called from several threads.

    Every entry that is written gets the next number of a count, and so does forgetting.

    Raises
    ------
    OSError
        From every method, where the store cannot be reached or written; the same call may be made again later.
    """

    def write(self, entries: Entries) -> None:
        """Write all of these or none; when it returns they survive the end of the process.

        Raises
        ------
        ValueError
            If the store would hold more than 100,000 entries.
        """
        ...

    def last_change(self) -> int:
        """Number of the last change, 0 before the first one: cheap to ask for, again and again."""
        ...

    def since(self, change: int) -> Changes:
        """The entries that were written after the change with this number: all where something was forgotten since."""
        ...

    def restore(self, item_id: str) -> None:
        """Undo that an item was removed: what was put before holds again, or the entry is dropped where nothing was.

        An item that is not removed stays as it is.
        """
        ...

    def forget(self, entries: Entries) -> int:
        """Drop those of these entries that are still as they stand here; how many."""
        ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


def too_many(entries: int) -> ValueError:
    """What to say where a store would hold so many."""
    return ValueError(
        f"the item store would hold {entries:,} new, changed and removed items; right is at most {MOST_ITEMS:,}: "
        f"publish a bundle that knows them, then `python -m index items prune`"
    )


def to_bytes(item: Item | None) -> bytes:
    """An entry as it is stored; nothing for a removed item, unless something was put before: see `_removed`."""
    return b"" if item is None else to_json(item)


def from_bytes(value: bytes) -> Item | None:
    """The entry that was stored."""
    return None if _is_removed(value) else from_json(value)


def _is_removed(value: bytes) -> bool:
    """Whether what is stored says that the item was removed."""
    return not value or value.startswith(KEPT)


def _removed(before: bytes) -> bytes:
    """What is stored of a removed item: what was put before is kept, for whoever restores it."""
    return before if _is_removed(before) else KEPT + before


def needs_full_read(change: int, last: int, forgotten: int) -> bool:
    """Whether a reader that has seen a change must read all: it has seen nothing, or what is gone since, or lost."""
    return not forgotten <= change <= last or not change


class LmdbOverlayStore:
    """Items in an LMDB environment. What is written together is seen together.

    Parameters
    ----------
    folder : made if it is not there. One process may open it once only; share the object between threads.

    Raises
    ------
    OSError
        If the folder cannot be used; the message says why.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        try:
            self.environment = lmdb.open(str(folder), map_size=MAP_SIZE, max_readers=512, max_dbs=2)
            self.environment.reader_check()  # one that was killed while it read would keep old pages for ever
            self.items = self.environment.open_db(b"items")  # item_id -> number of its change, and the entry
            self.changes = self.environment.open_db(b"changes")  # number -> item_id
        except lmdb.Error as error:
            raise OSError(f"the item store {folder} cannot be opened: {error}") from error

    def write(self, entries: Entries) -> None:
        records = [(item_id.encode(), to_bytes(item)) for item_id, item in entries.items()]
        with self.transaction(write=True) as transaction:
            for key, value in records:
                self.put(transaction, key, value or _removed(_stored(transaction.get(key, db=self.items))))
            kept = transaction.stat(self.items)["entries"]
            if kept > MOST_ITEMS:
                raise too_many(kept)  # which undoes it

    def put(self, transaction: "lmdb.Transaction[bytes]", key: bytes, value: bytes) -> None:
        """Store an entry with the next number."""
        number = _bytes_of(_number_in(transaction.get(LAST)) + 1)
        self.drop(transaction, key)
        transaction.put(key, number + value, db=self.items)
        transaction.put(number, key, db=self.changes)
        transaction.put(LAST, number)

    def drop(self, transaction: "lmdb.Transaction[bytes]", key: bytes) -> None:
        """Remove an entry, if it is there, and the number of its change."""
        before = transaction.pop(key, db=self.items)
        if before is not None:
            transaction.delete(before[:NUMBER], db=self.changes)

    def _note_forgetting(self, transaction: "lmdb.Transaction[bytes]") -> None:
        """Give it the next number."""
        number = _bytes_of(_number_in(transaction.get(LAST)) + 1)
        transaction.put(LAST, number)
        transaction.put(FORGOTTEN, number)

    def last_change(self) -> int:
        with self.transaction() as transaction:
            return _number_in(transaction.get(LAST))

    def since(self, change: int) -> Changes:
        entries: dict[str, Item | None] = {}
        with self.transaction() as transaction:
            last, forgotten = _number_in(transaction.get(LAST)), _number_in(transaction.get(FORGOTTEN))
            whole = needs_full_read(change, last, forgotten)
            cursor = transaction.cursor(self.changes)
            if cursor.set_range(_bytes_of(1 if whole else change + 1)):
                for key in cursor.iternext(keys=False):
                    entries[key.decode()] = from_bytes(_stored(transaction.get(key, db=self.items)))
        return Changes(last, entries, whole)

    def restore(self, item_id: str) -> None:
        key = item_id.encode()
        with self.transaction(write=True) as transaction:
            kept = transaction.get(key, db=self.items)
            if kept is None or not _is_removed(_stored(kept)):
                return
            if before := _stored(kept).removeprefix(KEPT):
                self.put(transaction, key, before)
            else:
                self.drop(transaction, key)
                self._note_forgetting(transaction)

    def forget(self, entries: Entries) -> int:
        gone = 0
        with self.transaction(write=True) as transaction:
            for item_id, item in entries.items():
                kept = transaction.get(item_id.encode(), db=self.items)
                if kept is not None and from_bytes(_stored(kept)) == item:
                    self.drop(transaction, item_id.encode())
                    gone += 1
            if gone:
                self._note_forgetting(transaction)
        return gone

    @contextmanager
    def transaction(self, write: bool = False) -> "Iterator[lmdb.Transaction[bytes]]":
        """A transaction of LMDB; what fails in it is an OSError that names the folder."""
        try:
            with self.environment.begin(write=write) as transaction:
                yield transaction
        except lmdb.Error as error:
            done = "written" if write else "read"
            raise OSError(f"the item store {self.folder} cannot be {done}: {error}") from error

    def close(self) -> None:
        self.environment.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _bytes_of(change: int) -> bytes:
    """The number of a change, so that the order of the bytes is that of the numbers."""
    return change.to_bytes(NUMBER, "big")


def _stored(value: bytes | None) -> bytes:
    """What stands behind the number of an entry's change."""
    return (value or b"")[NUMBER:]


def _number_in(value: bytes | None) -> int:
    """The number of a change, 0 where there is none."""
    return int.from_bytes(value or b"", "big")
