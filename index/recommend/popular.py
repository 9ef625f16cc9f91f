"""Popular items, for users without interests: those of the category that a profile names come first."""

import numpy as np

from index.catalogue.item import CATEGORY
from index.catalogue.snapshot import CatalogueSnapshot
from index.recommend.cancellation import Cancellation
from index.recommend.filters import ResolvedRequest
from index.recommend.selection import select_candidates
from index.search.maxsim import Hits
from stream.store.state import UserState

__all__ = ["popular_hits", "rows_of_profile_category"]

NO_IMPORTANCE = np.empty(0, dtype=np.float32)
NO_INTEREST = -1


def popular_hits(
    resolved: ResolvedRequest,
    excluded: frozenset[int],
    state: UserState | None,
    cancellation: Cancellation | None = None,
) -> Hits:
    """Find the items with the most interactions in the training log.

    The score is their number.

    Parameters
    ----------
    excluded : rows that must not come back.
    cancellation : by which others stop it; None: nobody does.

    Raises
    ------
    CancelledWorkError
        If it was stopped.
    """
    request, snapshot = resolved.request, resolved.snapshot
    order = _popular_rows(resolved, excluded, state)

    def fetch(n: int) -> Hits:
        rows = order[:n].astype(np.int64)
        return Hits(rows, snapshot.popularity[rows], np.full(len(rows), NO_INTEREST))

    return select_candidates(fetch, request, snapshot.vectors, snapshot.category, NO_IMPORTANCE, cancellation)


def _popular_rows(resolved: ResolvedRequest, excluded: frozenset[int], state: UserState | None) -> np.ndarray:
    """Return the rows that may come back, by popularity, int32 (R,).

    Those of the profile's category come first.
    """
    snapshot, allowed = resolved.snapshot, resolved.allowed
    eligible = np.ones(len(snapshot.popular), dtype=bool) if allowed is None else allowed.mask.copy()
    eligible[list(excluded)] = False
    order: np.ndarray = snapshot.popular[eligible[snapshot.popular]]
    preferred = rows_of_profile_category(snapshot, state)
    if len(preferred):
        is_preferred = np.zeros(len(eligible), dtype=bool)
        is_preferred[preferred] = True
        order = order[np.argsort(~is_preferred[order], kind="stable")]
    return order


def rows_of_profile_category(snapshot: CatalogueSnapshot, state: UserState | None) -> np.ndarray:
    """Return the rows of the category that a user's profile names, int (R,)."""
    return snapshot.rows_with(CATEGORY, state.profile.get(CATEGORY, "") if state else "")
