"""The items that can be recommended at one moment: those of a bundle, and in the rows behind them the newer ones."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np

from index.catalogue.attribute_index import AttributeIndex
from index.catalogue.bundle_catalogue import BundleCatalogue
from index.catalogue.item import Item
from index.catalogue.overlay_store import Entries
from index.search.exact import ExactIndex
from index.search.maxsim import MaxSimIndex
from index.search.overlaid_index import OverlaidIndex, StackedVectors

__all__ = ["CatalogueSnapshot", "ItemSummary", "ResolvedEntry"]

KEPT = 64  # filters whose rows are kept for the next request: a byte for each item


class ResolvedEntry(NamedTuple):
    """An entry of the overlay, resolved against a bundle.

    Attributes
    ----------
    item : None if it was removed.
    row : in the bundle, None if it does not know the item.
    values : that filters know.
    vector : float32 (d,) of a new item, None if the model knows none of its values, or the bundle the item.
    """

    item: Item | None
    row: int | None
    values: Mapping[str, Sequence[str]]
    vector: np.ndarray | None


class ItemSummary(NamedTuple):
    """Title, category and price of an item, as people read them."""

    title: str
    category: str
    price: float | None


class CatalogueSnapshot:
    """A bundle's items and the entries over them; it never changes. One serves a whole answer.

    An entry whose item the bundle knows changes what people are shown and filter by, or removes it; the vector stays.
    The others are new items, in the order of their ids; those of which the bundle's model knows no value are left out.

    Parameters
    ----------
    base : the bundle's items.
    entries : of the overlay.
    resolved : each entry's place in the bundle.
    """

    def __init__(self, base: BundleCatalogue, entries: Entries, resolved: Mapping[str, ResolvedEntry]) -> None:
        self.base, self.bundle, self.entries = base, base.bundle, entries
        vectors = {item_id: one.vector for item_id, one in resolved.items() if one.vector is not None}
        self.new_ids = sorted(vectors)
        size = self.bundle.manifest.items
        self.new_rows = {item_id: row for row, item_id in enumerate(self.new_ids, start=size)}
        known = [(one.row, one) for one in resolved.values() if one.row is not None]
        put_values = {row: one.values for row, one in known if one.item is not None}
        put_values |= {row: resolved[item_id].values for item_id, row in self.new_rows.items()}
        removed = [row for row, one in known if one.item is None]
        self.attributes = AttributeIndex(base, put_values, removed, self.new_rows)
        self.allowed = lru_cache(KEPT)(self.attributes.allowed)
        self.newer = ExactIndex(np.stack([vectors[item_id] for item_id in self.new_ids])) if vectors else None

    def rows(self, item_ids: Iterable[str]) -> list[int]:
        """Return the rows of those items that there are."""
        return self.attributes.rows_of(item_ids)

    def rows_with(self, attribute: str, value: str) -> np.ndarray:
        """Return the rows of the items that have a value, int (R,)."""
        return self.attributes.rows_with(attribute, value)

    def item_id(self, row: int) -> str:
        """Return the item of a row."""
        size = self.bundle.manifest.items
        return self.bundle.item_ids[row] if row < size else self.new_ids[row - size]

    def shown(self, item_id: str) -> Item | None:
        """Return an item as people see it, be it removed; None if nobody knows it.

        What was put last counts, else what the bundle says.
        """
        entry, row = self.entries.get(item_id), self.bundle.rows.get(item_id)
        if entry is not None or row is None:
            return entry
        return self.base.item(row)

    def summary(self, item_id: str) -> ItemSummary:
        """Return title, category and price of an item, be it removed.

        Its id stands for a title if nothing else is known.
        """
        entry, row = self.entries.get(item_id), self.bundle.rows.get(item_id)
        if entry is not None:
            return ItemSummary(entry.title, entry.category, entry.price)
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
        return self.base.category if not self.entries else self.attributes.category()

    @cached_property
    def popularity(self) -> np.ndarray:
        """Return the interactions of each row in the training log, float32 (rows,).

        New items have none.
        """
        if not self.new_ids:
            return self.base.popularity
        return np.concatenate([self.base.popularity, np.zeros(len(self.new_ids), dtype=np.float32)])

    @cached_property
    def popular(self) -> np.ndarray:
        """Return the rows, the most popular first, equal ones by row, int32 (rows,)."""
        if not self.new_ids:
            return self.base.popular
        return np.concatenate([self.base.popular, np.fromiter(self.new_rows.values(), dtype=np.int32)])
