"""Max-sim top-N: what every index answers, and the interface they share.

An item's score for a user is the maximum over the user's capsules of the inner product with the item.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

import numpy as np

NO_ROWS: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Hits:
    """The best items, best first; equal scores by row. Every item stands here once.

    Attributes
    ----------
    rows : int64 (N,), rows in the item table.
    scores : float32 (N,), max over capsules of the inner product.
    capsule : int64 (N,), the capsule that gave the maximum: which interest brought the item.
    """

    rows: np.ndarray
    scores: np.ndarray
    capsule: np.ndarray


class MaxSimIndex(Protocol):
    """Finds the items with the largest max-sim."""

    kind: str

    def search(self, capsules: np.ndarray, n: int, exclude: Collection[int] = NO_ROWS) -> Hits:
        """The top N items for one user.

        Parameters
        ----------
        capsules : float32 (K', d), K' >= 1.
        n : how many; fewer come back only where the table has no more that are not excluded.
        exclude : rows that must not come back.

        Raises
        ------
        ValueError
            If n is below 1 or the capsules do not fit the items.
        """
        ...


def check_query(capsules: np.ndarray, n: int, dim: int) -> None:
    """Raise ValueError unless this can be searched for."""
    if n < 1:
        raise ValueError(f"n is {n}; it must be at least 1")
    if capsules.ndim != 2 or capsules.shape[1] != dim or not len(capsules):
        raise ValueError(f"capsules are of shape {capsules.shape}; right is (K', {dim}) with K' at least 1")


def best_of(items: np.ndarray, rows: np.ndarray, capsules: np.ndarray, n: int) -> Hits:
    """Score the items at `rows` (R,) exactly and keep the n best.

    `items` float32 (items, d), `capsules` float32 (K', d).
    """
    scores = items[rows] @ capsules.T  # (R, K')
    capsule = scores.argmax(1)  # (R,)
    best = scores[np.arange(len(rows)), capsule]
    kept = largest(best, n)
    order = kept[np.lexsort((rows[kept], -best[kept]))]
    return Hits(rows[order].astype(np.int64), best[order].astype(np.float32), capsule[order])


def largest(scores: np.ndarray, n: int) -> np.ndarray:
    """Places of the n largest scores, in no order; of equal ones at the edge, the first places."""
    if n >= len(scores):
        return np.arange(len(scores))
    edge = np.partition(scores, len(scores) - n)[len(scores) - n]
    above = np.flatnonzero(scores > edge)
    return np.concatenate([above, np.flatnonzero(scores == edge)[: n - len(above)]])
