"""The items that can be recommended at one moment: those of a bundle, and in the rows behind them the newer ones."""

from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np

from index.catalogue.attribute_index import AttributeIndex, Where
from index.catalogue.bundle_catalogue import BundleCatalogue
from index.catalogue.entry_table import TableView
from index.catalogue.item import Item
from index.catalogue.overlay_store import Entries
from index.search.exact import ExactIndex
from index.search.maxsim import Allowed, MaxSimIndex
from index.search.overlaid_index import OverlaidIndex, StackedVectors

__all__ = ["CatalogueSnapshot", "ItemSummary"]

KEPT = 64  # filters whose rows are kept for the next request: a byte for each item
MADE_READY = 16  # of these, as many are made for the next snapshot before anybody asks it


class ItemSummary(NamedTuple):
    """Title, category and price of an item, as people read them."""

    title: str
    category: str
    price: float | None


class CatalogueSnapshot:
    """A bundle's items and the entries over them; it never changes. One serves a whole answer.

    An entry whose item the bundle knows changes what people are shown and filter by, or removes it; the vector stays.
    The others are new items; those of which the bundle's model knows no value are left out. Some rows behind the
    bundle's hold no item any more: `allowed` leaves them out.

    Parameters
    ----------
    base : the bundle's items.
    view : the entries.
    before : the snapshot that this one follows; what was asked of it is made ready.
    """

    def __init__(self, base: BundleCatalogue, view: TableView, before: "CatalogueSnapshot | None" = None) -> None:
        self.base, self.bundle, self.view = base, base.bundle, view
        self.attributes = AttributeIndex(base, view)
        self._allowed = lru_cache(KEPT)(self.attributes.allowed)
        self._asked: OrderedDict[tuple[Where, frozenset[str]], None] = OrderedDict()
        self.newer: ExactIndex | None = None
        count = len(view.new_holds)
        is_first = before is None or before.newer is None  # whose machine code must be loaded
        if count:
            self.newer = ExactIndex(view.table.new_vectors.first(count), is_first)
        if before is not None:
            self._make_ready(before)

    def _make_ready(self, before: "CatalogueSnapshot") -> None:
        """Make what requests asked the snapshot before for, so that none has to wait for it here."""
        for where, blocked in list(before._asked)[-MADE_READY:]:
            with suppress(ValueError):  # no item has the value any more
                self._allowed(where, blocked)
        if "category" in vars(before):
            self._category_after(before)
        if "popular" in vars(before):
            _ = self.popular  # made now, and kept

    def _category_after(self, before: "CatalogueSnapshot") -> None:
        """Make the categories of the rows from those of the snapshot before, if that may be."""
        if before.view.table is self.view.table:  # no other was made meanwhile, with other slots
            self.category = self.attributes.category_after(before.category, len(before.view.holds))
        else:
            _ = self.category  # made now, and kept

    def allowed(self, where: Where, blocked: frozenset[str]) -> Allowed | None:
        """Find the rows of a filter; see `AttributeIndex.allowed`. The last 64 filters are kept."""
        if (where, blocked) not in self._asked and len(self._asked) < KEPT:
            self._asked[where, blocked] = None
        return self._allowed(where, blocked)

    def rows(self, item_ids: Iterable[str]) -> list[int]:
        """Return the rows of those items that there are."""
        return self.attributes.rows_of(item_ids)

    def rows_with(self, attribute: str, value: str) -> np.ndarray:
        """Return the rows of the items that have a value, int (R,)."""
        return self.attributes.rows_with(attribute, value)

    def item_id(self, row: int) -> str:
        """Return the item of a row."""
        size = self.bundle.manifest.items
        return self.bundle.item_ids[row] if row < size else self.view.table.new_ids[row - size]

    @property
    def entries(self) -> Entries:
        """Return what was put and removed: item_id -> the item, None if it was removed."""
        return self.view.entries()

    @property
    def new_ids(self) -> list[str]:
        """Return the new items that can be found, in the order of their rows."""
        size = self.bundle.manifest.items
        return [self.item_id(size + place) for place in np.flatnonzero(self.view.new_holds).tolist()]

    @property
    def is_changed(self) -> bool:
        """Tell whether anything is not as the bundle says it."""
        return len(self.view.holds) > 0

    def has_entry(self, item_id: str) -> bool:
        """Tell whether an item was put or removed."""
        return self.view.slot(item_id) is not None

    @cached_property
    def new_count(self) -> int:
        """Count the new items that can be found."""
        return int(np.count_nonzero(self.view.new_holds))

    def shown(self, item_id: str) -> Item | None:
        """Return an item as people see it, be it removed; None if nobody knows it.

        What was put last counts, else what the bundle says.
        """
        entry, row = self.view.item(item_id), self.bundle.rows.find(item_id)
        if entry is not None or row is None:
            return entry
        return self.base.item(row)

    def fault_of(self, item_id: str) -> str:
        """Say why an item that was put cannot be found, and what would be right; else ""."""
        item = self.view.item(item_id)
        if item is None or self.rows([item_id]):
            return ""
        return self.view.table.vectors.fault_of(item)

    def summary(self, item_id: str) -> ItemSummary:
        """Return title, category and price of an item, be it removed.

        Its id stands for a title if nothing else is known.
        """
        entry = self.view.item(item_id)
        if entry is not None:
            return ItemSummary(entry.title, entry.category, entry.price)
        row = self.bundle.rows.find(item_id)
        if row is None:
            return ItemSummary(item_id, "", None)
        catalogue = self.bundle.catalogue
        return ItemSummary(catalogue.title[row], catalogue.category[row], catalogue.price[row])

    def over(self, index: MaxSimIndex) -> MaxSimIndex:
        """Return the index of all these items, given the index of the bundle's."""
        return index if self.newer is None else OverlaidIndex(index, self.newer)

    @property
    def vectors(self) -> np.ndarray | StackedVectors:
        """Return the vector of each row, float32 (rows, d)."""
        embeddings = self.bundle.item_embeddings
        return embeddings if self.newer is None else StackedVectors(embeddings, self.newer.vectors)

    @cached_property
    def category(self) -> np.ndarray:
        """Return the number of each row's category, int32 (rows,); -1 if it is not known."""
        return self.base.category if not len(self.view.holds) else self.attributes.category()

    @property
    def popularity(self) -> np.ndarray:
        """Return the interactions of each row in the training log, float32 (rows,).

        New items have none.
        """
        return self.base.popularity_with(len(self.view.new_holds))

    @cached_property
    def popular(self) -> np.ndarray:
        """Return the rows that hold an item, the most popular first, int32 (R,).

        Equal ones of the bundle are in the order of rows; new items come last, in the order of hashes of their ids:
        always the same one, in every process, and none that favours whoever was put first.
        """
        new = self.view.new_rows
        return np.concatenate([self.base.popular, new]) if len(new) else self.base.popular
