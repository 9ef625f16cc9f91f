"""The items of a user's own history among the candidates, with what the model gives them on top of max-sim."""

from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from index.search.maxsim import Allowed, Hits
from index.search.overlaid import Tables

__all__ = ["OwnItems", "with_own"]


class OwnItems(NamedTuple):
    """Items of the history: int64 rows (R,), and what each gets, float32 (R,)."""

    rows: np.ndarray
    bonus: np.ndarray

    def that_may(self, excluded: Collection[int], allowed: Allowed | None) -> "OwnItems":
        """Those that may come back."""
        may = np.ones(len(self.rows), dtype=bool) if allowed is None else allowed.mask[self.rows]
        may &= ~np.isin(self.rows, np.fromiter(excluded, dtype=np.int64))
        return OwnItems(self.rows[may], self.bonus[may])


def with_own(hits: Hits, own: OwnItems, items: np.ndarray | Tables, capsules: np.ndarray, n: int) -> Hits:
    """The n best of hits and of a user's own items, which must not be among the hits.

    Parameters
    ----------
    items : float32 (items, d).
    capsules : float32 (K', d).
    """
    if not len(own.rows):
        return hits
    scores = items[own.rows] @ capsules.T  # (R, K')
    capsule = scores.argmax(1)
    found = Hits(
        np.concatenate([hits.rows, own.rows]),
        np.concatenate([hits.scores, scores.max(1) + own.bonus]).astype(np.float32),
        np.concatenate([hits.capsule, capsule]),
    )
    return found.take(np.lexsort((found.rows, -found.scores))[:n])
