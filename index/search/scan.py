"""Exact max-sim, compiled: every item is read once and scored with all capsules, and the best are kept in a heap."""

import numpy as np

from index.search.heaps import NOTHING, key_of, row_of, score_of, sift_down
from mindstream.kernels.compiled import compiled, dot

__all__ = ["decode", "scan"]

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
def _brought_by(vectors: np.ndarray, row: int, capsules: np.ndarray, begin: int, end: int) -> int:
    """Return the capsule that brought an item, counted from `begin`.

    It has the largest inner product; of equal ones it is the first.
    """
    found, best = 0, dot(vectors, row, capsules, begin)
    for k in range(begin + 1, end):
        score = dot(vectors, row, capsules, k)
        if score > best:
            found, best = k - begin, score
    return found


@compiled()
def decode(
    vectors: np.ndarray,
    keys: np.ndarray,
    sizes: np.ndarray,
    capsules: np.ndarray,
    starts: np.ndarray,
    excluded: np.ndarray,
    excluded_starts: np.ndarray,
    rows: np.ndarray,
    scores: np.ndarray,
    capsule: np.ndarray,
    counts: np.ndarray,
) -> None:
    """Decode the best keys of many users, the best first, without excluded rows.

    Parameters
    ----------
    vectors : float32 (items, d).
    keys : int64 (users, N), in no order; those of a user are sorted.
    sizes : int64 (users,), how many of a user's keys count.
    capsules, starts : as those of `scan`.
    excluded : int32, ascending for each user; user u has those from excluded_starts[u] to excluded_starts[u + 1].
    rows, scores, capsule : int64, float32, int64 (users, n), where they are written to.
    counts : int64 (users,), where it is written how many there are of each.
    """
    for user in range(len(keys)):
        ordered = keys[user, : sizes[user]]
        ordered.sort()
        barred = excluded[excluded_starts[user] : excluded_starts[user + 1]]
        count = 0
        for place in range(len(ordered) - 1, -1, -1):
            if ordered[place] == NOTHING or count == rows.shape[1]:
                break
            row = row_of(ordered[place])
            at = np.searchsorted(barred, row) if len(barred) else 0
            if at < len(barred) and barred[at] == row:
                continue
            rows[user, count] = row
            scores[user, count] = score_of(ordered[place])
            capsule[user, count] = _brought_by(vectors, row, capsules, starts[user], starts[user + 1])
            count += 1
        counts[user] = count
