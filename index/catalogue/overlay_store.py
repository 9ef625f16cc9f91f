"""The contract of the stores of items that were put, changed or removed at run time, and how an entry is stored.

For the processes of one host there is lmdb_overlay.py, for several hosts redis_overlay.py.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol, Self

from index.catalogue.item import Item, from_json, to_json

__all__ = [
    "MOST_FORGOTTEN",
    "MOST_ITEMS",
    "Changes",
    "Entries",
    "FullStoreError",
    "OverlayStore",
    "decoded",
    "encoded_id",
    "from_bytes",
    "is_removed",
    "needs_full_read",
    "put_before",
    "removed",
    "to_bytes",
]

MOST_ITEMS = 100_000  # entries; beyond it a new bundle is due, which knows them
MOST_FORGOTTEN = 10_000  # forgettings that a reader is told one by one; who missed more reads all again
KEPT = b"-"  # what begins the entry of an item that was put and then removed; behind it stands what was put

Entries = Mapping[str, Item | None]  # item_id -> the item, None if it was removed


class Changes(NamedTuple):
    """The entries that were written after some change.

    Attributes
    ----------
    last : number of the last change that is surely in `entries`; later ones may be.
    entries : each as it is now.
    whole : whether these are all that there are, and others are there no more.
    gone : those that were forgotten since.
    unreadable : item_id -> what is wrong with what is stored of it; it is in no other field.
    """

    last: int
    entries: Entries
    whole: bool
    gone: frozenset[str] = frozenset()
    unreadable: Mapping[str, str] = {}


class FullStoreError(ValueError):
    """The store would hold more entries than it may.

    Attributes
    ----------
    entries : that it would hold.
    """

    def __init__(self, entries: int) -> None:
        self.entries = entries
        super().__init__(
            f"the item store would hold {entries:,} new, changed and removed items; right is at most {MOST_ITEMS:,}"
        )


class OverlayStore(Protocol):
    """A store of items that were put, changed or removed. Any thread may call any method.

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
        FullStoreError
            If the store would hold more than 100,000 entries.
        """
        ...

    def last_change(self) -> int:
        """Return the number of the last change, 0 before the first one.

        It is cheap to ask for, again and again.
        """
        ...

    def since(self, change: int) -> Changes:
        """Return what was written and forgotten after the change with this number.

        All come back if more was forgotten since than is remembered. An entry that cannot be read keeps no other back.
        """
        ...

    def written_before(self, time_ms: int) -> Entries:
        """Return the entries that were last written before a Unix time.

        Those that an older version has written have no time, and are not among them.
        """
        ...

    def restore(self, item_ids: Sequence[str]) -> int:
        """Undo that items were removed; return how many were.

        What was put before holds again, or the entry is dropped if nothing was.

        An item that is not removed stays as it is.
        """
        ...

    def forget(self, entries: Entries) -> int:
        """Drop those of these entries that are still as they stand here; return how many."""
        ...

    def drop(self, item_ids: Sequence[str]) -> int:
        """Drop what is stored of items, be it unreadable; return how many there were."""
        ...

    def close(self) -> None:
        """Close the store."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


def to_bytes(item: Item | None) -> bytes:
    """Write an entry as it is stored; nothing for a removed item.

    If something was put before, see `removed`.
    """
    return b"" if item is None else to_json(item)


def from_bytes(item_id: str, value: bytes) -> Item | None:
    """Read the entry that was stored of an item.

    Raises
    ------
    ValueError
        If it is none, or another item's.
    """
    item_id.encode()  # UnicodeError, a ValueError: the key is no UTF-8
    if is_removed(value):
        return None
    item = from_json(value)
    if item.item_id != item_id:
        raise ValueError(f"it is of the item {item.item_id[:50]!r}")
    return item


def decoded(stored: Iterable[tuple[bytes, bytes]]) -> tuple[dict[str, Item | None], dict[str, str]]:
    """Read keys and their entries.

    Returns
    -------
    The entries, and of those that cannot be read what is wrong.
    """
    entries: dict[str, Item | None] = {}
    unreadable: dict[str, str] = {}
    for key, value in stored:
        item_id = key.decode(errors="surrogateescape")
        try:
            entries[item_id] = from_bytes(item_id, value)
        except ValueError as error:
            unreadable[item_id] = str(error)
    return entries, unreadable


def encoded_id(item_id: str) -> bytes:
    """Return the key of an item, also of one whose key is no UTF-8."""
    return item_id.encode(errors="surrogateescape")


def is_removed(value: bytes) -> bool:
    """Tell whether what is stored says that the item was removed."""
    return not value or value.startswith(KEPT)


def removed(before: bytes) -> bytes:
    """Return what is stored of a removed item.

    What was put before is kept, for whoever restores it.
    """
    return before if is_removed(before) else KEPT + before


def put_before(value: bytes) -> bytes:
    """Return what was put before the item was removed; nothing if nothing was."""
    return value.removeprefix(KEPT)


def needs_full_read(change: int, last: int, forgotten: int) -> bool:
    """Tell whether a reader that has seen a change must read all.

    It has seen nothing, or what was forgotten since, or a change that was lost.
    """
    return not forgotten <= change <= last or not change
