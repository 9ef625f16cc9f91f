"""An attribute of all items both ways: the values of an item, and the items that have a value."""

from bisect import bisect_left
from collections.abc import Collection, Iterable

import numpy as np
import pyarrow.compute as pc

from model_export.bundle.items.text_columns import Column, TextColumn

__all__ = ["FEW", "AttributeColumn", "CategoryColumn"]

FEW = 32  # values that are looked up one by one; more are sought in one pass over all


class AttributeColumn(Column[list[str]]):
    """The values of each item for one attribute, and the items of each value.

    Parameters
    ----------
    values : the attribute's different values, ascending.
    first : number of the first of them in `codes` and `posting_starts`.
    starts, codes : int32 (n + 1,) and (C,); item i has the values with the numbers from starts[i] to starts[i + 1],
        which other attributes' values may be among.
    posting_starts, postings : int32 (V + 1,) and (R,); the rows of value v, ascending, are those from posting_starts[v]
        to posting_starts[v + 1].
    """

    def __init__(
        self,
        values: TextColumn,
        first: int,
        starts: np.ndarray,
        codes: np.ndarray,
        posting_starts: np.ndarray,
        postings: np.ndarray,
    ) -> None:
        self.values, self.first = values, first
        self._starts, self._codes = starts.data, codes.data
        self._posting_starts, self._postings = posting_starts, postings

    def __len__(self) -> int:
        return len(self._starts) - 1

    def cell(self, row: int) -> list[str]:
        """Return the values of the item of a row, in the order that it was given them."""
        first, end = self.first, self.first + len(self.values)
        mine = self._codes[self._starts[row] : self._starts[row + 1]]
        return [self.values.cell(code - first) for code in mine if first <= code < end]

    def number_of(self, value: str) -> int | None:
        """Return the place of a value among the attribute's, None if no item has it."""
        place = bisect_left(self.values, value)
        return place if place < len(self.values) and self.values.cell(place) == value else None

    def numbers_of(self, values: Collection[str]) -> dict[str, int]:
        """Return the place of each of these values that some item has; the others have none."""
        if len(values) <= FEW:
            found = {value: self.number_of(value) for value in values}
            return {value: place for value, place in found.items() if place is not None}
        # One pass over all, without the GIL.
        is_wanted = pc.is_in(self.values.to_arrow(), value_set=TextColumn.of(values).to_arrow())
        bits = np.frombuffer(is_wanted.buffers()[1] or b"", dtype=np.uint8)
        places = np.flatnonzero(np.unpackbits(bits, count=len(self.values), bitorder="little"))
        return {self.values.cell(place): place for place in places.tolist()}

    def rows_of(self, value: str) -> np.ndarray:
        """Return the rows of the items that have a value, ascending, int32 (R,)."""
        place = self.number_of(value)
        return self._rows_of_number(place) if place is not None else np.empty(0, dtype=np.int32)

    def rows_of_numbers(self, places: Iterable[int]) -> np.ndarray:
        """Return the rows of items with the values of these places, int32 (R,); some twice."""
        found = [self._rows_of_number(place) for place in places]
        return np.concatenate(found) if found else np.empty(0, dtype=np.int32)

    def _rows_of_number(self, place: int) -> np.ndarray:
        """Return the rows of the items with the value of a place, ascending, int32 (R,)."""
        start, end = self._posting_starts[self.first + place], self._posting_starts[self.first + place + 1]
        return self._postings[start:end]


class CategoryColumn(Column[str]):
    """The category of each item; "" where it is unknown.

    Parameters
    ----------
    values : the different categories, ascending.
    codes : int32 (n,), the place of each item's among them, -1 where it is unknown.
    """

    def __init__(self, values: TextColumn, codes: np.ndarray) -> None:
        self.values, self.codes, self._codes = values, codes, codes.data

    def __len__(self) -> int:
        return len(self._codes)

    def cell(self, row: int) -> str:
        """Return the category of the item of a row."""
        code: int = self._codes[row]
        return self.values.cell(code) if code >= 0 else ""
