"""Exact max-sim: every item is scored. The reference, and the faster way for small catalogues."""

from collections.abc import Sequence

import numpy as np

from index.search.heaps import NOTHING, keys_decoded
from index.search.maxsim import EVERY_ROW, Allowed, Hits, MaxSimIndex, stacked
from index.search.scan import brought_by, scan

__all__ = ["ExactIndex", "as_queries", "best_of", "hits_of"]


class ExactIndex(MaxSimIndex):
    """Scores all items in one compiled scan.

    Parameters
    ----------
    vectors : float32 (items, d), the item table; it may be memory-mapped.
    warm : whether the machine code is loaded now; another index in this process may have done so.
    """

    kind = "exact"

    def __init__(self, vectors: np.ndarray, warm: bool = True) -> None:
        self.vectors = _table_of(vectors)
        if warm:
            _warm_up(self, vectors.shape[1])

    def find(
        self, users: Sequence[np.ndarray], n: int, excluded: Sequence[np.ndarray], allowed: Allowed | None
    ) -> list[Hits]:
        """See MaxSimIndex.find."""
        if not users or (allowed is not None and not len(allowed.rows)):
            return [NO_HITS] * len(users)
        most = len(self.vectors) if allowed is None else len(allowed.rows)
        heaps = np.full((len(users), min(n + max(map(len, excluded)), most)), NOTHING)
        capsules, starts = stacked([as_queries(one) for one in users])
        scan(self.vectors, EVERY_ROW if allowed is None else allowed.rows, capsules, starts, heaps)
        return [
            hits_of(self.vectors, keys, one, n, rows) for keys, one, rows in zip(heaps, users, excluded, strict=True)
        ]


def hits_of(vectors: np.ndarray, keys: np.ndarray, capsules: np.ndarray, n: int, excluded: np.ndarray) -> Hits:
    """Decode the n best keys to hits, without the excluded rows."""
    rows, scores = keys_decoded(keys)
    if len(excluded):
        keep = ~np.isin(rows, excluded)
        rows, scores = rows[keep], scores[keep]
    capsule = np.empty(min(n, len(rows)), dtype=np.int64)
    brought_by(vectors, rows[:n], as_queries(capsules), capsule)
    return Hits(rows[:n], scores[:n], capsule)


def best_of(vectors: np.ndarray, rows: np.ndarray, capsules: np.ndarray, n: int) -> Hits:
    """Score the items at `rows` (R,) exactly and keep the n best."""
    if not len(rows):
        return NO_HITS
    heaps = np.full((1, min(n, len(rows))), NOTHING)
    queries, starts = stacked([as_queries(capsules)])
    scan(vectors, rows.astype(np.int32), queries, starts, heaps)
    return hits_of(vectors, heaps[0], capsules, n, EVERY_ROW)


def _table_of(vectors: np.ndarray) -> np.ndarray:
    """Return the item table as compiled code wants it: contiguous and read-only.

    Memory-mapped tables are read-only too, and one kind is compiled once.
    """
    view = np.ascontiguousarray(vectors, dtype=np.float32).view()
    view.flags.writeable = False
    return view


def as_queries(capsules: np.ndarray) -> np.ndarray:
    """Return capsules as compiled code wants them."""
    queries = np.ascontiguousarray(capsules, dtype=np.float32)
    return queries if queries.flags.writeable else queries.copy()


NO_HITS = Hits(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32), np.empty(0, dtype=np.int64))


def _warm_up(index: "ExactIndex", dim: int) -> None:
    """Load the machine code now, or compile it the first time: no user waits for it."""
    if len(index.vectors):
        index.search(np.zeros((1, dim), dtype=np.float32), 1)
