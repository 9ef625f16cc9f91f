"""The work that a request may need, estimated before it is done: an upper bound, in seconds of one core."""

from dataclasses import dataclass, replace

from index.recommend.request import Request
from index.recommend.selection import pool_size, pool_sizes
from model_export.bundle.bundle import Manifest

__all__ = ["WorkSize", "estimated_s", "fitting_n"]

# Seconds of each step on one common core, as measured over 20,000 items with d = 64 and K = 4.
ENCODE_S = 4e-4  # a user whose capsules are made anew
SCAN_S = 1.5e-10  # a number of an item's vector, times one of an interest
FETCH_S = 3e-7  # a candidate that a search finds
EXCLUDE_S = 4e-7  # an item that is left out
LOOK_S = 2.5e-9  # a candidate that is compared by worth and category with one that was chosen
COSINE_S = 1.5e-10  # a number of its vector, times one of the other's
ANSWER_S = 3e-6  # a candidate that is written
RANK_S = 1.2e-5  # a candidate that is ranked
REASON_S = 16 * RANK_S  # one whose reasons are found: it is scored anew without each feature

EXACT_UP_TO = 20_000  # items: so many are all looked at
LINKS = 32  # items that a beam looks at for each that it keeps


@dataclass(frozen=True)
class WorkSize:
    """What the work of any request grows with.

    Attributes
    ----------
    items, dim, interests : n, d and K of the bundle.
    newer : items that it does not know; each search looks at all of them.
    ranked : candidates that are ranked unless a request says otherwise; 0: there is no ranker.
    """

    items: int
    dim: int
    interests: int
    newer: int = 0
    ranked: int = 0

    @classmethod
    def of(cls, manifest: Manifest, newer: int = 0) -> "WorkSize":
        """Read the sizes of a bundle, with so many newer items over it."""
        ranked = manifest.ranker.get("candidates", 0)
        return cls(manifest.items, manifest.dim, manifest.num_interests, newer, ranked)

    @property
    def rows(self) -> int:
        """Return how many items there are."""
        return self.items + self.newer


def estimated_s(request: Request, users: int, size: WorkSize) -> float:
    """Estimate the most seconds of one core that a request needs for so many users.

    The worst is taken: every pool is fetched that a request may come to, and each user's capsules are made anew.
    """
    left_out = len(request.exclude)
    pools = [pool for pool, _ in pool_sizes(request)] if _may_grow(request) else [next(pool_sizes(request))[0]]
    one = ENCODE_S + EXCLUDE_S * left_out + ANSWER_S * min(request.n, size.rows)
    if ranked := _ranked(request, size):
        one += ranked * RANK_S + (min(request.n, ranked) * REASON_S if request.why else 0.0)
        pools = [max(pools[0], ranked)]
    for pool in pools:
        found = min(pool + left_out, size.rows)
        one += _search_s(found, size) + _choose_s(request, min(pool, size.rows), size)
    return one * users


def fitting_n(request: Request, size: WorkSize, limit_s: float) -> int:
    """Return the largest n with which one user is within a limit; 0: none is."""
    low, high = 0, request.n
    while low < high:
        middle = (low + high + 1) // 2
        if estimated_s(replace(request, n=middle), 1, size) <= limit_s:
            low = middle
        else:
            high = middle - 1
    return low


def _ranked(request: Request, size: WorkSize) -> int:
    """Return how many candidates are ranked."""
    if not size.ranked or not request.rank:
        return 0
    return min(max(pool_size(request), request.candidates or size.ranked), size.rows)


def _may_grow(request: Request) -> bool:
    """Tell whether more candidates may be fetched, since some of the first must not be chosen."""
    return request.quota is not None or request.by_importance or request.max_cosine is not None


def _search_s(found: int, size: WorkSize) -> float:
    """Estimate a search for so many items.

    It is a scan of all, or of those that a beam looks at, and of the newer ones.
    """
    scanned = min(size.items, max(EXACT_UP_TO, LINKS * found)) + size.newer
    return scanned * size.interests * size.dim * SCAN_S + found * FETCH_S


def _choose_s(request: Request, pool: int, size: WorkSize) -> float:
    """Estimate a greedy choice: with diversity all are looked at anew for each that is chosen."""
    if request.is_plain:
        return 0.0
    rounds = min(request.n, pool)
    looks = pool * rounds * LOOK_S if request.diversity else 0.0
    return looks + (pool * rounds * size.dim * COSINE_S if request.max_cosine is not None else 0.0)
