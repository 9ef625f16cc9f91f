"""A bundle's index and, in the rows behind its own, newer items that are scanned exactly: neither is copied."""

from collections.abc import Sequence

import numpy as np

from index.search.exact import ExactIndex
from index.search.maxsim import Allowed, Hits, MaxSimIndex

__all__ = ["OverlaidIndex", "StackedVectors"]


class OverlaidIndex(MaxSimIndex):
    """Searches both, and merges what they found.

    Parameters
    ----------
    base : of the rows from 0 on; `items` are its own.
    newer : of the rows behind them.
    """

    def __init__(self, base: MaxSimIndex, newer: ExactIndex) -> None:
        self.kind, self.vectors = base.kind, base.vectors
        self.base, self.newer = base, newer

    def find(
        self, users: Sequence[np.ndarray], n: int, excluded: Sequence[np.ndarray], allowed: Allowed | None
    ) -> list[Hits]:
        """See MaxSimIndex.find."""
        size = len(self.vectors)
        below, behind = (None, None) if allowed is None else allowed.split(size)
        if below is not None and below.is_all:  # as it is where some of the newer ones were put again
            below = None
        known = self.base.find(users, n, [rows[rows < size] for rows in excluded], below)
        new = self.newer.find(users, n, [rows[rows >= size] - size for rows in excluded], behind)
        return [_merged(one, other, size, n) for one, other in zip(known, new, strict=True)]


def _merged(known: Hits, new: Hits, size: int, n: int) -> Hits:
    """Merge the n best of both; equal scores by row."""
    scores = np.concatenate([known.scores, new.scores])
    order = np.argsort(-scores, kind="stable")[:n]  # those of each stand in order, and all of the first before
    return Hits(
        np.concatenate([known.rows, new.rows + size])[order],
        scores[order],
        np.concatenate([known.capsule, new.capsule])[order],
    )


class StackedVectors:
    """Two item tables, float32 (items, d), as one: the rows of the second lie behind those of the first."""

    def __init__(self, first: np.ndarray, second: np.ndarray) -> None:
        self.first, self.second = first, second

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """Return the vectors of rows (R,), float32 (R, d)."""
        size = len(self.first)
        found = np.empty((len(rows), self.first.shape[1]), dtype=np.float32)
        behind = rows >= size
        found[~behind] = self.first[rows[~behind]]
        found[behind] = self.second[rows[behind] - size]
        return found
