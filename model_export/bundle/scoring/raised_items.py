"""The items that get something on top of max-sim: a user's own, and the neighbours of the history.

The score of an item is max_k v_k e_i and what it is raised by. Few items are raised, so a search for max-sim, and then
these one by one, is exact.
"""

from typing import NamedTuple

import numpy as np

__all__ = ["NO_ITEMS", "RaisedItems", "scores_of", "together"]


class RaisedItems(NamedTuple):
    """Items of one user, and what is added to the score of each.

    Attributes
    ----------
    rows : int64 (R,), rows of the item table, ascending, each once.
    bonus : float32 (R,).
    """

    rows: np.ndarray
    bonus: np.ndarray

    def take(self, places: np.ndarray) -> "RaisedItems":
        """Return those at some places."""
        return RaisedItems(self.rows[places], self.bonus[places])

    def of(self, rows: np.ndarray) -> np.ndarray:
        """Return the bonus of some items, float32 (N,); 0 for those that are not raised."""
        if not len(self.rows):
            return np.zeros(len(rows), dtype=np.float32)
        places = np.minimum(np.searchsorted(self.rows, rows), len(self.rows) - 1)
        return np.where(self.rows[places] == rows, self.bonus[places], np.float32(0))

    @property
    def lowered(self) -> np.ndarray:
        """Return the rows whose bonus is below zero, int64."""
        return self.rows[self.bonus < 0]

    def spread(self, num_items: int) -> np.ndarray:
        """Return the bonus of all items, float32 (items,); 0 for those that are not raised."""
        bonus = np.zeros(num_items, dtype=np.float32)
        bonus[self.rows] = self.bonus
        return bonus


NO_ITEMS = RaisedItems(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32))


def together(one: RaisedItems, other: RaisedItems) -> RaisedItems:
    """Return the items of both; who is in both gets the sum."""
    if not len(one.rows) or not len(other.rows):
        return one if len(one.rows) else other
    rows, places = np.unique(np.concatenate([one.rows, other.rows]), return_inverse=True)
    bonus = np.bincount(places, np.concatenate([one.bonus, other.bonus]))
    return RaisedItems(rows, bonus.astype(np.float32))


def scores_of(products: np.ndarray, bonus: np.ndarray | float = 0.0) -> np.ndarray:
    """Return the scores of items: max-sim, and what each is raised by.

    Parameters
    ----------
    products : float32 (K', N), inner products of the capsules and the items.
    bonus : float32 (N,), of each item; 0 for items that are not raised.

    Returns
    -------
    float32 (N,).
    """
    return np.asarray(products.max(0) + bonus, dtype=np.float32)
