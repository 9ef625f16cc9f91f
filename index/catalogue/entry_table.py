"""The entries over a bundle as a table that only grows, so that a change costs what changed and nobody waits for it.

Every change of an item is a new slot at the end. A view is how many slots there were at one moment, and which of them
held then: nothing that it reads is ever written again.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from itertools import compress

import numpy as np

from index.catalogue.bundle_catalogue import BundleCatalogue
from index.catalogue.growing_array import GrowingArray
from index.catalogue.item import CATEGORY, Item
from index.catalogue.item_vectors import OTHER_VECTOR, UNKNOWN_VALUES, ItemVectors

__all__ = ["EntryTable", "TableView"]

PUT, REMOVED, FORGOTTEN = 1, 2, 3  # what a slot says of its item
LEFT_OUT = {OTHER_VECTOR: 4, UNKNOWN_VALUES: 5}  # that it was put, and has no row, since the model has no vector of it
NO_ROW = -1
SPARE = 4_096  # slots that hold no more, beside as many as do, before the table is made anew


class EntryTable:
    """Put, removed and forgotten items in the order in which they came. One thread changes it at a time.

    Items that the bundle does not know have rows behind its own. A row is never given twice; an item that is put again
    with another vector gets the next one.

    Attributes
    ----------
    slots : item_id -> its slots, ascending.
    items, ids : of each slot.
    row : int32, in the bundle or behind it, NO_ROW where the item has none.
    state : int8, PUT, REMOVED, FORGOTTEN or one of LEFT_OUT.
    category : int32, number of the item's category, as in `AttributeIndex.category`.
    postings : attribute -> value -> slots, ascending.
    new_ids, new_keys, new_vectors : of each row behind the bundle's; the keys are hashes of the ids.
    """

    def __init__(self, base: BundleCatalogue, vectors: ItemVectors) -> None:
        self.base, self.vectors, self.size = base, vectors, base.bundle.manifest.items
        self.slots: dict[str, tuple[int, ...]] = {}
        self.items: list[Item | None] = []
        self.ids: list[str] = []
        self.row, self.category = GrowingArray(np.int32), GrowingArray(np.int32)
        self.state, self._holds = GrowingArray(np.int8), GrowingArray(np.bool_)
        self.postings: dict[str, dict[str, GrowingArray]] = {}
        self.new_ids: list[str] = []
        self.new_keys = GrowingArray(np.uint64)
        self.new_vectors = GrowingArray(np.float32, (base.bundle.manifest.dim,))
        self._new_holds = GrowingArray(np.bool_)
        self._ordered, self._ordered_keys = np.empty(0, dtype=np.int32), np.empty(0, dtype=np.uint64)
        self._came, self._some_went = 0, False
        self._numbers: dict[str, int] = {}  # of the categories that were met

    def set(self, item_id: str, item: Item | None) -> None:
        """Add what was put, or None for an item that was removed."""
        row = self.base.bundle.rows.find(item_id)
        if item is None:
            before = self._end_of(item_id)
            self._add(item_id, None, NO_ROW if row is None else row, REMOVED)
        else:  # what may fail comes first: nothing has changed then
            values = self.vectors.features.values_of(item)
            vector = self.vectors.of(item) if row is None else None
            before = self._end_of(item_id)
            if row is None:
                row = self._new_row(item_id, vector, before)
            self._add(item_id, item, row, LEFT_OUT[self.vectors.lack_of(item)] if row == NO_ROW else PUT)
            self._post(values)
        self._drop_row(before)

    def _post(self, values: Mapping[str, Sequence[str]]) -> None:
        """Add the last slot to the postings of its item's values."""
        for attribute, mine in values.items():
            for value in dict.fromkeys(mine):
                of_attribute = self.postings.setdefault(attribute, {})
                of_attribute.setdefault(value, GrowingArray(np.int32)).append(len(self.ids) - 1)

    def forget(self, item_id: str) -> None:
        """Add that there is no entry for an item any more."""
        if item_id in self.slots:
            before = self._end_of(item_id)
            self._add(item_id, None, NO_ROW, FORGOTTEN)
            self._drop_row(before)

    def _end_of(self, item_id: str) -> int:
        """End what held of an item; return its row behind the bundle's, NO_ROW if it had none."""
        if not (slots := self.slots.get(item_id)):
            return NO_ROW
        self._holds.first(self._holds.size)[slots[-1]] = False
        row = int(self.row.first(self.row.size)[slots[-1]])
        return row if row >= self.size else NO_ROW

    def _drop_row(self, before: int) -> None:
        """Let a row behind the bundle's hold no more, unless the last slot has it."""
        if before != NO_ROW and self.row.first(self.row.size)[-1] != before:
            self._new_holds.first(self._new_holds.size)[before - self.size] = False
            self._some_went = True

    def _add(self, item_id: str, item: Item | None, row: int, state: int) -> None:
        """Add a slot."""
        self.items.append(item)
        self.ids.append(item_id)
        self.row.append(row)
        self.state.append(state)
        self.category.append(self._category_of(item))
        self._holds.append(state != FORGOTTEN)
        self.slots[item_id] = (*self.slots.get(item_id, ()), len(self.ids) - 1)

    def _new_row(self, item_id: str, vector: np.ndarray | None, before: int) -> int:
        """Return the row of an item that the bundle does not know.

        It is the row of before, if that has the same vector.
        """
        if vector is None:
            return NO_ROW
        if before != NO_ROW and np.array_equal(
            self.new_vectors.first(self.new_vectors.size)[before - self.size], vector
        ):
            return before
        self.new_ids.append(item_id)
        self.new_keys.append(_key_of(item_id))
        self.new_vectors.append(vector)
        self._new_holds.append(True)
        return self.size + len(self.new_ids) - 1

    def _category_of(self, item: Item | None) -> int:
        """Return the number of an item's category, -1 if it has none.

        Categories that the bundle does not know have numbers behind its own.
        """
        if item is None or not item.category:
            return -1
        if item.category not in self._numbers:
            known = self.base.attributes[CATEGORY]
            number = known.number_of(item.category)
            self._numbers[item.category] = len(known.values) + len(self._numbers) if number is None else number
        return self._numbers[item.category]

    def view(self) -> "TableView":
        """Return what holds now."""
        new_holds = self._new_holds.first(self._new_holds.size).copy()
        self._order(new_holds)
        return TableView(self, self._holds.first(self._holds.size).copy(), new_holds, self._ordered)

    def _order(self, holds: np.ndarray) -> None:
        """Order the rows behind the bundle's that hold by the hashes of their ids.

        Rows come in the order of what was put, which another process may have seen otherwise; hashes are everywhere
        the same, and favour nobody. What is ordered already is not ordered again.
        """
        if self._some_went:
            kept = holds[self._ordered - self.size]
            self._ordered, self._ordered_keys = self._ordered[kept], self._ordered_keys[kept]
        if self._came < len(holds):
            came = self._came + np.flatnonzero(holds[self._came :])
            keys = self.new_keys.first(len(holds))[came]
            order = np.argsort(keys, kind="stable")
            places = np.searchsorted(self._ordered_keys, keys[order])
            self._ordered = np.insert(self._ordered, places, (came[order] + self.size).astype(np.int32))
            self._ordered_keys = np.insert(self._ordered_keys, places, keys[order])
        self._came, self._some_went = len(holds), False

    @property
    def is_wasteful(self) -> bool:
        """Return whether most slots hold no more."""
        size = self._holds.size
        return size - int(np.count_nonzero(self._holds.first(size))) > size // 2 + SPARE

    def compacted(self) -> "EntryTable":
        """Return a table of what holds now alone; nothing is made anew but numbers."""
        holds, new_holds = self._holds.first(self._holds.size), self._new_holds.first(self._new_holds.size)
        made, slot_now = EntryTable(self.base, self.vectors), np.cumsum(holds) - 1
        row_now = np.cumsum(new_holds) - 1 + self.size
        made.items, made.ids = list(compress(self.items, holds)), list(compress(self.ids, holds))
        made.slots = {item_id: (slot,) for slot, item_id in enumerate(made.ids)}
        rows = self.row.first(self.row.size)[holds]
        is_new = rows >= self.size
        rows[is_new] = row_now[rows[is_new] - self.size]
        made.row, made.state = GrowingArray.of(rows), GrowingArray.of(self.state.first(self.state.size)[holds])
        made.category = GrowingArray.of(self.category.first(self.category.size)[holds])
        made._holds = GrowingArray.of(np.ones(len(rows), dtype=np.bool_))
        made.postings = self._postings_now(holds, slot_now.astype(np.int32))
        made.new_ids = list(compress(self.new_ids, new_holds))
        made.new_keys = GrowingArray.of(self.new_keys.first(self.new_keys.size)[new_holds])
        made.new_vectors = GrowingArray.of(self.new_vectors.first(self.new_vectors.size)[new_holds])
        made._new_holds = GrowingArray.of(np.ones(len(made.new_ids), dtype=np.bool_))
        made._numbers = self._numbers
        return made

    def _postings_now(self, holds: np.ndarray, slot_now: np.ndarray) -> dict[str, dict[str, GrowingArray]]:
        """Return the postings with the slots that hold, as they are numbered now."""
        found: dict[str, dict[str, GrowingArray]] = {}
        for attribute, values in self.postings.items():
            for value, slots in values.items():
                before = slots.first(slots.size)
                kept = slot_now[before[holds[before]]]
                if len(kept):
                    found.setdefault(attribute, {})[value] = GrowingArray.of(kept)
        return found


