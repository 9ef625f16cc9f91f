"""An index from attributes to rows: of the bundle's catalogue, and over it of items that were put since."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

import numpy as np

from index.catalogue.bundle_catalogue import BundleCatalogue, inverted
from index.catalogue.item import CATEGORY, first_values
from index.search.maxsim import Allowed

__all__ = ["AttributeIndex"]

Where = frozenset[tuple[str, frozenset[str]]]  # attributes, and the values of which one will do
Values = Mapping[int, Mapping[str, Sequence[str]]]  # row -> attribute -> values


class AttributeIndex:
    """The attributes of a bundle's items and of those behind them.

    Parameters
    ----------
    base : the bundle's.
    put : what holds of the rows that were put since, in place of what the catalogue says of them.
    removed : rows that never come back.
    new : item_id -> row, of items that the bundle does not know; they have the rows behind its own.
    """

    def __init__(self, base: BundleCatalogue, put: Values, removed: Sequence[int], new: Mapping[str, int]) -> None:
        self.base, self.put, self.removed, self.new = base, put, removed, new
        self.size = base.bundle.manifest.items + len(new)

    def allowed(self, where: Where, blocked: frozenset[str]) -> Allowed | None:
        """Find the rows that have the wanted attributes and are not removed or blocked.

        A row needs one of the values of every attribute. None: all rows.

        Raises
        ------
        ValueError
            If there is no such attribute, or no item has a value.
        """
        out = [*self.removed, *self.rows_of(blocked)]
        if not where and not out:
            return None
        mask = np.ones(self.size, dtype=bool)
        for attribute, values in sorted(where, key=lambda one: one[0]):
            mask &= self._has_one_of(attribute, values)
        mask[out] = False
        return Allowed(mask)

    def _has_one_of(self, attribute: str, values: frozenset[str]) -> np.ndarray:
        """Tell of each row whether it has one of the values, bool (rows,).

        All values are looked at in one pass: a copy for each would hold up everybody else for as long as it takes.
        """
        column, now = self.base.attributes.get(attribute), self._rows_put.get(attribute, {})
        numbers = column.numbers_of(values) if column is not None else {}
        unknown = [value for value in values if value not in numbers and value not in now]
        if unknown:
            self.check(attribute, min(unknown))
        has_one = np.zeros(self.size, dtype=bool)
        if column is not None:
            has_one[column.rows_of_numbers(numbers.values())] = True
        has_one[self._changed] = False  # of these holds what was put, whatever the catalogue says
        has_one[[row for value in values for row in now.get(value, ())]] = True
        return has_one

    def rows_of(self, item_ids: Iterable[str]) -> list[int]:
        """Return the rows of those items that there are."""
        known = self.base.bundle.rows
        if not self.new:
            return known.known(item_ids)
        found = (known.get(item_id, self.new.get(item_id)) for item_id in item_ids)
        return [row for row in found if row is not None]

    def rows_with(self, attribute: str, value: str) -> np.ndarray:
        """Return the rows of the items that have a value, int (R,)."""
        column = self.base.attributes.get(attribute)
        known = np.empty(0, dtype=np.int32) if column is None else column.rows_of(value)
        if not self.put:
            return known
        now = np.array(self._rows_put.get(attribute, {}).get(value, []), dtype=np.int64)
        return np.concatenate([known[~np.isin(known, self._changed)], now])

    @cached_property
    def _changed(self) -> np.ndarray:
        """Return the rows that were put since, int64 (R,)."""
        return np.fromiter(self.put, dtype=np.int64, count=len(self.put))

    @cached_property
    def _rows_put(self) -> dict[str, dict[str, list[int]]]:
        """Return attribute -> value -> rows, of the items that were put."""
        names = dict.fromkeys(name for values in self.put.values() for name in values)
        return {name: inverted((row, values.get(name, ())) for row, values in self.put.items()) for name in names}

    def category(self) -> np.ndarray:
        """Return the number of each row's category, int32 (rows,).

        Items of the same category have the same number; -1 if it is not known.
        """
        numbers = np.concatenate([self.base.category, np.full(len(self.new), -1, dtype=np.int32)])
        numbers[self._changed] = -1
        categories = self.base.attributes[CATEGORY]
        behind = len(categories.values)
        for place, (name, rows) in enumerate(self._rows_put.get(CATEGORY, {}).items()):
            number = categories.number_of(name)
            numbers[rows] = behind + place if number is None else number
        return numbers

    def check(self, attribute: str, value: str) -> None:
        """Raise ValueError, with those that there are, unless some item has the value."""
        known, now = self.base.attributes.get(attribute), self._rows_put.get(attribute)
        if known is None and now is None:
            names = sorted({*self.base.attributes, *self._rows_put})
            raise ValueError(f"there is no attribute {attribute!r}; right are {', '.join(names)}")
        if value in (now or ()) or (known is not None and known.number_of(value) is not None):
            return
        values: Sequence[str] = known.values if known is not None else []
        if now:
            values = sorted({*values, *now})
        raise ValueError(f"no item has the {attribute} {value!r}; right are {first_values(values)}")
