"""From a user to candidates: stored capsules, max-sim, and which interest and behaviours brought each item."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from os import PathLike
from typing import Any

import numpy as np

from index.catalogue.catalogue import Catalogue
from index.catalogue.item import CATEGORY
from index.catalogue.overlay import Overlay
from index.catalogue.snapshot import CatalogueSnapshot
from index.rank.second_stage import RankedUserPage, SecondStage, ToRank
from index.recommend.cancellation import Cancellation, CancelledWorkError
from index.recommend.candidates import (
    CAPSULES,
    POPULAR,
    POPULAR_IN_CATEGORY,
    SIMILAR,
    Candidates,
    Found,
    LeftOutItemError,
    UnknownItemError,
    UserInterests,
)
from index.recommend.filters import AskedUser, Filters, ResolvedRequest
from index.recommend.popular import popular_hits, rows_of_profile_category
from index.recommend.request import Request
from index.recommend.selection import pool_size, select_candidates
from index.recommend.user_search import UserSearch, user_searches
from index.search.index_files import open_index
from index.search.maxsim import NO_ROWS, Hits
from model_export.bundle.bundle import Bundle
from model_export.bundle.extractor import Extractor
from stream.store.contract import Store
from stream.store.interests import interests_of
from stream.store.state import UserState, encoded, recomputed

__all__ = ["AT_ONCE", "Candidates", "Recommender", "UnknownItemError", "UserInterests"]

LEAST_LENGTH = 1e-12  # of an item's vector, to divide by
AT_ONCE = 16  # users of one search; between two it can be stopped
WHOLE = np.ones(1, dtype=np.float32)  # importance of the one interest that stands for an item


class Recommender:
    """Candidates for stored users, from one bundle.

    Parameters
    ----------
    bundle : model, items and index; or the path of its folder.
    store : read only.
    overlay : items that were put, changed or removed since; None: the bundle's items alone.
    filters : with the items that are blocked for a time; who serves one bundle after the other gives the same to all.

    Attributes
    ----------
    catalogue : by which callers put and remove items.
    """

    def __init__(
        self,
        bundle: Bundle | str | PathLike[str],
        store: Store,
        overlay: Overlay | None = None,
        filters: Filters | None = None,
    ) -> None:
        bundle = Bundle.of(bundle)
        self.bundle, self.store = bundle, store
        self.index = open_index(bundle)
        self.extractor = Extractor(bundle)
        self.second_stage = SecondStage(bundle, self.extractor) if bundle.manifest.ranker else None
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
            If it filters by an attribute that no item has, or by a value; if the ranker has no task of a name.
        """
        return self.resolve_in(request, self.catalogue.current)

    def resolve_in(self, request: Request, snapshot: CatalogueSnapshot) -> ResolvedRequest:
        """Check a request like `resolve`, against the items of a snapshot."""
        if self.second_stage is not None:
            self.second_stage.weights(request.tasks)
        return self.filters.resolve(request, snapshot)

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
        return [one.candidates() for one in self.find(states, resolved, cancellation)]

    def find(
        self,
        states: Sequence[UserState | None],
        resolved: ResolvedRequest,
        cancellation: Cancellation,
        explained: int | None = None,
    ) -> list[Found]:
        """Find like `answer`, for who writes answers from rows.

        Parameters
        ----------
        explained : behaviours that are named of each interest, the strongest; None: all.

        Raises
        ------
        CancelledWorkError
            If it was stopped.
        """
        found: list[Found] = []
        for start in range(0, len(states), AT_ONCE):
            cancellation.check()
            asked = [AskedUser(state, resolved, cancellation) for state in states[start : start + AT_ONCE]]
            for one in self.find_each(asked, explained):
                if isinstance(one, CancelledWorkError):
                    raise one
                found.append(one)
        return found

    def find_each(self, asked: Sequence[AskedUser], explained: int | None = None) -> list[Found | CancelledWorkError]:
        """Find the candidates of users whose requests may differ, together.

        The model runs once, and users with the same filters are searched for by one call of the index.

        Parameters
        ----------
        asked : at most about AT_ONCE, since nothing stops a search of many.
        explained : as that of `find`.

        Returns
        -------
        What was found for each, in their order; the error, where the work for one was stopped.
        """
        excluded = [_excluded_rows(one) for one in asked]
        current = self.current([one.state for one in asked])
        asked = [
            one if one.state is state else replace(one, state=state) for one, state in zip(asked, current, strict=True)
        ]
        paths = [self.path_for(one.state, one.resolved.snapshot, one.resolved.request.where) for one in asked]
        known = [place for place, path in enumerate(paths) if path == CAPSULES]
        searches = user_searches(
            *(self.index, [asked[place] for place in known], [excluded[place] for place in known]), self._first_size
        )
        states = [state for place in known if (state := asked[place].state)]
        interests = dict(zip(known, interests_of(states, self.extractor, explained), strict=True))
        search_of = dict(zip(known, searches, strict=True))
        page_of = self._ranked(asked, search_of)
        found: list[Found | CancelledWorkError] = []
        for place, one in enumerate(asked):
            try:
                search, page = search_of.get(place), page_of.get(place)
                fetch = page.page.fetch if page else search.fetch if search else None
                hits = _selected(one, fetch, excluded[place])
                because = search.because(hits.rows) if search else np.full(len(hits.rows), -1)
                columns = page.columns(hits.rows, one.resolved.request.why) if page else None
                its = interests.get(place, []), paths[place], one.resolved.snapshot, columns
                found.append(Found(hits, because, *its))
            except CancelledWorkError as error:
                found.append(error)
        return found

    def _first_size(self, request: Request) -> int:
        """Return how many candidates the index is asked for at first."""
        if self.second_stage is None or not request.rank:
            return pool_size(request)
        return max(pool_size(request), request.candidates or self.second_stage.candidates)

    def _ranked(self, asked: Sequence[AskedUser], search_of: Mapping[int, UserSearch]) -> dict[int, RankedUserPage]:
        """Rank the candidates of those users who are to be answered so, together: place -> page."""
        stage = self.second_stage
        wanted: dict[int, ToRank] = {}
        for place, search in search_of.items():
            one = asked[place]
            request, state = one.resolved.request, one.state
            if stage is not None and state is not None and request.rank and not one.cancellation.is_set:
                hits = search.fetch(self._first_size(request))
                least = pool_size(request)
                wanted[place] = ToRank(state, one.resolved.snapshot, hits, request.tasks, request.rank_ms, least)
        pages = stage.rank([*wanted.values()]) if stage is not None and wanted else []
        return dict(zip(wanted, pages, strict=True))

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

    def similar(
        self,
        item_id: str,
        request: Request,
        snapshot: CatalogueSnapshot | None = None,
        cancellation: Cancellation | None = None,
    ) -> Candidates:
        """Return the candidates of `find_similar`."""
        return self.find_similar(item_id, request, snapshot, cancellation).candidates()

    def find_similar(
        self,
        item_id: str,
        request: Request,
        snapshot: CatalogueSnapshot | None = None,
        cancellation: Cancellation | None = None,
    ) -> Found:
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
            If the model does not know the item, and nobody has added it or it was removed.
        LeftOutItemError
            If it was added, and the model has no vector of it, or its entry cannot be read.
        ValueError
            If the request filters by an attribute that no item has, or by a value.
        """
        snapshot = snapshot or self.catalogue.current
        rows = snapshot.rows([item_id])
        if not rows:
            raise self._missing(item_id, snapshot)
        resolved = self.filters.resolve(request, snapshot)
        vectors = snapshot.vectors[np.array(rows)]  # (1, d)
        capsules = vectors / max(float(np.linalg.norm(vectors)), LEAST_LENGTH)
        excluded = frozenset([*rows, *snapshot.rows(request.exclude)])
        search = partial(snapshot.over(self.index).search, capsules, exclude=excluded, allowed=resolved.allowed)
        hits = select_candidates(search, request, snapshot.vectors, snapshot.category, WHOLE, cancellation)
        return Found(hits, np.full(len(hits.rows), -1), [], SIMILAR, snapshot)

    def _missing(self, item_id: str, snapshot: CatalogueSnapshot) -> ValueError:
        """Make the error for an item that has no row."""
        if fault := snapshot.fault_of(item_id) or self.catalogue.unreadable.get(item_id):
            return LeftOutItemError(item_id, fault)
        return UnknownItemError(item_id, self.bundle.version, snapshot.view.is_removed(item_id))

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


def _excluded_rows(asked: AskedUser) -> frozenset[int]:
    """Return the rows that must not come back.

    They are of the user's unwanted items, of what the request leaves out and, if it says so, of the kept history.
    """
    state, request = asked.state, asked.resolved.request
    unwanted: Collection[str] = state.unwanted if state else ()
    seen: Collection[str] = state.history.item_ids if state and request.exclude_seen else ()
    if not (request.exclude or unwanted or seen):
        return NO_ROWS
    return frozenset(asked.resolved.snapshot.rows((*request.exclude, *unwanted, *seen)))


def _selected(asked: AskedUser, fetch: Callable[[int], Hits] | None, excluded: frozenset[int]) -> Hits:
    """Select the hits of one user.

    Parameters
    ----------
    fetch : the best hits by max-sim and what the history adds; None: popular ones are taken.
    """
    state, request, snapshot = asked.state, asked.resolved.request, asked.resolved.snapshot
    if fetch is None or state is None:
        return popular_hits(asked.resolved, excluded, state, asked.cancellation)
    importance = state.capsules.importance.astype(np.float32)
    return select_candidates(fetch, request, snapshot.vectors, snapshot.category, importance, asked.cancellation)
