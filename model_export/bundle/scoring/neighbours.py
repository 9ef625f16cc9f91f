"""The neighbours that co-occurrence knows, from item-kNN: a second source of candidates and of score.

A bundle may have the most similar items of each item, as item-kNN knows them (item_knn.py). An item's neighbour score
for a history is the sum over the last `length` behaviours of

    similarity(behaviour, item) * decay^age       age 0 is the last behaviour

What it adds to the item's score is that sum as a share of the user's largest, to a power, times a weight which the
validation users have chosen. So the weight says what a user's best neighbour is worth beside max-sim, whatever the log;
with a large one neighbours come first, in item-kNN's own order.
"""

from dataclasses import dataclass

import numpy as np

from model_export.bundle.scoring.raised_items import NO_ITEMS, RaisedItems

__all__ = ["Blend", "NeighbourScores"]


@dataclass(frozen=True)
class Blend:
    """How neighbours count beside max-sim; the bundle's manifest has it.

    Attributes
    ----------
    weight : what the best neighbour of a user gets on top of its max-sim; 0 where neighbours do not help.
    decay : weight of each step back in the history, above 0 to 1.
    length : behaviours of a history that count, the most recent.
    power : of a neighbour's share of the user's largest score, above 0.
    """

    weight: float
    decay: float
    length: int
    power: float = 1.0

    def __post_init__(self) -> None:
        right = {
            "weight": (0 <= self.weight < np.inf, "a finite number, at least 0"),
            "decay": (0 < self.decay <= 1, "above 0, and at most 1"),
            "length": (self.length >= 1, "at least 1"),
            "power": (0 < self.power < np.inf, "a finite number above 0"),
        }
        for name, (is_right, rule) in right.items():
            if not is_right:
                raise ValueError(f"{name} of the blend is {getattr(self, name)}; it must be {rule}")


@dataclass(frozen=True, eq=False)
class NeighbourScores:
    """The most similar items of each item, and how they count.

    Attributes
    ----------
    rows : int32 (items, M), rows of the item table, the most similar first; -1 behind the last. An item is among its
        own neighbours where people come back to what they had.
    similarity : float32 (items, M), not negative; 0 behind the last.
    """

    rows: np.ndarray
    similarity: np.ndarray
    blend: Blend

    def raised(self, history: np.ndarray) -> RaisedItems:
        """Return the neighbours of a history, and what each gets on top of its max-sim.

        Parameters
        ----------
        history : int64 (T,), item rows, oldest first; the last `length` count.
        """
        near, each, _ = self._of(history)
        if not each.max(initial=0.0) > 0:
            return NO_ITEMS
        # A sort of numbers that have the item and the place is much faster than one that gives the order.
        bits = len(near).bit_length()
        keys = np.sort((near.astype(np.int64) << bits) | np.arange(len(near)))
        rows = keys >> bits
        first = np.flatnonzero(np.diff(rows, prepend=-1))
        sums = np.add.reduceat(each[keys & ((1 << bits) - 1)], first)
        bonus = self.blend.weight * (sums / sums.max()) ** self.blend.power
        return RaisedItems(rows[first], bonus.astype(np.float32))

    def because(self, history: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return the behaviour that did most for each item as its neighbour.

        Parameters
        ----------
        history : int64 (T,), see `raised`.
        rows : int64 (N,), items, each once.

        Returns
        -------
        int64 (N,), the rows of the behaviours; -1 for items that are no neighbours of another item
        """
        near, each, behaviour = self._of(history)
        others = near != behaviour  # that somebody took an item before is no reason of this kind
        near, each, behaviour = near[others], each[others], behaviour[others]
        asked = np.argsort(rows)
        places = np.minimum(np.searchsorted(rows, near, sorter=asked), len(rows) - 1)
        is_asked = rows[asked[places]] == near if len(rows) else np.zeros(len(near), dtype=bool)
        near, each, behaviour = asked[places[is_asked]], each[is_asked], behaviour[is_asked]
        order = np.argsort(each, kind="stable")  # of several for one item, the last to be written stays
        found = np.full(len(rows), -1)
        found[near[order]] = behaviour[order]
        return found

    def _of(self, history: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the neighbours (R,) of each behaviour, how much they count, and whose they are."""
        last = history[-self.blend.length :] if self.blend.weight else history[:0]
        ages = np.arange(len(last))[::-1, None]
        near = self.rows[last]  # (T, M)
        each = self.similarity[last] * self.blend.decay**ages  # (T, M)
        is_item = near >= 0
        return near[is_item], each[is_item], np.broadcast_to(last[:, None], near.shape)[is_item]
