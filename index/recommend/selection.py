"""From the best candidates to those that are shown: quotas, categories that vary, no near-duplicates."""

import math
from collections.abc import Callable, Iterator

import numpy as np

from index.recommend.cancellation import Cancellation
from index.recommend.request import Request
from index.search.maxsim import Hits
from index.search.overlaid_index import StackedVectors
from mindstream.kernels.compiled import compiled, dot

__all__ = ["choose_greedily", "pool_size", "pool_sizes", "select_candidates"]

POOL = 4  # candidates to choose from, as a multiple of n
GROWTH = 4  # as many times more are fetched if too few of them could be chosen
MOST_POOL = 64  # so many times n at most: a request that nothing fulfils must not copy the whole catalogue
FEW = 4_096  # but so many in any case
NO_LIMIT = np.iinfo(np.int64).max


def select_candidates(
    fetch: Callable[[int], Hits],
    request: Request,
    vectors: np.ndarray | StackedVectors,
    category: np.ndarray,
    importance: np.ndarray,
    cancellation: Cancellation | None = None,
) -> Hits:
    """Select the n candidates that a request asks for.

    Fewer come back if no others of the best 64 n (or 4,096) are right.

    Parameters
    ----------
    fetch : gives the best N hits that may come back, fewer if there are no more.
    vectors : float32 (items, d), the vector of each item.
    category : int32 (items,), -1 if it is not known.
    importance : float (K',), of the user's interests; empty for popular items.
    cancellation : by which others stop it; None: nobody does.

    Raises
    ------
    CancelledWorkError
        If it was stopped.
    """
    cancellation = cancellation or Cancellation()
    for size, is_last in pool_sizes(request):
        cancellation.check()
        hits = fetch(size)
        good = _above(hits, request.min_score if len(importance) else None)
        chosen = (
            good if request.is_plain else choose_greedily(good, request, vectors, category, importance, cancellation)
        )
        is_all = len(good.rows) < size or is_last
        if is_all or len(chosen.rows) == request.n or _is_full(chosen, request, importance):
            break
    return chosen


def pool_sizes(request: Request) -> Iterator[tuple[int, bool]]:
    """List how many candidates are fetched at first, and then if too few were chosen.

    With each comes whether no more are fetched after it.
    """
    size, most = pool_size(request), max(MOST_POOL * request.n, FEW)
    while size < most:
        yield size, False
        size *= GROWTH
    yield most, True


def _is_full(chosen: Hits, request: Request, importance: np.ndarray) -> bool:
    """Tell whether every interest has brought all that it may."""
    return len(importance) > 0 and len(chosen.rows) >= np.minimum(_quotas(request, importance), request.n).sum()


def pool_size(request: Request) -> int:
    """Return how many candidates are fetched at first."""
    return request.n if request.is_plain else POOL * request.n


def _above(hits: Hits, min_score: float | None) -> Hits:
    """Return the hits that have the score at least; they are in the order of their scores."""
    return hits if min_score is None else hits.take(np.flatnonzero(hits.scores >= min_score))


def choose_greedily(
    hits: Hits,
    request: Request,
    vectors: np.ndarray | StackedVectors,
    category: np.ndarray,
    importance: np.ndarray,
    cancellation: Cancellation | None = None,
) -> Hits:
    """Choose greedily among hits; see Request.

    Raises
    ------
    CancelledWorkError
        If it was stopped.
    """
    cancellation = cancellation or Cancellation()
    chosen = np.empty(min(request.n, len(hits.rows)), dtype=np.int64)
    of_hits = (
        _unit_vectors(vectors[hits.rows]) if request.max_cosine is not None else np.empty((0, 0), dtype=np.float32)
    )
    count = _greedy(
        hits.scores.astype(np.float64),
        hits.capsule,
        category[hits.rows],
        of_hits,
        _quotas(request, importance),
        float(request.diversity),
        np.float32(1 if request.max_cosine is None else request.max_cosine),
        chosen,
        cancellation.flag,
    )
    cancellation.check()
    return hits.take(chosen[:count])


def _quotas(request: Request, importance: np.ndarray) -> np.ndarray:
    """Return how many candidates each interest may bring, int64 (K',)."""
    most = np.full(len(importance), request.quota or NO_LIMIT, dtype=np.int64)
    if request.by_importance:
        shares = [max(1, math.ceil(request.n * round(float(share), 6))) for share in importance]
        most = np.minimum(most, np.array(shares, dtype=np.int64))
    return most


def _unit_vectors(vectors: np.ndarray) -> np.ndarray:
    """Return float32 (N, d) of length 1; zeros stay zeros."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.ascontiguousarray(vectors / np.where(lengths > 0, lengths, 1), dtype=np.float32)


@compiled()
def _greedy(
    scores: np.ndarray,
    capsule: np.ndarray,
    category: np.ndarray,
    vectors: np.ndarray,
    quota: np.ndarray,
    diversity: float,
    max_cosine: np.float32,
    chosen: np.ndarray,
    stop: np.ndarray,
) -> int:
    """Choose places one by one, each time the one that is worth most now; return how many.

    What is chosen until `stop` (bool, 1) is set is of no use.

    The value of a set is the sum of its scores and `diversity` for each pair from different categories (Cen et al.,
    "Controllable Multi-Interest Framework for Recommendation", KDD 2020, equations 7 to 9). Adding an item to a set of
    m items, c of them of its category, adds its score + diversity * (m - c); m is the same for all, so c is subtracted.
    An unknown category is like no other.
    """
    value, left = scores.copy(), np.ones(len(scores), dtype=np.bool_)
    brought = np.zeros(len(quota), dtype=np.int64)
    count, first = 0, 0
    while count < len(chosen) and not stop[0]:
        while first < len(left) and not left[first]:
            first += 1
        if first == len(left):
            break
        best = first
        if diversity > 0:
            for place in range(first + 1, len(value)):
                if left[place] and value[place] > value[best]:
                    best = place
        left[best] = False
        # Where all are looked at for the best, those that may not come are struck out as soon as that is known.
        if diversity == 0 and len(vectors) and _is_near(vectors, best, chosen[:count], max_cosine):
            continue
        chosen[count] = best
        count += 1
        mine = capsule[best]
        if mine >= 0:
            brought[mine] += 1
            if brought[mine] == quota[mine]:
                left[capsule == mine] = False
        if diversity > 0:
            for place in range(first, len(value)):
                if category[best] >= 0 and category[place] == category[best]:
                    value[place] -= diversity
                if len(vectors) and left[place] and dot(vectors, place, vectors, best) > max_cosine:
                    left[place] = False
    return count


@compiled()
def _is_near(vectors: np.ndarray, place: int, chosen: np.ndarray, max_cosine: np.float32) -> bool:
    """Tell whether a vector has a larger cosine than that to one that was chosen.

    All are of length 1.
    """
    for other in chosen:  # noqa: SIM110  numba has no any()
        if dot(vectors, place, vectors, other) > max_cosine:
            return True
    return False
