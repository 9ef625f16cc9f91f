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
    """An entry as it is stored; nothing for a removed item, unless something was put before: see `removed`."""
    return b"" if item is None else to_json(item)


def from_bytes(value: bytes) -> Item | None:
    """The entry that was stored."""
    return None if is_removed(value) else from_json(value)


def is_removed(value: bytes) -> bool:
    """Whether what is stored says that the item was removed."""
    return not value or value.startswith(KEPT)


def removed(before: bytes) -> bytes:
    """What is stored of a removed item: what was put before is kept, for whoever restores it."""
    return before if is_removed(before) else KEPT + before


def put_before(value: bytes) -> bytes:
    """Return what was put before the item was removed; nothing if nothing was."""
    return value.removeprefix(KEPT)


def needs_full_read(change: int, last: int, forgotten: int) -> bool:
    """Whether a reader that has seen a change must read all: it has seen nothing, or what is gone since, or lost."""
    return not forgotten <= change <= last or not change
