"""Items that were put, changed or removed at run time, in LMDB: for the processes of one host."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import lmdb

from index.catalogue.item import Item
from index.catalogue.overlay_store import (
    MOST_FORGOTTEN,
    MOST_ITEMS,
    Changes,
    Entries,
    FullStoreError,
    decoded,
    encoded_id,
    is_removed,
    needs_full_read,
    put_before,
    removed,
    to_bytes,
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
    clock : Unix time in seconds.

    Raises
    ------
    OSError
        If the folder cannot be used; the message says why.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self.folder, self.clock = folder, clock
        folder.mkdir(parents=True, exist_ok=True)
        try:
            self.environment = lmdb.open(str(folder), map_size=MAP_SIZE, max_readers=512, max_dbs=4)
            self.environment.reader_check()  # one that was killed while it read would keep old pages for ever
            self.by_item = self.environment.open_db(b"items")  # item_id -> number of its change, and the entry
            self.by_number = self.environment.open_db(b"changes")  # number -> item_id
            self.times = self.environment.open_db(b"times")  # number -> milliseconds of Unix time
            self.gone = self.environment.open_db(b"gone")  # number -> item_id, the last ones
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
                raise FullStoreError(kept)  # which undoes it

    def put(self, transaction: "lmdb.Transaction[bytes]", key: bytes, value: bytes) -> None:
        """Store an entry with the next number."""
        number = self._next_number(transaction)
        self._delete(transaction, key)
        transaction.put(key, number + value, db=self.by_item)
        transaction.put(number, key, db=self.by_number)
        transaction.put(number, _bytes_of(round(self.clock() * 1_000)), db=self.times)

    def _forget(self, transaction: "lmdb.Transaction[bytes]", key: bytes) -> None:
        """Drop an entry, and tell readers so by the next number.

        Of very many the first are told no longer.
        """
        self._delete(transaction, key)
        transaction.put(self._next_number(transaction), key, db=self.gone)
        while transaction.stat(self.gone)["entries"] > MOST_FORGOTTEN:
            with transaction.cursor(self.gone) as cursor:
                cursor.first()
                transaction.put(FORGOTTEN, cursor.key())
                cursor.delete()

    def _delete(self, transaction: "lmdb.Transaction[bytes]", key: bytes) -> None:
        """Delete an entry, if it is there, and the number of its change."""
        before = transaction.pop(key, db=self.by_item)
        if before is not None:
            for numbers in (self.by_number, self.times):
                transaction.delete(before[:NUMBER], db=numbers)

    def _next_number(self, transaction: "lmdb.Transaction[bytes]") -> bytes:
        """Count a change, and return its number."""
        number = _bytes_of(_number_in(transaction.get(LAST)) + 1)
        transaction.put(LAST, number)
        return number

    def last_change(self) -> int:
        """See OverlayStore.last_change."""
        with self.transaction() as transaction:
            return _number_in(transaction.get(LAST))

    def since(self, change: int) -> Changes:
        """See OverlayStore.since."""
        with self.transaction() as transaction:
            last, forgotten = _number_in(transaction.get(LAST)), _number_in(transaction.get(FORGOTTEN))
            whole = needs_full_read(change, last, forgotten)
            first = _bytes_of(1 if whole else change + 1)
            with transaction.cursor(self.by_number) as cursor:
                keys = list(cursor.iternext(keys=False)) if cursor.set_range(first) else []
            entries, unreadable = decoded((key, _stored(transaction.get(key, db=self.by_item))) for key in keys)
            gone = [] if whole else self._gone(transaction, first)
        return Changes(last, entries, whole, frozenset(gone), unreadable)

    def _gone(self, transaction: "lmdb.Transaction[bytes]", first: bytes) -> list[str]:
        """Return the items that were forgotten from a number on, and not written again."""
        with transaction.cursor(self.gone) as cursor:
            keys = list(cursor.iternext(keys=False)) if cursor.set_range(first) else []
        return [key.decode(errors="surrogateescape") for key in keys if transaction.get(key, db=self.by_item) is None]

    def written_before(self, time_ms: int) -> Entries:
        """See OverlayStore.written_before."""
        found = []
        with self.transaction() as transaction, transaction.cursor(self.times) as cursor:
            for number, written in cursor.iternext():
                if _number_in(written) >= time_ms:
                    break
                key = transaction.get(number, b"", db=self.by_number)
                found.append((key, _stored(transaction.get(key, db=self.by_item))))
        return decoded(found)[0]

    def restore(self, item_ids: Sequence[str]) -> int:
        """See OverlayStore.restore."""
        with self.transaction(write=True) as transaction:
            return sum([self._restore(transaction, encoded_id(item_id)) for item_id in item_ids])

    def _restore(self, transaction: "lmdb.Transaction[bytes]", key: bytes) -> bool:
        """Undo that an item was removed; tell whether it was."""
        kept = transaction.get(key, db=self.by_item)
        if kept is None or not is_removed(_stored(kept)):
            return False
        if before := put_before(_stored(kept)):
            self.put(transaction, key, before)
        else:
            self._forget(transaction, key)
        return True

    def forget(self, entries: Entries) -> int:
        """See OverlayStore.forget."""
        gone = 0
        with self.transaction(write=True) as transaction:
            for item_id, item in entries.items():
                kept = transaction.get(encoded_id(item_id), db=self.by_item)
                if kept is not None and _is_same(_stored(kept), item):
                    self._forget(transaction, encoded_id(item_id))
                    gone += 1
        return gone

    def drop(self, item_ids: Sequence[str]) -> int:
        """See OverlayStore.drop."""
        with self.transaction(write=True) as transaction:
            keys = [encoded_id(item_id) for item_id in dict.fromkeys(item_ids)]
            known = [key for key in keys if transaction.get(key, db=self.by_item) is not None]
            for key in known:
                self._forget(transaction, key)
        return len(known)

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


def _is_same(value: bytes, item: Item | None) -> bool:
    """Tell whether this is what is stored of an item."""
    return is_removed(value) if item is None else value == to_bytes(item)


def _stored(value: bytes | None) -> bytes:
    """Return what stands behind the number of an entry's change."""
    return (value or b"")[NUMBER:]


def _number_in(value: bytes | None) -> int:
    """Read the number of a change, 0 if there is none."""
    return int.from_bytes(value or b"", "big")
