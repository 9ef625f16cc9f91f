"""The joint beam, compiled: one search over hnswlib's links for all capsules of a user."""

import numpy as np

from index.search.heaps import NOTHING, key_of, pop, push, row_of, sift_down
from index.search.prefetch import CACHE_LINE, prefetch_line
from mindstream.kernels.compiled import compiled, dot

__all__ = ["joint_beams"]

AHEAD = 4  # items between the one that is scored and the one that is asked for
STEP = CACHE_LINE // 4  # float32 in a cache line
LAST_STAMP = 253  # marks are uint8: 200,000 of them fit into the processor's second cache


@compiled()
def _offer(
    scores: np.ndarray,
    row: int,
    counts: bool,
    pools: np.ndarray,
    queues: np.ndarray,
    sizes: np.ndarray,
    width: int,
    first: int,
) -> None:
    """Offer a visited row to every beam; those for which it is good enough take it.

    Parameters
    ----------
    scores : float32 (K' + 1,), the row's score in each beam.
    counts : whether the row may be an answer; one that may not is a way to others only.
    pools : int64 (K' + 1, widest), heaps of the best keys found; those of single capsules hold `width`, the last more.
    queues : int64 (K' + 1, ...), heaps of negated keys that are still to be expanded.
    sizes : int64 (2, K' + 1), how many keys are in each pool and in each queue.
    """
    last = len(pools) - 1
    for beam in range(first, last + 1):
        key, size = key_of(scores[beam], row), sizes[0, beam]
        most = pools.shape[1] if beam == last else width
        if size == most and key <= pools[beam, 0]:
            continue
        if counts or beam < last:
            if size < most:
                push(pools, beam, size, key)
                sizes[0, beam] += 1
            else:
                sift_down(pools, beam, size, key)
        push(queues, beam, sizes[1, beam], -key)
        sizes[1, beam] += 1


@compiled()
def _prefetch(array: np.ndarray, row: int) -> None:
    """Begin to read one item."""
    for column in range(0, array.shape[1], STEP):
        prefetch_line(array, row, column)


@compiled()
def _visit(
    vectors: np.ndarray,
    near: np.ndarray,
    count: int,
    capsules: np.ndarray,
    allowed: np.ndarray,
    barred: np.ndarray,
    stamp: int,
    pools: np.ndarray,
    queues: np.ndarray,
    sizes: np.ndarray,
    width: int,
    first: int,
    scores: np.ndarray,
) -> None:
    """Score the first `count` rows of `near` for every beam, and offer them."""
    for place in range(min(AHEAD, count)):
        _prefetch(vectors, near[place])
    for place in range(count):
        if place + AHEAD < count:
            _prefetch(vectors, near[place + AHEAD])
        row = near[place]
        best = np.float32(-np.inf)
        for k in range(len(capsules)):
            scores[k] = dot(vectors, row, capsules, k)
            best = max(best, scores[k])
        scores[-1] = best
        counts = (len(allowed) == 0 or allowed[row]) and (len(barred) == 0 or barred[row] != stamp)
        _offer(scores, row, counts, pools, queues, sizes, width, first)


@compiled()
def _unseen(links: np.ndarray, at: int, seen: np.ndarray, stamp: int, near: np.ndarray) -> int:
    """Put those of links[at] that were not seen into `near`, and mark them; returns how many."""
    found = 0
    for place in range(links.shape[1]):
        row = links[at, place]
        if row < 0:
            break
        if seen[row] < stamp:
            seen[row] = stamp
            near[found] = row
            found += 1
    return found


