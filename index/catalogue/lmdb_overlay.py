"""Items that were put, changed or removed at run time, in LMDB: for the processes of one host."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import lmdb

from index.catalogue.item import Item
from index.catalogue.overlay_store import (
    MOST_ITEMS,
    Changes,
    Entries,
    from_bytes,
    is_removed,
    needs_full_read,
    put_before,
    removed,
    to_bytes,
    too_many,
)

__all__ = ["LmdbOverlayStore"]

MAP_SIZE = 8 * 2**30  # bytes of address space, not of disk
LAST, FORGOTTEN = b"last", b"forgotten"
NUMBER = 8  # bytes of a change's number


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
            self.by_item = self.environment.open_db(b"items")  # item_id -> number of its change, and the entry
            self.by_number = self.environment.open_db(b"changes")  # number -> item_id
        except lmdb.Error as error:
            raise OSError(f"the item store {folder} cannot be opened: {error}") from error

    def write(self, entries: Entries) -> None:
        """See OverlayStore.write."""
        records = [(item_id.encode(), to_bytes(item)) for item_id, item in entries.items()]
        with self.transaction(write=True) as transaction:
            for key, value in records:
                self.put(transaction, key, value or removed(_stored(transaction.get(key, db=self.by_item))))
            kept = transaction.stat(self.by_item)["entries"]
            if kept > MOST_ITEMS:
                raise too_many(kept)  # which undoes it

    def put(self, transaction: "lmdb.Transaction[bytes]", key: bytes, value: bytes) -> None:
        """Store an entry with the next number."""
        number = _bytes_of(_number_in(transaction.get(LAST)) + 1)
        self.drop(transaction, key)
        transaction.put(key, number + value, db=self.by_item)
        transaction.put(number, key, db=self.by_number)
        transaction.put(LAST, number)

    def drop(self, transaction: "lmdb.Transaction[bytes]", key: bytes) -> None:
        """Remove an entry, if it is there, and the number of its change."""
        before = transaction.pop(key, db=self.by_item)
        if before is not None:
            transaction.delete(before[:NUMBER], db=self.by_number)

    def _note_forgetting(self, transaction: "lmdb.Transaction[bytes]") -> None:
        """Give the next number to a forgetting."""
        number = _bytes_of(_number_in(transaction.get(LAST)) + 1)
        transaction.put(LAST, number)
        transaction.put(FORGOTTEN, number)

    def last_change(self) -> int:
        """See OverlayStore.last_change."""
        with self.transaction() as transaction:
            return _number_in(transaction.get(LAST))

    def since(self, change: int) -> Changes:
        """See OverlayStore.since."""
        entries: dict[str, Item | None] = {}
        with self.transaction() as transaction:
            last, forgotten = _number_in(transaction.get(LAST)), _number_in(transaction.get(FORGOTTEN))
            whole = needs_full_read(change, last, forgotten)
            cursor = transaction.cursor(self.by_number)
            if cursor.set_range(_bytes_of(1 if whole else change + 1)):
                for key in cursor.iternext(keys=False):
                    entries[key.decode()] = from_bytes(_stored(transaction.get(key, db=self.by_item)))
        return Changes(last, entries, whole)

    def restore(self, item_id: str) -> None:
        """See OverlayStore.restore."""
        key = item_id.encode()
        with self.transaction(write=True) as transaction:
            kept = transaction.get(key, db=self.by_item)
            if kept is None or not is_removed(_stored(kept)):
                return
            if before := put_before(_stored(kept)):
                self.put(transaction, key, before)
            else:
                self.drop(transaction, key)
                self._note_forgetting(transaction)

    def forget(self, entries: Entries) -> int:
        """See OverlayStore.forget."""
        gone = 0
        with self.transaction(write=True) as transaction:
            for item_id, item in entries.items():
                kept = transaction.get(item_id.encode(), db=self.by_item)
                if kept is not None and from_bytes(_stored(kept)) == item:
                    self.drop(transaction, item_id.encode())
                    gone += 1
            if gone:
                self._note_forgetting(transaction)
        return gone

    @contextmanager
    def transaction(self, write: bool = False) -> "Iterator[lmdb.Transaction[bytes]]":
        """Begin a transaction of LMDB; what fails in it is an OSError that names the folder."""
        try:
            with self.environment.begin(write=write) as transaction:
                yield transaction
        except lmdb.Error as error:
            done = "written" if write else "read"
            raise OSError(f"the item store {self.folder} cannot be {done}: {error}") from error

    def close(self) -> None:
        """See OverlayStore.close."""
        self.environment.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _bytes_of(change: int) -> bytes:
    """Write the number of a change, so that the order of bytes is that of numbers."""
    return change.to_bytes(NUMBER, "big")


def _stored(value: bytes | None) -> bytes:
    """Return what stands behind the number of an entry's change."""
    return (value or b"")[NUMBER:]


def _number_in(value: bytes | None) -> int:
    """Read the number of a change, 0 if there is none."""
    return int.from_bytes(value or b"", "big")
