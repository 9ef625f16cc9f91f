"""The items of a bundle with the overlay over them: put, changed and removed at run time."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from index.catalogue.bundle_catalogue import BundleCatalogue
from index.catalogue.entry_table import EntryTable
from index.catalogue.item import Item, check_id, checked
from index.catalogue.item_vectors import OTHER_VECTOR, UNKNOWN_VALUES, ItemVectors
from index.catalogue.overlay import Overlay
from index.catalogue.overlay_store import MOST_ITEMS, Entries, FullStoreError
from index.catalogue.snapshot import CatalogueSnapshot
from mindstream.counted import counted
from model_export.bundle.bundle import Bundle

__all__ = ["UNREADABLE", "Catalogue", "Counts"]

log = logging.getLogger(__name__)

MOST_UNKNOWN = 10_000  # removals of items that the bundle does not know; the longest removed are forgotten first
UNREADABLE = "unreadable"  # why an entry is left out, beside what its item lacks
LACKS = {
    OTHER_VECTOR: "whose vector is of another model",
    UNKNOWN_VALUES: "of whose values it knows none",
    UNREADABLE: "that cannot be read",
}
STEP, REST_S = 100, 0.0005  # entries after which a table that is being filled lets requests go first, and how long


@dataclass(frozen=True)
class Counts:
    """What became of many items.

    Attributes
    ----------
    done : removed, or there again; none that was so before.
    unchanged : that were removed already, or known and not removed.
    unknown : of those that are removed now, that nobody knew; when they were to be restored, that nobody knows, be it
        that a removal of them was dropped. The latter are neither `done` nor `unchanged`.
    refused : item_id -> why, of those that no item can be called.
    """

    done: int
    unchanged: int
    unknown: int
    refused: dict[str, str] = field(default_factory=dict)


class Catalogue:
    """The items of a bundle, with what was put, changed and removed since.

    Callers change items by it, and a recommender takes them from it. Any number of threads may do both. Whoever changes
    items makes the next snapshot, from the changes alone; whoever reads takes the last one that is whole.

    Parameters
    ----------
    bundle : whose model makes the vectors of new items.
    overlay : that other bundles share; None: the bundle's items alone, which nobody changes.

    Attributes
    ----------
    current : the items as they are now. Take them once for each answer: then nothing mixes two moments.
    """

    def __init__(self, bundle: Bundle, overlay: Overlay | None = None) -> None:
        self.bundle, self.overlay = bundle, overlay
        self.base = BundleCatalogue(bundle)
        self.vectors = ItemVectors(bundle)  # read now: its file may be gone when the first new item comes
        self._failed: dict[str, str] = {}
        self._waiting: deque[tuple[Entries, Collection[str]]] = deque()
        self._changing, self._is_filled = threading.Lock(), False
        self._table = EntryTable(self.base, self.vectors)
        self._fill(overlay.attach(self).items() if overlay else ())
        self.current = CatalogueSnapshot(self.base, self._table.view())
        self._is_filled = True
        self._take_over()
        self._say_left_out()

    def _fill(self, entries: Iterable[tuple[str, Item | None]]) -> None:
        """Set many entries, and rest between some, since another bundle may be serving meanwhile."""
        for number, (item_id, item) in enumerate(entries):
            self._set(item_id, item)
            if number % STEP == STEP - 1:
                time.sleep(REST_S)

    def _set(self, item_id: str, item: Item | None) -> None:
        """Set an entry; one that this bundle cannot take keeps no other back."""
        self._failed.pop(item_id, None)
        try:
            self._table.set(item_id, item)
        except Exception as error:  # whatever an entry of another version may lead to
            self._table.forget(item_id)
            self._failed[item_id] = f"{type(error).__name__}: {error}"
            log.exception("the entry of item %r is left out", item_id[:50])

    def apply(self, entries: Entries, gone: Collection[str]) -> None:
        """Take over what changed; see `Follower`. When it returns, `current` has it."""
        self._waiting.append((entries, gone))
        if self._is_filled:  # else whoever fills the table takes it over when it is full
            self._take_over()

    def _take_over(self) -> None:
        """Make the snapshot after all changes that wait."""
        with self._changing:
            if not self._waiting:
                return
            while self._waiting:
                entries, gone = self._waiting.popleft()
                for item_id in gone:
                    self._failed.pop(item_id, None)
                    self._table.forget(item_id)
                self._fill(entries.items())
            if self._table.is_wasteful:
                self._table = self._table.compacted()
            self.current = CatalogueSnapshot(self.base, self._table.view(), self.current)

    @property
    def unreadable(self) -> dict[str, str]:
        """Return the items whose entries cannot be read: item_id -> what is wrong with it.

        They are as if they were not there.
        """
        return {**(self.overlay.unreadable if self.overlay else {}), **self._failed}

    def left_out(self) -> dict[str, int]:
        """Count the entries of the overlay that no answer can have now, by reason: each of LACKS."""
        of_overlay = len(self.overlay.unreadable) if self.overlay else 0
        return {**self.current.view.left_out, UNREADABLE: of_overlay + len(self._failed)}

    def _say_left_out(self) -> None:
        """Say in the log how many entries no answer can have, if there are any."""
        counts = {reason: count for reason, count in self.left_out().items() if count}
        if counts:
            named = ", ".join(f"{count:,} {LACKS[reason]}" for reason, count in counts.items())
            total = counted(sum(counts.values()), "entry", "entries")
            log.warning(
                "the model %s leaves out %s of the item store: %s; `mindstream index items list` names them, and what "
                "would be right",
                self.bundle.version,
                total,
                named,
            )

    def knows(self, item_id: str) -> bool:
        """Tell whether the bundle knows an item."""
        return item_id in self.bundle.rows

    def put(self, item: Item) -> None:
        """Add an item, or change what people are shown of one and filter by.

        From now on every request sees it.

        Raises
        ------
        ValueError
            If the item is not right, there are too many, or it is new and could never be found: it has no vector of
            its own and the model knows none of its values. Names what would be right.
        OSError
            If the item store cannot be written.
        """
        self.put_many([item])

    def put_many(self, items: list[Item]) -> None:
        """Put all of these items or, if one is not right, none."""
        kept = [self.check(item) for item in items]
        self._write({item.item_id: item for item in kept})

    def check(self, item: Item) -> Item:
        """Return the item as it is kept.

        Its vector is of this bundle's model unless it says otherwise.

        Raises ValueError unless it may be put.
        """
        if item.vector is not None and not item.vector_model:
            item = replace(item, vector_model=self.bundle.version)
        kept = checked(item)
        is_told = kept.vector is not None or kept.features_vector is not None
        if is_told or not self.knows(kept.item_id):
            self.vectors.check(kept)
        return kept

    def remove(self, item_id: str) -> None:
        """Remove an item, for later bundles too, until it is restored or put again.

        Of items that the bundle does not know, the last 10,000 removals are remembered.

        Raises
        ------
        ValueError
            If there are too many entries, or no item can be called so.
        OSError
            If the item store cannot be written.
        """
        check_id(item_id)
        self.remove_many([item_id])

    def remove_many(self, item_ids: Sequence[str]) -> Counts:
        """Remove items like `remove`; those that no item can be called are left out and named."""
        good, refused = _sorted_out(item_ids)
        self._writable().look()  # others may have removed some a moment ago
        fresh = [item_id for item_id in good if not self._is_removed(item_id)]
        unknown = sum([self.get(item_id) is None for item_id in fresh])
        if good:
            self._make_room(sum([not self.knows(item_id) for item_id in fresh]))
            self._write(dict.fromkeys(good))
        return Counts(len(fresh), len(good) - len(fresh), unknown, refused)

    def _is_removed(self, item_id: str) -> bool:
        """Tell whether an item is removed now."""
        return self.current.view.is_removed(item_id)

    def _make_room(self, new: int) -> int:
        """Forget the longest removed items that the bundle does not know; return how many.

        So many stay as leave room for new ones.
        """
        overlay = self._writable()
        longest = self.current.view.removed_unknown(MOST_UNKNOWN - new)
        return overlay.forget(dict.fromkeys(longest)) if longest else 0

    def restore(self, item_id: str) -> Item | None:
        """Undo that an item was removed.

        What was put before holds again, or else what the bundle says.

        Returns
        -------
        What people are shown of it now; None if nobody knows it. An item that is not removed stays as it is.

        Raises
        ------
        ValueError
            If no item can be called so.
        OSError
            If the item store cannot be written.
        """
        check_id(item_id)
        self._writable().restore([item_id])
        return self.get(item_id)

    def restore_many(self, item_ids: Sequence[str]) -> Counts:
        """Restore items like `restore`; those that no item can be called are left out and named."""
        good, refused = _sorted_out(item_ids)
        self._writable().look()
        before = {item_id for item_id in good if self._is_removed(item_id)}
        if good:
            self._writable().restore(good)
        known = [item_id for item_id in good if self.get(item_id) is not None]
        done = sum([item_id in before for item_id in known])
        return Counts(done, len(known) - done, len(good) - len(known), refused)

    def removed(self) -> list[str]:
        """Return the items that are removed."""
        return [item_id for item_id, item in self.entries().items() if item is None]

    def entries(self) -> Entries:
        """Return what was put and removed: item_id -> the item, None if it was removed."""
        return self.current.entries

    def get(self, item_id: str) -> Item | None:
        """Return an item as people see it now; None if it is not known, or was removed."""
        current = self.current
        return None if current.view.is_removed(item_id) else current.shown(item_id)

    def prune(self) -> int:
        """Drop the entries that change nothing, since the bundle says the same; return how many.

        What is removed stays so.
        """
        if self.overlay is None:
            return 0
        return self.overlay.forget({i: item for i, item in self.entries().items() if self._is_idle(i, item)})

    def _is_idle(self, item_id: str, item: Item | None) -> bool:
        """Tell whether an entry changes nothing.

        Its own vector is of no use to a model that knows the item.

        A removed item that no model knows today may be known to the next one.
        """
        row = self.bundle.rows.get(item_id)
        if item is None or row is None:
            return False
        return replace(item, vector=None, vector_model="", features_vector=None) == self.base.item(row)

    def _write(self, entries: Entries) -> None:
        """Write entries to the overlay; where it is full, without the removals that are too many."""
        write: Callable[[], None] = partial(self._writable().write, entries)
        try:
            write()
        except FullStoreError as error:
            if not self._make_room(0):
                raise self._full(error) from None
            try:
                write()
            except FullStoreError as error:
                raise self._full(error) from None

    def _full(self, error: FullStoreError) -> ValueError:
        """Write what fills the store, and what would help."""
        new, changed, removed = self.current.view.counts()
        return ValueError(
            f"the item store would hold {error.entries:,} entries; right is at most {MOST_ITEMS:,}. It holds {new:,} "
            f"items that the model {self.bundle.version} does not know, {changed:,} changes of items that it knows and "
            f"{removed:,} removals. A model that was trained with the new items knows them, and then `mindstream index "
            "items prune` drops the entries that say what it says; restoring removed items drops their removals, and "
            "MINDSTREAM_ITEM_DAYS what was not written for so long"
        )

    def _writable(self) -> Overlay:
        """Return the overlay to write to."""
        if self.overlay is None:
            raise ValueError("these items are the bundle's alone; right is a recommender that was given an overlay")
        return self.overlay


def _sorted_out(item_ids: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Return each id that items can have, once, and of the others why not."""
    good: dict[str, None] = {}
    refused: dict[str, str] = {}
    for item_id in item_ids:
        try:
            check_id(item_id)
            item_id.encode()
            good[item_id] = None
        except ValueError as error:
            refused[str(item_id)] = str(error)
    return list(good), refused
