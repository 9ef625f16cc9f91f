"""The items that can be recommended at one moment: those of a bundle, and in the rows behind them the newer ones."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, lru_cache

import numpy as np

from index.catalogued import Catalogued
from index.exact import ExactIndex
from index.item import Item
from index.item_store import Entries
from index.matching import Matching
from index.maxsim import MaxSimIndex
from index.overlaid import OverlaidIndex, Tables

KEPT = 64  # filters whose rows are kept for the next request: a byte for each item


class Assortment:
    """A bundle's items and the entries over them; it never changes. One serves a whole answer.

    An entry whose item the bundle knows changes what people are shown and filter by, or removes it; the vector stays.
    The others are new items, in the order of their ids; those of which the bundle's model knows no value are left out.

    Parameters
    ----------
    base : the bundle's items.
    entries : of the overlay.
    new : the new items, with their vectors float32 (d,).
    values_of : the values of an item that filters know.
    """

    def __init__(
        self,
        base: Catalogued,
        entries: Entries,
        new: Mapping[str, np.ndarray],
        values_of: Callable[[Item], Mapping[str, Sequence[str]]],
    ) -> None:
        self.base, self.bundle, self.entries = base, base.bundle, entries
        self.new_ids = sorted(new)
        size = self.bundle.manifest.items
        self.new_rows = {item_id: row for row, item_id in enumerate(self.new_ids, start=size)}
        known = [(self.row(item_id), item) for item_id, item in entries.items()]
        put = {row: values_of(item) for row, item in known if row is not None and item is not None}
        removed = [row for row, item in known if row is not None and item is None]
        self.matching = Matching(base, put, removed, self.new_rows)
        self.allowed = lru_cache(KEPT)(self.matching.allowed)
        self.newer = ExactIndex(np.stack([new[item_id] for item_id in self.new_ids])) if new else None

    def row(self, item_id: str) -> int | None:
        """The row of an item, None where there is none."""
        return self.bundle.rows.get(item_id, self.new_rows.get(item_id))

    def rows(self, item_ids: Iterable[str]) -> list[int]:
        """The rows of those items that there are."""
        return self.matching.rows_of(item_ids)

    def item_id(self, row: int) -> str:
        """The item of a row."""
        size = self.bundle.manifest.items
        return self.bundle.item_ids[row] if row < size else self.new_ids[row - size]

    def shown(self, item_id: str) -> Item | None:
        """What people are shown of an item, be it removed: what was put last, else what the bundle says."""
        entry, row = self.entries.get(item_id), self.bundle.rows.get(item_id)
        if entry is not None or row is None:
            return entry
        return self.base.item(row)

    def over(self, index: MaxSimIndex) -> MaxSimIndex:
        """The index of all these items, of one of the bundle's."""
        return index if self.newer is None else OverlaidIndex(index, self.newer)

    @property
    def vectors(self) -> np.ndarray | Tables:
        """The vector of each row."""
        table = self.bundle.item_embeddings
        return table if self.newer is None else Tables(table, self.newer.items)

    @cached_property
    def category(self) -> np.ndarray:
        """int64 (rows,), the same number for items of the same category; -1 where it is not known."""
        return self.base.category if not self.entries else self.matching.category()

    @cached_property
    def popularity(self) -> np.ndarray:
        """float32 (rows,), interactions in the training log: none with new items."""
        return np.concatenate([self.base.popularity, np.zeros(len(self.new_ids), dtype=np.float32)])

    @cached_property
    def popular(self) -> np.ndarray:
        """int64 (rows,), rows, the most popular first; equal ones by row."""
        return np.concatenate([self.base.popular, np.fromiter(self.new_rows.values(), dtype=np.int64)])
