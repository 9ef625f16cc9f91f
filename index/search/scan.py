"""Exact max-sim, compiled: every item is read once and scored with all capsules, and the best are kept in a heap."""

import numpy as np

from index.search.heaps import compiled, dot, key_of, sift_down

__all__ = ["brought_by", "scan"]

BLOCK = 256  # items that stay in the processor's cache while all users of a call are scored


@compiled()
def _best_score(vectors: np.ndarray, row: int, capsules: np.ndarray, begin: int, end: int) -> np.float32:
    """Return the max-sim of an item to the capsules from `begin` to `end`."""
    best: np.float32 = dot(vectors, row, capsules, begin)
    for k in range(begin + 1, end):
        best = max(best, dot(vectors, row, capsules, k))
    return best


@compiled()
def scan(vectors: np.ndarray, rows: np.ndarray, capsules: np.ndarray, starts: np.ndarray, heaps: np.ndarray) -> None:
    """Find the best keys of many users, exactly.

    Parameters
    ----------
    vectors : float32 (items, d).
    rows : int32 (R,), rows to look at; empty: all.
    capsules : float32 (sum of K', d); user u has those from starts[u] to starts[u + 1].
    heaps : int64 (users, N), filled with NOTHING; in the end the best keys, as a heap.
    """
    everything = len(rows) == 0
    count = len(vectors) if everything else len(rows)
    size = heaps.shape[1]
    for begin in range(0, count, BLOCK):
        for user in range(len(heaps)):
            first, last = starts[user], starts[user + 1]
            for place in range(begin, min(begin + BLOCK, count)):
                row = place if everything else rows[place]
                key = key_of(_best_score(vectors, row, capsules, first, last), row)
                if key > heaps[user, 0]:
                    sift_down(heaps, user, size, key)


@compiled()
def brought_by(vectors: np.ndarray, rows: np.ndarray, capsules: np.ndarray, capsule: np.ndarray) -> None:
    """Write the capsule that brought each item at `rows` (R,).

    It has the largest inner product; of equal ones it is the first.
    """
    for place in range(len(rows)):
        best = dot(vectors, rows[place], capsules, 0)
        capsule[place] = 0
        for k in range(1, len(capsules)):
            score = dot(vectors, rows[place], capsules, k)
            if score > best:
                best = score
                capsule[place] = k
