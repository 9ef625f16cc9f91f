"""An index from attributes to rows: of the bundle's catalogue, and over it of items that were put since."""

from collections.abc import Iterable, Sequence

import numpy as np

from index.catalogue.bundle_catalogue import BundleCatalogue
from index.catalogue.entry_table import TableView
from index.catalogue.item import first_values
from index.search.maxsim import Allowed

__all__ = ["AttributeIndex"]

Where = frozenset[tuple[str, frozenset[str]]]  # attributes, and the values of which one will do


class AttributeIndex:
    """The attributes of a bundle's items and of those behind them.

    Of the rows that were put since holds what was put, whatever the bundle's catalogue says of them.

    Parameters
    ----------
    base : the bundle's.
    view : what was put and removed.
    """

    def __init__(self, base: BundleCatalogue, view: TableView) -> None:
        self.base, self.view, self.size = base, view, view.size

    def allowed(self, where: Where, blocked: frozenset[str]) -> Allowed | None:
        """Find the rows that have the wanted attributes and are not removed or blocked.

        A row needs one of the values of every attribute. None: all rows.

        Raises
        ------
        ValueError
            If there is no such attribute, or no item has a value.
        """
        out, new_holds = self.rows_of(blocked), self.view.new_holds
        removed = self.view.removed_rows
        if not (where or out or len(removed)) and new_holds.all():
            return None
        mask = np.ones(self.size, dtype=bool)
        for attribute, values in sorted(where, key=lambda one: one[0]):
            mask &= self._has_one_of(attribute, values)
        mask[removed] = False
        mask[out] = False
        mask[self.size - len(new_holds) :] &= new_holds
        return Allowed(mask)

    def _has_one_of(self, attribute: str, values: frozenset[str]) -> np.ndarray:
        """Tell of each row whether it has one of the values, bool (rows,).

        All values are looked at in one pass: a copy for each would hold up everybody else for as long as it takes.
        """
        column = self.base.attributes.get(attribute)
        numbers = column.numbers_of(values) if column is not None else {}
        unknown = [value for value in values if value not in numbers and not self._is_put(attribute, value)]
        if unknown:
            self.check(attribute, min(unknown))
        has_one = np.zeros(self.size, dtype=bool)
        if column is not None:
            has_one[column.rows_of_numbers(numbers.values())] = True
        has_one[self.view.put_rows] = False
        has_one[self.view.rows_of_values(attribute, values)] = True
        return has_one

    def _is_put(self, attribute: str, value: str) -> bool:
        """Tell whether an item was put with a value."""
        return len(self.view.rows_of_values(attribute, [value])) > 0

    def rows_of(self, item_ids: Iterable[str]) -> list[int]:
        """Return the rows of those items that there are."""
        known = self.base.bundle.rows
        if not len(self.view.new_holds):
            return known.known(item_ids)
        found = [(known.find(item_id), item_id) for item_id in item_ids]
        rows = (self.view.new_row(item_id) if row is None else row for row, item_id in found)
        return [row for row in rows if row is not None]

    def rows_with(self, attribute: str, value: str) -> np.ndarray:
        """Return the rows of the items that have a value, int (R,)."""
        column = self.base.attributes.get(attribute)
        known = np.empty(0, dtype=np.int32) if column is None else column.rows_of(value)
        if not len(self.view.put_rows):
            return known
        is_put = np.zeros(self.size, dtype=bool)
        is_put[self.view.put_rows] = True
        return np.concatenate([known[~is_put[known]], self.view.rows_of_values(attribute, [value])])

    def category(self) -> np.ndarray:
        """Return the number of each row's category, int32 (rows,).

        Items of the same category have the same number; -1 if it is not known.
        """
        numbers = np.full(self.size, -1, dtype=np.int32)
        numbers[: len(self.base.category)] = self.base.category
        numbers[self.view.put_rows] = self.view.table.category.first(len(self.view.holds))[self.view.put_slots]
        return numbers

    def category_after(self, before: np.ndarray, slots: int) -> np.ndarray:
        """Return the same as `category`, given that of an earlier view, which is not written to.

        Parameters
        ----------
        slots : how many the table had then.
        """
        numbers = np.full(self.size, -1, dtype=np.int32)
        numbers[: len(before)] = before
        behind = numbers[self.size - len(self.view.new_holds) :]
        behind[~self.view.new_holds] = -1
        for item_id in set(self.view.table.ids[slots : len(self.view.holds)]):
            row = self.base.bundle.rows.find(item_id)
            if row is not None and self.view.item(item_id) is None:
                numbers[row] = self.base.category[row]
        came = self.view.put_slots[np.searchsorted(self.view.put_slots, slots) :]
        table = self.view.table
        numbers[table.row.first(len(self.view.holds))[came]] = table.category.first(len(self.view.holds))[came]
        return numbers

    def check(self, attribute: str, value: str) -> None:
        """Raise ValueError, with those that there are, unless some item has the value."""
        known, now = self.base.attributes.get(attribute), self.view.values_put(attribute)
        if known is None and not now:
            names = sorted({*self.base.attributes, *self.view.attributes_put()})
            raise ValueError(f"there is no attribute {attribute!r}; right are {', '.join(names)}")
        if value in now or (known is not None and known.number_of(value) is not None):
            return
        values: Sequence[str] = known.values if known is not None else []
        if now:
            values = sorted({*values, *now})
        raise ValueError(f"no item has the {attribute} {value!r}; right are {first_values(values)}")