@compiled()
def _joint_beam(
    vectors: np.ndarray,
    links: np.ndarray,
    entries: np.ndarray,
    capsules: np.ndarray,
    allowed: np.ndarray,
    barred: np.ndarray,
    seen: np.ndarray,
    stamp: int,
    pools: np.ndarray,
    queues: np.ndarray,
    width: int,
) -> int:
    """Search by a beam for one user, all capsules at once.

    Every visited item is read once and offered to K' + 1 beams.

    First a small beam for each capsule finds the capsule's own neighbourhood; then one large beam, by max-sim, goes on
    from all that they saw.

    Parameters
    ----------
    links : int32 (items, links), rows; -1 behind the last.
    entries : int32 (1, E), where every search begins.
    allowed : bool (items,), rows that may be answers; empty: all.
    barred : uint8 (items,), `stamp` at rows that may not.
    seen : uint8 (items,), becomes `stamp` at visited rows and `stamp` + 1 at expanded ones.
    pools, queues, width : see `_offer`; the last pool holds the answer.

    Returns
    -------
    How many keys are in the last pool; -1 if more items were to be visited than a queue holds.
    """
    last = len(capsules)
    sizes = np.zeros((2, last + 1), dtype=np.int64)
    scores = np.empty(last + 1, dtype=np.float32)
    near = np.empty(max(entries.shape[1], links.shape[1]), dtype=np.int32)
    visited = _unseen(entries, 0, seen, stamp, near)
    _visit(vectors, near, visited, capsules, allowed, barred, stamp, pools, queues, sizes, width, 0, scores)
    for beam in range(last + 1):
        most = pools.shape[1] if beam == last else width
        while sizes[1, beam]:
            key = -pop(queues, beam, sizes[1, beam])
            sizes[1, beam] -= 1
            if sizes[0, beam] == most and key < pools[beam, 0]:
                break
            row = row_of(key)
            if seen[row] > stamp:
                continue
            seen[row] = stamp + 1
            if sizes[1, beam]:
                _prefetch(links, row_of(-queues[beam, 0]))  # most likely the next
            found = _unseen(links, row, seen, stamp, near)
            visited += found
            if visited > queues.shape[1]:
                return -1
            _visit(vectors, near, found, capsules, allowed, barred, stamp, pools, queues, sizes, width, beam, scores)
    return int(sizes[0, last])


@compiled()
def _new_stamp(clock: np.ndarray, seen: np.ndarray, barred: np.ndarray) -> int:
    """Return a mark that is at no row; `clock` (1,) holds the last one.

    The marks are wiped when there are no more.
    """
    if clock[0] >= LAST_STAMP:
        seen[:] = 0
        barred[:] = 0
        clock[0] = 0
    clock[0] += 2
    return int(clock[0])


@compiled()
def joint_beams(
    vectors: np.ndarray,
    links: np.ndarray,
    entries: np.ndarray,
    capsules: np.ndarray,
    starts: np.ndarray,
    allowed: np.ndarray,
    excluded: np.ndarray,
    excluded_starts: np.ndarray,
    seen: np.ndarray,
    barred: np.ndarray,
    clock: np.ndarray,
    queues: np.ndarray,
    width: int,
    found: np.ndarray,
    counts: np.ndarray,
) -> None:
    """Run `_joint_beam` for many users.

    Parameters
    ----------
    capsules, starts : see `scan.scan`; `excluded` and `excluded_starts` likewise, rows that are no answers.
    found : int64 (users, ef), becomes the keys, in no order, NOTHING behind the last.
    counts : int64 (users,), becomes what `_joint_beam` returns.
    """
    found[:] = NOTHING
    pools = np.empty((len(queues), found.shape[1]), dtype=np.int64)
    for user in range(len(found)):
        mine = capsules[starts[user] : starts[user + 1]]
        stamp = _new_stamp(clock, seen, barred)
        rows = excluded[excluded_starts[user] : excluded_starts[user + 1]]
        for row in rows:
            barred[row] = stamp
        marks = barred if len(rows) else barred[:0]
        beams = len(mine) + 1
        counts[user] = _joint_beam(
            vectors, links, entries, mine, allowed, marks, seen, stamp, pools[:beams], queues[:beams], width
        )
        for place in range(max(counts[user], 0)):
            found[user, place] = pools[beams - 1, place]
