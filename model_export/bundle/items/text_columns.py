"""Texts, categories and prices by row, decoded when they are asked for."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Generic, TypeVar, overload

import numpy as np
import pyarrow as pa

__all__ = ["Column", "PriceColumn", "TextColumn"]

Cell = TypeVar("Cell", covariant=True)


class Column(Sequence[Cell], Generic[Cell]):
    """A column whose cells are made when they are asked for; slices are lists."""

    def cell(self, row: int) -> Cell:
        """Return the cell of a row, which is from 0 to the last."""
        raise NotImplementedError

    @overload
    def __getitem__(self, row: int) -> Cell: ...

    @overload
    def __getitem__(self, row: slice) -> list[Cell]: ...

    def __getitem__(self, row: int | slice) -> Cell | list[Cell]:
        if row.__class__ is int and 0 <= row < len(self):  # the usual case has to be fast
            return self.cell(row)
        if isinstance(row, slice):
            return [self.cell(one) for one in range(len(self))[row]]
        return self.cell(range(len(self))[row])  # the range knows negative rows, NumPy's numbers, and IndexError

    def __iter__(self) -> Iterator[Cell]:
        return map(self.cell, range(len(self)))


class TextColumn(Column[str]):
    """Texts of UTF-8, end to end in one array.

    Parameters
    ----------
    starts : int64 (n + 1,), where each text begins, and where the last one ends.
    utf8 : uint8, all bytes.
    """

    def __init__(self, starts: np.ndarray, utf8: np.ndarray) -> None:
        self.starts, self.utf8 = starts, utf8
        # A single number is ten times as quick to take from a memoryview as from an array.
        self._starts, self._utf8 = starts.data, utf8.data

    @classmethod
    def of(cls, texts: Iterable[str]) -> "TextColumn":
        """Make a column of texts; a lone surrogate becomes bytes that no text of a file has."""
        utf8 = [text.encode(errors="surrogatepass") for text in texts]
        starts = np.cumsum([0, *map(len, utf8)], dtype=np.int64)
        return cls(starts, np.frombuffer(b"".join(utf8), dtype=np.uint8))

    def __len__(self) -> int:
        return len(self._starts) - 1

    def cell(self, row: int) -> str:
        """Return the text of a row."""
        return str(self._utf8[self._starts[row] : self._starts[row + 1]], "utf-8")

    def bytes_at(self, row: int) -> memoryview:
        """Return the bytes of the text of a row."""
        return self._utf8[self._starts[row] : self._starts[row + 1]]

    def to_arrow(self) -> pa.LargeStringArray:
        """Return the texts as an array of Arrow's; nothing is copied."""
        return pa.LargeStringArray.from_buffers(len(self), pa.py_buffer(self.starts), pa.py_buffer(self.utf8))

    def part(self, first: int, end: int) -> "TextColumn":
        """Return the column of the rows from `first` to before `end`; nothing is copied."""
        return TextColumn(self.starts[first : end + 1], self.utf8)


class PriceColumn(Column[float | None]):
    """Prices; None where a price is unknown.

    Parameters
    ----------
    values : float64 (n,), NaN where the price is unknown.
    """

    def __init__(self, values: np.ndarray) -> None:
        self.values, self._values = values, values.data

    def __len__(self) -> int:
        return len(self._values)

    def cell(self, row: int) -> float | None:
        """Return the price of a row."""
        price: float = self._values[row]
        return None if price != price else price  # NaN alone differs from itself
