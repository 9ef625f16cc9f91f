"""From a user to candidates: stored capsules, max-sim, and which interest and behaviours brought each item."""

from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

import numpy as np

from index.catalogue.catalogue import Catalogue
from index.catalogue.item import CATEGORY
from index.catalogue.overlay import Overlay
from index.catalogue.snapshot import CatalogueSnapshot
from index.recommend.cancellation import Cancellation
from index.recommend.candidates import (
    CAPSULES,
    POPULAR,
    POPULAR_IN_CATEGORY,
    SIMILAR,
    Candidates,
    UnknownItemError,
    UserInterests,
    candidates_of_hits,
)
from index.recommend.filters import Filters, ResolvedRequest
from index.recommend.popular import popular_candidates, rows_of_profile_category
from index.recommend.request import Request
from index.recommend.selection import pool_size, select_candidates
from index.recommend.user_search import user_searches
from index.search.index_files import open_index
from model_export.bundle.bundle import Bundle
from model_export.bundle.extractor import Extractor
from stream.store.contract import Store
from stream.store.interests import interests_of
from stream.store.state import UserState, encoded, recomputed

__all__ = ["Candidates", "Recommender", "UnknownItemError", "UserInterests"]

LEAST_LENGTH = 1e-12  # of an item's vector, to divide by
AT_ONCE = 16  # users of one search; between two it can be stopped
WHOLE = np.ones(1, dtype=np.float32)  # importance of the one interest that stands for an item


