"""Exact max-sim: every item is scored. The reference, and the faster way for small catalogues."""

from collections.abc import Sequence

import numpy as np

from index.search.heaps import NOTHING
from index.search.maxsim import EVERY_ROW, Allowed, Hits, MaxSimIndex, stacked
from index.search.scan import decode, scan

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
        return hits_of(self.vectors, heaps, users, n, excluded)


def hits_of(
    vectors: np.ndarray,
    keys: np.ndarray,
    users: Sequence[np.ndarray],
    n: int,
    excluded: Sequence[np.ndarray],
    sizes: np.ndarray | None = None,
) -> list[Hits]:
    """Decode the n best keys of each user to hits, without the excluded rows.

    Parameters
    ----------
    keys : int64 (users, N); their order changes.
    users, excluded : as those of `MaxSimIndex.find`.
    sizes : int64 (users,), how many keys of each count; None: all.
    """
    capsules, starts = stacked([as_queries(one) for one in users])
    rows_out, row_starts = stacked(excluded)
    shape = len(users), min(n, keys.shape[1])
    rows, scores, capsule = np.empty(shape, np.int64), np.empty(shape, np.float32), np.empty(shape, np.int64)
    counts = np.empty(len(users), np.int64)
    sizes = np.full(len(users), keys.shape[1]) if sizes is None else sizes
    decode(vectors, keys, sizes, capsules, starts, rows_out, row_starts, rows, scores, capsule, counts)
    return [
        Hits(rows[user, :count], scores[user, :count], capsule[user, :count])
        for user, count in enumerate(counts.tolist())
    ]


def best_of(vectors: np.ndarray, rows: np.ndarray, capsules: np.ndarray, n: int) -> Hits:
    """Score the items at `rows` (R,) exactly and keep the n best."""
    if not len(rows):
        return NO_HITS
    heaps = np.full((1, min(n, len(rows))), NOTHING)
    queries, starts = stacked([as_queries(capsules)])
    scan(vectors, rows.astype(np.int32), queries, starts, heaps)
    return hits_of(vectors, heaps, [capsules], n, [EVERY_ROW])[0]


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
