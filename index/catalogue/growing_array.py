"""An array that grows at its end: what was read of it before stays as it was."""

from typing import Any

import numpy as np

__all__ = ["GrowingArray"]

LEAST = 4  # elements that there is room for


class GrowingArray:
    """Elements that are only ever added; one thread adds, any number read those that were there.

    Parameters
    ----------
    dtype, shape : of one element.
    """

    def __init__(self, dtype: Any, shape: tuple[int, ...] = ()) -> None:
        self._data = np.zeros((LEAST, *shape), dtype=dtype)
        self.size = 0

    @classmethod
    def of(cls, elements: np.ndarray) -> "GrowingArray":
        """Make one that begins with these elements; they are not copied."""
        made = cls(elements.dtype, elements.shape[1:])
        made._data, made.size = elements, len(elements)
        return made

    def append(self, element: Any) -> None:
        """Add an element.

        Room is doubled where there is none, so that each costs the same on average.
        """
        if self.size == len(self._data):
            grown = np.zeros((max(LEAST, 2 * self.size), *self._data.shape[1:]), dtype=self._data.dtype)
            grown[: self.size] = self._data
            self._data = grown
        self._data[self.size] = element
        self.size += 1

    def first(self, count: int) -> np.ndarray:
        """Return the first elements, (count, ...), which never change."""
        return self._data[:count]

    def below(self, number: int) -> np.ndarray:
        """Return the elements below a number, where they are ascending ones."""
        known = self._data[: self.size]
        return known[: np.searchsorted(known, number)]
