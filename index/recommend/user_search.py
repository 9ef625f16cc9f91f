"""The search for one user: the best items by max-sim, and among them those that the user's history raises."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np

from index.recommend.filters import AskedUser, ResolvedRequest
from index.recommend.request import Request
from index.recommend.selection import pool_size
from index.search.maxsim import Allowed, Hits, MaxSimIndex
from index.search.overlaid_index import StackedVectors
from model_export.bundle.scoring.history_raises import raised_by
from model_export.bundle.scoring.neighbours import NeighbourScores
from model_export.bundle.scoring.raised_items import RaisedItems, scores_of
from stream.store.state import UserState

__all__ = ["UserSearch", "user_searches"]


@dataclass(frozen=True)
class UserSearch:
    """One user's search, begun together with those of others and continued alone if it needs more hits.

    Items that the history raises are scored one by one. An item that the n best by max-sim do not have cannot be among
    the n best of all, unless it is raised; those that are lowered are kept out of the hits, where they would take the
    place of others.

    Attributes
    ----------
    index : of all items of the snapshot.
    vectors : float32 (items, d), the vector of each row.
    capsules : float32 (K', d).
    excluded : rows that the index must not find: those that the request leaves out, and items that are lowered.
    raised : the items with a bonus that may come back.
    history : int64 (T,), the rows of the user's behaviours that the bundle knows, oldest first.
    neighbours : of the bundle's items; None: it has none.
    allowed : the only rows that may come back; None: all.
    pool : the hits of the first search, which asked for `pool_size`.
    """

    index: MaxSimIndex
    vectors: np.ndarray | StackedVectors
    capsules: np.ndarray
    excluded: frozenset[int]
    raised: RaisedItems
    history: np.ndarray
    neighbours: NeighbourScores | None
    allowed: Allowed | None
    pool: Hits
    pool_size: int

    def fetch(self, n: int) -> Hits:
        """Return the n best items that may come back, fewer if there are no more."""
        hits = self.pool if n == self.pool_size else self.index.search(self.capsules, n, self.excluded, self.allowed)
        return self._with_raised(hits, n)

    def because(self, rows: np.ndarray) -> np.ndarray:
        """Return the behaviour whose neighbour each item is.

        Parameters
        ----------
        rows : int64 (N,), items that were found.

        Returns
        -------
        int64 (N,), the rows of the behaviours; -1 where an item is none's neighbour
        """
        return np.full(len(rows), -1) if self.neighbours is None else self.neighbours.because(self.history, rows)

    def _with_raised(self, hits: Hits, n: int) -> Hits:
        """Return the n best of hits and raised items; equal scores by row."""
        raised = self.raised
        if not len(raised.rows):
            return hits
        hits = hits.take(np.flatnonzero(~np.isin(hits.rows, raised.rows)))
        products = self.capsules @ self.vectors[raised.rows].T  # (K', R)
        rows = np.concatenate([hits.rows, raised.rows])
        scores = np.concatenate([hits.scores, scores_of(products, raised.bonus)])
        capsule = np.concatenate([hits.capsule, products.argmax(0)])
        return Hits(rows, scores, capsule).take(np.lexsort((rows, -scores))[:n])


def user_searches(
    index: MaxSimIndex,
    asked: Sequence[AskedUser],
    excluded: Sequence[frozenset[int]],
    size_of: Callable[[Request], int] = pool_size,
) -> list[UserSearch]:
    """Begin the searches of users with interests.

    One call of the index finds all pools of the same size and filters.

    Parameters
    ----------
    index : of the bundle's items.
    asked : users with capsules of this bundle.
    excluded : rows that must not come back, of each user.
    size_of : how many hits a request wants at first.
    """
    alike: dict[tuple[int, int, int], list[int]] = {}
    for place, one in enumerate(asked):
        resolved = one.resolved
        key = id(resolved.snapshot), id(resolved.allowed), size_of(resolved.request)
        alike.setdefault(key, []).append(place)
    found: dict[int, UserSearch] = {}
    for (_, _, size), places in alike.items():
        resolved = asked[places[0]].resolved
        states = [state for place in places if (state := asked[place].state)]
        searches = _searches(index, resolved, states, [excluded[place] for place in places], size)
        found.update(zip(places, searches, strict=True))
    return [found[place] for place in range(len(asked))]


def _searches(
    index: MaxSimIndex,
    resolved: ResolvedRequest,
    states: Sequence[UserState],
    excluded: Sequence[frozenset[int]],
    size: int,
) -> list[UserSearch]:
    """Begin the searches of users whose pools are found by one call."""
    snapshot, allowed, over = resolved.snapshot, resolved.allowed, resolved.snapshot.over(index)
    capsules = [state.capsules.vectors.astype(np.float32) for state in states]  # stores keep half precision
    histories = [snapshot.bundle.rows.known(state.history.item_ids) for state in states]
    raised = [raised_by(snapshot.bundle, history) for history in histories]
    unsearched = [
        rows.union(one.lowered.tolist()) if len(one.lowered) else rows
        for rows, one in zip(excluded, raised, strict=True)
    ]
    pools = over.search_many(capsules, size, unsearched, allowed)
    return [
        UserSearch(
            index=over,
            vectors=snapshot.vectors,
            capsules=capsules[user],
            excluded=unsearched[user],
            raised=_eligible(raised[user], excluded[user], allowed),
            history=np.array(histories[user], dtype=np.int64),
            neighbours=snapshot.bundle.neighbours,
            allowed=allowed,
            pool=pool,
            pool_size=size,
        )
        for user, pool in enumerate(pools)
    ]


def _eligible(raised: RaisedItems, excluded: Collection[int], allowed: Allowed | None) -> RaisedItems:
    """Return the raised items that may come back."""
    if not len(raised.rows) or (allowed is None and not excluded):
        return raised
    eligible = np.ones(len(raised.rows), dtype=bool) if allowed is None else allowed.mask[raised.rows]
    if excluded:
        eligible &= ~np.isin(raised.rows, np.fromiter(excluded, dtype=np.int64))
    return raised.take(np.flatnonzero(eligible))
