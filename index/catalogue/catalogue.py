"""The items of a bundle with the overlay over them: put, changed and removed at run time."""

import threading

from index.catalogue.bundle_catalogue import BundleCatalogue
from index.catalogue.item import Item, check_id, checked
from index.catalogue.overlay import Overlay
from index.catalogue.overlay_store import Entries
from index.catalogue.side_features import SideFeatures
from index.catalogue.snapshot import CatalogueSnapshot, ResolvedEntry
from model_export.bundle.bundle import Bundle

__all__ = ["Catalogue"]


class Catalogue:
    """The items of a bundle, with what was put, changed and removed since.

    Callers change items by it, and a recommender takes them from it. Any number of threads may do both.

    Parameters
    ----------
    bundle : whose model makes the vectors of new items.
    overlay : that other bundles share; None: the bundle's items alone, which nobody changes.
    """

    def __init__(self, bundle: Bundle, overlay: Overlay | None = None) -> None:
        self.bundle, self.overlay = bundle, overlay
        self.base = BundleCatalogue(bundle)
        self.features = SideFeatures(bundle)  # read now: its file may be gone when the first new item comes
        self.resolved: dict[str, ResolvedEntry] = {}
        self.resolving = threading.Lock()
        self.latest = self._snapshot_of(overlay.current if overlay else {})

    @property
    def current(self) -> CatalogueSnapshot:
        """Return the items as they are now.

        Take them once for each answer: then nothing mixes two moments.
        """
        if self.overlay is None or self.overlay.current is self.latest.entries:
            return self.latest
        with self.resolving:
            entries = self.overlay.current
            if entries is not self.latest.entries:
                self.latest = self._snapshot_of(entries)
            return self.latest

    def _snapshot_of(self, entries: Entries) -> CatalogueSnapshot:
        """Make the snapshot with these entries; what did not change is not resolved again."""
        before = self.resolved
        self.resolved = {
            item_id: self._resolve(item_id, item, before.get(item_id)) for item_id, item in entries.items()
        }
        return CatalogueSnapshot(self.base, entries, self.resolved)

    def _resolve(self, item_id: str, item: Item | None, before: ResolvedEntry | None) -> ResolvedEntry:
        """Resolve an entry against this bundle."""
        if before is not None and before.item is item:
            return before
        row = self.bundle.rows.get(item_id)
        if item is None:
            return ResolvedEntry(None, row, {}, None)
        return ResolvedEntry(
            item, row, self.features.values_of(item), self.features.embedding(item) if row is None else None
        )

    def put(self, item: Item) -> None:
        """Add an item, or change what people are shown of one and filter by.

        From now on every request sees it.

        Raises
        ------
        ValueError
            If the item is not right, there are too many, or it is new and the model knows none of its values: it
            could never be found. Names what would be right.
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

        Raises ValueError unless it may be put.
        """
        kept = checked(item)
        if kept.item_id not in self.bundle.rows:
            self.features.check(kept)
        return kept

    def remove(self, item_id: str) -> None:
        """Remove an item, for later bundles too, until it is restored or put again.

        Raises
        ------
        ValueError
            If there are too many entries, or no item can be called so.
        OSError
            If the item store cannot be written.
        """
        check_id(item_id)
        self._write({item_id: None})

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
        self._writable().restore(item_id)
        return self.get(item_id)

    def entries(self) -> Entries:
        """Return what was put and removed: item_id -> the item, None if it was removed."""
        return self.current.entries

    def get(self, item_id: str) -> Item | None:
        """Return an item as people see it now; None if it is not known, or was removed."""
        current = self.current
        removed = item_id in current.entries and current.entries[item_id] is None
        return None if removed else current.shown(item_id)

    def prune(self) -> int:
        """Drop the entries that change nothing, since the bundle says the same; return how many.

        What is removed stays so.
        """
        if self.overlay is None:
            return 0
        return self.overlay.forget({i: item for i, item in self.entries().items() if self._is_idle(i, item)})

    def _is_idle(self, item_id: str, item: Item | None) -> bool:
        """Tell whether an entry changes nothing.

        A removed item that no model knows today may be known to the next one.
        """
        row = self.bundle.rows.get(item_id)
        return item is not None and row is not None and item == self.base.item(row)

    def _write(self, entries: Entries) -> None:
        """Write entries to the overlay."""
        self._writable().write(entries)

    def _writable(self) -> Overlay:
        """Return the overlay to write to."""
        if self.overlay is None:
            raise ValueError("these items are the bundle's alone; right is a recommender that was given an overlay")
        return self.overlay
