"""The contract of the stores of items that were put, changed or removed at run time, and how an entry is stored.

For the processes of one host there is lmdb_overlay.py, for several hosts redis_overlay.py.
"""

from collections.abc import Mapping
from typing import NamedTuple, Protocol, Self

from index.catalogue.item import Item, from_json, to_json

__all__ = [
    "MOST_ITEMS",
    "Changes",
    "Entries",
    "OverlayStore",
    "from_bytes",
    "is_removed",
    "needs_full_read",
    "put_before",
    "removed",
    "to_bytes",
    "too_many",
]

MOST_ITEMS = 100_000  # entries; beyond it a new bundle is due, which knows them
KEPT = b"-"  # what begins the entry of an item that was put and then removed; behind it stands what was put

Entries = Mapping[str, Item | None]  # item_id -> the item, None if it was removed


class Changes(NamedTuple):
    """The entries that were written after some change.

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
        ValueError
            If the store would hold more than 100,000 entries.
        """
        ...

    def last_change(self) -> int:
        """Return the number of the last change, 0 before the first one.

        It is cheap to ask for, again and again.
        """
        ...

    def since(self, change: int) -> Changes:
        """Return the entries that were written after the change with this number.

        All come back if something was forgotten since.
        """
        ...

    def restore(self, item_id: str) -> None:
        """Undo that an item was removed.

        What was put before holds again, or the entry is dropped if nothing was.

        An item that is not removed stays as it is.
        """
        ...

    def forget(self, entries: Entries) -> int:
        """Drop those of these entries that are still as they stand here; return how many."""
        ...

    def close(self) -> None:
        """Close the store."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


def too_many(entries: int) -> ValueError:
    """Make the error for a store that would hold so many."""
    return ValueError(
        f"the item store would hold {entries:,} new, changed and removed items; right is at most {MOST_ITEMS:,}: "
        f"publish a bundle that knows them, then `mindstream index items prune`"
    )


def to_bytes(item: Item | None) -> bytes:
    """Write an entry as it is stored; nothing for a removed item.

    If something was put before, see `removed`.
    """
    return b"" if item is None else to_json(item)


def from_bytes(value: bytes) -> Item | None:
    """Read the entry that was stored."""
    return None if is_removed(value) else from_json(value)


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