@dataclass(frozen=True, eq=False)
class TableView:
    """The entries at one moment.

    Attributes
    ----------
    holds : bool (slots,), those that say how it was.
    new_holds : bool (rows behind the bundle's,), those that an item had.
    new_rows : int32, the rows that hold, by the hashes of their ids.
    """

    table: EntryTable
    holds: np.ndarray
    new_holds: np.ndarray
    new_rows: np.ndarray

    @property
    def size(self) -> int:
        """Return the number of all rows, those that hold no more among them."""
        return self.table.size + len(self.new_holds)

    def slot(self, item_id: str) -> int | None:
        """Return the slot that holds of an item, None if no entry does."""
        for slot in reversed(self.table.slots.get(item_id, ())):
            if slot < len(self.holds):
                return slot if self.holds[slot] else None
        return None

    def item(self, item_id: str) -> Item | None:
        """Return what was put of an item, None if nothing was or it was removed."""
        slot = self.slot(item_id)
        return None if slot is None else self.table.items[slot]

    def is_removed(self, item_id: str) -> bool:
        """Tell whether an item was removed."""
        slot = self.slot(item_id)
        return slot is not None and self.table.items[slot] is None

    def new_row(self, item_id: str) -> int | None:
        """Return the row behind the bundle's that an item has, None if it has none."""
        slot = self.slot(item_id)
        row = NO_ROW if slot is None else int(self.table.row.first(len(self.holds))[slot])
        return row if row >= self.table.size else None

    def entries(self) -> dict[str, Item | None]:
        """Return what was put and removed: item_id -> the item, None if it was removed."""
        ids, items = self.table.ids[: len(self.holds)], self.table.items[: len(self.holds)]
        return dict(compress(zip(ids, items, strict=True), self.holds))

    @cached_property
    def put_slots(self) -> np.ndarray:
        """Return the slots of the items that were put and have a row, int64 (S,)."""
        return np.flatnonzero(self.holds & (self.table.state.first(len(self.holds)) == PUT))

    @cached_property
    def put_rows(self) -> np.ndarray:
        """Return the rows of the items that were put, int32 (S,)."""
        rows: np.ndarray = self.table.row.first(len(self.holds))[self.put_slots]
        return rows

    @cached_property
    def removed_rows(self) -> np.ndarray:
        """Return the rows of the bundle's items that were removed, int32 (R,)."""
        count = len(self.holds)
        rows: np.ndarray = self.table.row.first(count)
        return np.asarray(rows[self.holds & (self.table.state.first(count) == REMOVED) & (rows != NO_ROW)])

    def removed_unknown(self, but: int) -> list[str]:
        """Return the removed items that the bundle does not know, the longest removed first.

        Parameters
        ----------
        but : how many of the last are left out.
        """
        count = len(self.holds)
        is_one = (self.table.state.first(count) == REMOVED) & (self.table.row.first(count) == NO_ROW)
        slots = np.flatnonzero(self.holds & is_one)
        return [self.table.ids[slot] for slot in slots[: max(0, len(slots) - max(0, but))].tolist()]

    def counts(self) -> tuple[int, int, int]:
        """Count the new items, the changes of the bundle's, and the removals."""
        count = len(self.holds)
        states, rows = self.table.state.first(count)[self.holds], self.table.row.first(count)[self.holds]
        changed = int(np.count_nonzero((states == PUT) & (rows < self.table.size)))
        removed = int(np.count_nonzero(states == REMOVED))
        return len(states) - changed - removed, changed, removed

    @cached_property
    def left_out(self) -> dict[str, int]:
        """Count the items that were put and have no row, by the reason, each of LEFT_OUT."""
        states = self.table.state.first(len(self.holds))[self.holds]
        return {reason: int(np.count_nonzero(states == state)) for reason, state in LEFT_OUT.items()}

    def rows_of_values(self, attribute: str, values: Iterable[str]) -> np.ndarray:
        """Return the rows of the items that were put with one of the values, int32 (R,).

        One may come twice.
        """
        known: Mapping[str, GrowingArray] = self.table.postings.get(attribute, {})
        slots = [known[value].below(len(self.holds)) for value in values if value in known]
        found = np.concatenate(slots) if slots else np.empty(0, dtype=np.int32)
        rows = self.table.row.first(len(self.holds))[found[self.holds[found]]]
        return np.asarray(rows[rows != NO_ROW])

    def values_put(self, attribute: str) -> Collection[str]:
        """Return the values that items were put with."""
        known = self.table.postings.get(attribute, {})
        return [value for value in list(known) if len(self.rows_of_values(attribute, [value]))]

    def attributes_put(self) -> Iterator[str]:
        """List the attributes that items were put with."""
        for attribute in list(self.table.postings):
            if any(len(self.rows_of_values(attribute, [value])) for value in list(self.table.postings[attribute])):
                yield attribute


def _key_of(item_id: str) -> int:
    """Return an item's place among those alike: the same everywhere, and nobody's choice."""
    return int.from_bytes(blake2b(item_id.encode(errors="replace"), digest_size=8).digest(), "little")