class Recommender:
    """Candidates for stored users, from one bundle.

    Parameters
    ----------
    bundle : model, items and index.
    store : read only.
    overlay : items that were put, changed or removed since; None: the bundle's items alone.
    filters : with the items that are blocked for a time; who serves one bundle after the other gives the same to all.

    Attributes
    ----------
    catalogue : by which callers put and remove items.
    """

    def __init__(
        self, bundle: Bundle, store: Store, overlay: Overlay | None = None, filters: Filters | None = None
    ) -> None:
        self.bundle, self.store = bundle, store
        self.index = open_index(bundle)
        self.extractor = Extractor(bundle)
        self.catalogue = Catalogue(bundle, overlay)
        self.filters = filters or Filters()

    def recommend(self, user_id: str, n: int = 50, exclude_seen: bool = False, **wanted: Any) -> Candidates:
        """Recommend the top N items to a user.

        Popular ones, marked as such, come back if nothing is known of the user. Items that the user has refused (see
        `UserState.unwanted`) never come back, by whatever path.

        Parameters
        ----------
        exclude_seen : leave out the items of the kept history.
        wanted : what else a Request has.

        Raises
        ------
        ValueError
            If what is asked for is not right; the store is not read then.
        """
        return self.recommend_many([user_id], Request(n, exclude_seen, **wanted))[0]

    def recommend_for(
        self, state: UserState | None, n: int = 50, exclude_seen: bool = False, **wanted: Any
    ) -> Candidates:
        """Recommend like `recommend`, for a state that was read already."""
        return self.recommend_for_many([state], Request(n, exclude_seen, **wanted))[0]

    def recommend_many(self, user_ids: Sequence[str], request: Request) -> list[Candidates]:
        """Answer the same request for many users: one reading of the store, one search."""
        resolved = self.resolve(request)
        return self.answer(self.store.get_many(list(user_ids)), resolved)

    def recommend_for_many(self, states: Sequence[UserState | None], request: Request) -> list[Candidates]:
        """Recommend like `recommend_many`, for states that were read already."""
        return self.answer(states, self.resolve(request))

    def resolve(self, request: Request) -> ResolvedRequest:
        """Check a request against the items as they are now; this comes before the store is read.

        Raises
        ------
        ValueError
            If it filters by an attribute that no item has, or by a value.
        """
        return self.filters.resolve(request, self.catalogue.current)

    def answer(
        self,
        states: Sequence[UserState | None],
        resolved: ResolvedRequest,
        cancellation: Cancellation | None = None,
    ) -> list[Candidates]:
        """Find the candidates of users for a request that was checked, in the order of the states.

        Parameters
        ----------
        cancellation : by which others stop it; None: nobody does.

        Raises
        ------
        CancelledWorkError
            If it was stopped.
        """
        cancellation = cancellation or Cancellation()
        found: list[Candidates] = []
        for start in range(0, len(states), AT_ONCE):
            cancellation.check()
            found += self._answer_some(states[start : start + AT_ONCE], resolved, cancellation)
        return found

    def _answer_some(
        self, states: Sequence[UserState | None], resolved: ResolvedRequest, cancellation: Cancellation
    ) -> list[Candidates]:
        """Find the candidates of as many users as are searched for at once."""
        request, snapshot = resolved.request, resolved.snapshot
        excluded = [_excluded_rows(snapshot, state, request) for state in states]
        states = self.current(states)
        cancellation.check()
        paths = [self.path_for(state, snapshot, request.where) for state in states]
        known = [place for place, path in enumerate(paths) if path == CAPSULES]
        found = self.by_capsules(
            [state for place in known if (state := states[place])],
            [excluded[place] for place in known],
            resolved,
            cancellation,
        )
        answers = dict(zip(known, found, strict=True))
        return [
            answers[place]
            if place in answers
            else popular_candidates(resolved, excluded[place], state, paths[place], cancellation)
            for place, state in enumerate(states)
        ]

    def path_for(self, state: UserState | None, snapshot: CatalogueSnapshot, attributes: Collection[str] = ()) -> str:
        """Decide by which path a user is answered; see `Candidates`.

        Parameters
        ----------
        state : with capsules of this bundle; None: nothing is known of the user.
        attributes : that the request filters by.
        """
        if state is not None and len(state.capsules.vectors):
            return CAPSULES
        in_category = CATEGORY in attributes or len(rows_of_profile_category(snapshot, state)) > 0
        return POPULAR_IN_CATEGORY if in_category else POPULAR

    def by_capsules(
        self,
        states: Sequence[UserState],
        excluded: Sequence[frozenset[int]],
        resolved: ResolvedRequest,
        cancellation: Cancellation | None = None,
    ) -> list[Candidates]:
        """Find the candidates of users with interests by max-sim and the bonus of own items.

        Parameters
        ----------
        states : with capsules of this bundle.
        excluded : rows that must not come back, of each user.
        cancellation : by which others stop it; None: nobody does.

        Raises
        ------
        CancelledWorkError
            If it was stopped.
        """
        request, snapshot = resolved.request, resolved.snapshot
        index = snapshot.over(self.index)
        answers = []
        searches = user_searches(index, resolved, states, excluded, pool_size(request))
        explained = interests_of(states, self.extractor)
        for state, search, interests in zip(states, searches, explained, strict=True):
            importance = state.capsules.importance.astype(np.float32)
            hits = select_candidates(
                search.fetch, request, snapshot.vectors, snapshot.category, importance, cancellation
            )
            answers.append(candidates_of_hits(snapshot, hits, interests, CAPSULES))
        return answers

    def similar(
        self,
        item_id: str,
        request: Request,
        snapshot: CatalogueSnapshot | None = None,
        cancellation: Cancellation | None = None,
    ) -> Candidates:
        """Find items like another one, without that item itself.

        They are what somebody would get whose only interest pointed at the item.

        Parameters
        ----------
        request : `exclude_seen` means nothing here, since there is no user.
        snapshot : the items that answer it; None: as they are now.
        cancellation : by which others stop it; None: nobody does.

        Raises
        ------
        CancelledWorkError
            If it was stopped.
        UnknownItemError
            If the model does not know the item and nobody has added it.
        ValueError
            If the request filters by an attribute that no item has, or by a value.
        """
        snapshot = snapshot or self.catalogue.current
        rows = snapshot.rows([item_id])
        if not rows:
            raise UnknownItemError(item_id, self.bundle.version)
        resolved = self.filters.resolve(request, snapshot)
        vectors = snapshot.vectors[np.array(rows)]  # (1, d)
        capsules = vectors / max(float(np.linalg.norm(vectors)), LEAST_LENGTH)
        excluded = frozenset([*rows, *snapshot.rows(request.exclude)])
        search = partial(snapshot.over(self.index).search, capsules, exclude=excluded, allowed=resolved.allowed)
        hits = select_candidates(search, request, snapshot.vectors, snapshot.category, WHOLE, cancellation)
        return candidates_of_hits(snapshot, hits, [], SIMILAR)

    def interests(self, user_id: str) -> UserInterests:
        """Read a user's interests, and the behaviours that formed each.

        There are none if nothing is known of the user.
        """
        [state] = self.store.get_many([user_id])
        return self.interests_for(state)

    def interests_for(self, state: UserState | None, snapshot: CatalogueSnapshot | None = None) -> UserInterests:
        """Explain the interests in a state that was read already.

        Parameters
        ----------
        snapshot : the items that the path is decided by; None: as they are now.
        """
        [state] = self.current([state])
        return UserInterests(
            interests=interests_of([state], self.extractor)[0] if state else [],
            vectors=(state.capsules.vectors if state else np.empty((0, self.bundle.manifest.dim))).astype(np.float32),
            path=self.path_for(state, snapshot or self.catalogue.current),
            model_version=self.bundle.version,
        )

    def current(self, states: Sequence[UserState | None]) -> list[UserState | None]:
        """Return the states with capsules of this bundle.

        Capsules of another version are computed again from the histories.
        """
        found = list(states)
        old = [place for place, state in enumerate(states) if state and self.is_old(state)]
        outdated = [state for place in old if (state := states[place])]
        capsules = encoded(self.extractor, outdated)
        for place, state, new in zip(old, outdated, capsules, strict=True):
            found[place] = recomputed(state, new)
        return found

    def is_old(self, state: UserState) -> bool:
        """Tell whether the capsules are of another bundle."""
        return state.capsules.model_version != self.bundle.version


def _excluded_rows(snapshot: CatalogueSnapshot, state: UserState | None, request: Request) -> frozenset[int]:
    """Return the rows that must not come back.

    They are of the user's unwanted items, of what the request leaves out and, if it says so, of the kept history.
    """
    unwanted: Collection[str] = state.unwanted if state else ()
    seen: Collection[str] = state.history.item_ids if state and request.exclude_seen else ()
    return frozenset(snapshot.rows((*request.exclude, *unwanted, *seen)))
