"""Max-sim top-N: what every index answers, and the interface they share.

An item's score for a user is the maximum over the user's capsules of the inner product with the item.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

__all__ = ["EVERY_ROW", "NO_ROWS", "Allowed", "Hits", "MaxSimIndex", "stacked"]

NO_ROWS: frozenset[int] = frozenset()
EVERY_ROW = np.empty(0, dtype=np.int32)  # compiled code takes no rows for all


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

    def take(self, places: np.ndarray) -> "Hits":
        """Return those at some places."""
        return Hits(self.rows[places], self.scores[places], self.capsule[places])


@dataclass(frozen=True, eq=False)
class Allowed:
    """The rows that may be answers, of all in the table: bool (items,)."""

    mask: np.ndarray

    @cached_property
    def rows(self) -> np.ndarray:
        """Return the allowed rows, int32 (R,), ascending."""
        return np.flatnonzero(self.mask).astype(np.int32)

    @cached_property
    def is_all(self) -> bool:
        """Return whether every row is allowed."""
        return bool(self.mask.all())

    def split(self, row: int) -> tuple["Allowed", "Allowed"]:
        """Split at a row: the rows before it and those from it on, each numbered from 0."""
        if row not in self._halves:
            self._halves[row] = Allowed(self.mask[:row]), Allowed(self.mask[row:])
        return self._halves[row]

    @cached_property
    def _halves(self) -> dict[int, tuple["Allowed", "Allowed"]]:
        """Keep what was split as long as the whole, which the next request may ask for again."""
        return {}


class MaxSimIndex(ABC):
    """Finds the items with the largest max-sim. Each kind has its own `find`; what callers give is checked here.

    Attributes
    ----------
    vectors : float32 (items, d), the item table.
    """

    kind: str
    vectors: np.ndarray

    def search_many(
        self,
        users: Sequence[np.ndarray],
        n: int,
        exclude: Sequence[Collection[int]] = (),
        allowed: Allowed | None = None,
    ) -> list[Hits]:
        """Find the top N items of many users, in their order.

        Parameters
        ----------
        users : capsules of each, float32 (K', d), K' >= 1.
        n : how many; fewer come back only if the table has no more that may come back.
        exclude : rows that must not come back, of each user; none given: nothing is excluded.
        allowed : the only rows that may come back, for all users; None: all.

        Raises
        ------
        ValueError
            If n is below 1 or capsules do not fit the items.
        """
        for capsules in users:
            _check_query(capsules, n, self.vectors.shape[1])
        excluded = [_as_rows(rows) for rows in exclude] or [EVERY_ROW] * len(users)
        return self.find(users, n, excluded, allowed)

    def search(
        self, capsules: np.ndarray, n: int, exclude: Collection[int] = NO_ROWS, allowed: Allowed | None = None
    ) -> Hits:
        """Search like `search_many` for one user."""
        return self.search_many([capsules], n, [exclude], allowed)[0]

    @abstractmethod
    def find(
        self, users: Sequence[np.ndarray], n: int, excluded: Sequence[np.ndarray], allowed: Allowed | None
    ) -> list[Hits]:
        """Search like `search_many`, for what was checked.

        `excluded` are int32 rows (R,) of each user.
        """


def _check_query(capsules: np.ndarray, n: int, dim: int) -> None:
    """Raise ValueError unless this can be searched for."""
    if n < 1:
        raise ValueError(f"n is {n}; it must be at least 1")
    if capsules.ndim != 2 or capsules.shape[1] != dim or not len(capsules):
        raise ValueError(f"capsules are of shape {capsules.shape}; right is (K', {dim}) with K' at least 1")
    if not np.isfinite(capsules).all():
        raise ValueError("capsules hold NaN or infinite numbers; right are finite ones")


def stacked(arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Concatenate arrays, and return where each starts too: int64 (arrays + 1,)."""
    if len(arrays) == 1:
        return arrays[0], np.array([0, len(arrays[0])])
    starts = np.zeros(len(arrays) + 1, dtype=np.int64)
    np.cumsum([len(one) for one in arrays], out=starts[1:])
    return np.concatenate(arrays), starts


def _as_rows(rows: Collection[int]) -> np.ndarray:
    """Return any rows as int32 (R,), ascending."""
    return np.array(sorted(rows), dtype=np.int32) if len(rows) else EVERY_ROW
