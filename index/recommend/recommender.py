"""From a user to candidates: stored capsules, max-sim, and which interest and behaviours brought each item."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from index.catalogue.catalogue import Catalogue
from index.catalogue.filters import Filters
from index.catalogue.item import CATEGORY
from index.catalogue.overlay import Overlay
from index.catalogue.snapshot import CatalogueSnapshot
from index.recommend.own_items import OwnItems, with_own
from index.recommend.request import Request
from index.recommend.selection import pool_size, selected
from index.search.bundled import open_index
from index.search.maxsim import Allowed, Hits
from model_export.bundle.extractor import Extractor
from model_export.bundle.format import Bundle
from model_export.bundle.own_items import own_items
from stream.store.interests import ExplainedInterest, interests_of
from stream.store.protocol import Store
from stream.store.state import UserState, encoded, recomputed

__all__ = [
    "CAPSULES",
    "POPULAR",
    "POPULAR_IN_CATEGORY",
    "Candidates",
    "Recommender",
    "candidates_of",
    "rows_of_category",
]

CAPSULES, POPULAR, POPULAR_IN_CATEGORY = "capsules", "popular", "popular in category"
NO_IMPORTANCE = np.empty(0, dtype=np.float32)


@dataclass(frozen=True)
class Candidates:
    """The top N for a user, best first.

    Attributes
    ----------
    item_ids, scores, capsule : one of each for a candidate; `capsule` is the place in `interests` of the interest that
        brought it, -1 for popular items.
    interests : of the user; empty for popular items.
    path : "capsules"; "popular" for a user without a history that the model knows; "popular in category" for one whose
        profile names a category, or where the request does: its items come first.
    model_version : of the bundle that both the capsules and the index come from.
    """

    item_ids: list[str]
    scores: list[float]
    capsule: list[int]
    interests: list[ExplainedInterest]
    path: str
    model_version: str


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
    items : by which callers put and remove items.
    """

    def __init__(
        self, bundle: Bundle, store: Store, overlay: Overlay | None = None, filters: Filters | None = None
    ) -> None:
        self.bundle, self.store = bundle, store
        self.index = open_index(bundle)
        self.extractor = Extractor(bundle)
        self.items = Catalogue(bundle, overlay)
        self.filters = filters or Filters()

    def recommend(self, user_id: str, n: int = 50, exclude_seen: bool = False, **wanted: Any) -> Candidates:
        """The top N items of a user; popular ones, marked as such, where nothing is known of the user.

        Parameters
        ----------
        exclude_seen : leave out the items of the kept history.
        wanted : what else a Request has.

        Raises
        ------
        ValueError
            If what is asked for is not right.
        """
        return self.recommend_many([user_id], Request(n, exclude_seen, **wanted))[0]

    def recommend_for(
        self, state: UserState | None, n: int = 50, exclude_seen: bool = False, **wanted: Any
    ) -> Candidates:
        """Like `recommend`, for a state that was read already."""
        return self.recommend_for_many([state], Request(n, exclude_seen, **wanted))[0]

    def recommend_many(self, user_ids: Sequence[str], request: Request) -> list[Candidates]:
        """The same request for many users: one reading of the store, one search."""
        return self.recommend_for_many(self.store.get_many(list(user_ids)), request)

    def recommend_for_many(
        self, states: Sequence[UserState | None], request: Request, items: CatalogueSnapshot | None = None
    ) -> list[Candidates]:
        """Like `recommend_many`, for states that were read already; of the items at some moment, as a rule now."""
        items = items or self.items.current
        allowed = self.filters.allowed(request.where, items)
        excluded = [_excluded_rows(items, state, request) for state in states]
        states = self.current(states)
        known = [place for place, state in enumerate(states) if state is not None and len(state.capsules.vectors)]
        found = self.by_capsules(
            items,
            [state for place in known if (state := states[place])],
            request,
            [excluded[place] for place in known],
            allowed,
        )
        answers = dict(zip(known, found, strict=True))
        return [
            answers[place] if place in answers else _most_popular(items, request, excluded[place], allowed, state)
            for place, state in enumerate(states)
        ]

    def by_capsules(
        self,
        items: CatalogueSnapshot,
        states: list[UserState],
        request: Request,
        excluded: list[frozenset[int]],
        allowed: Allowed | None,
    ) -> list[Candidates]:
        """Candidates of users with interests: the best by max-sim, and own items with what the model gives those."""
        index, vectors = items.over(self.index), [state.capsules.vectors for state in states]
        owned = [OwnItems(*own_items(self.bundle, state.history.item_ids)) for state in states]
        others = [rows.union(own.rows.tolist()) for rows, own in zip(excluded, owned, strict=True)]
        pools = index.search_many(vectors, pool_size(request), others, allowed)
        answers = []
        for state, rows, own, other, pool in zip(states, excluded, owned, others, pools, strict=True):
            capsules, mine = state.capsules.vectors, own.that_may(rows, allowed)

            def fetch(
                n: int,
                capsules: np.ndarray = capsules,
                mine: OwnItems = mine,
                other: frozenset[int] = other,
                pool: Hits = pool,
            ) -> Hits:
                hits = pool if n == pool_size(request) else index.search(capsules, n, other, allowed)
                return with_own(hits, mine, items.vectors, capsules, n)

            hits = selected(fetch, request, items.vectors, items.category, state.capsules.importance)
            answers.append(candidates_of(items, hits, interests_of(state), CAPSULES))
        return answers

    def current(self, states: Sequence[UserState | None]) -> list[UserState | None]:
        """The states with capsules of this bundle: those of another version are computed again from the histories."""
        found = list(states)
        old = [place for place, state in enumerate(states) if state and self.is_old(state)]
        those = [state for place in old if (state := states[place])]
        capsules = encoded(self.extractor, those)
        for place, state, new in zip(old, those, capsules, strict=True):
            found[place] = recomputed(state, new)
        return found

    def is_old(self, state: UserState) -> bool:
        """Whether the capsules are not of this bundle."""
        return state.capsules.model_version != self.bundle.version


def _excluded_rows(items: CatalogueSnapshot, state: UserState | None, request: Request) -> frozenset[int]:
    """Rows of the items that the request leaves out, and of those in the kept history where it says so."""
    seen: Collection[str] = state.history.item_ids if state and request.exclude_seen else ()
    return frozenset(items.rows((*request.exclude, *seen)))


def _most_popular(
    items: CatalogueSnapshot,
    request: Request,
    exclude: frozenset[int],
    allowed: Allowed | None,
    state: UserState | None = None,
) -> Candidates:
    """The items with the most interactions in the training log; the score is their number."""
    may = np.ones(len(items.popular), dtype=bool) if allowed is None else allowed.mask.copy()
    may[list(exclude)] = False
    order = items.popular[may[items.popular]]
    named = rows_of_category(items, state)
    if len(named):
        first = np.zeros(len(may), dtype=bool)
        first[named] = True
        order = order[np.argsort(~first[order], kind="stable")]

    def fetch(n: int) -> Hits:
        return Hits(order[:n], items.popularity[order[:n]], np.full(len(order[:n]), -1))

    hits = selected(fetch, request, items.vectors, items.category, NO_IMPORTANCE)
    in_category = len(named) > 0 or CATEGORY in request.where
    return candidates_of(items, hits, [], POPULAR_IN_CATEGORY if in_category else POPULAR)


def rows_of_category(items: CatalogueSnapshot, state: UserState | None) -> np.ndarray:
    """Rows of the category that a user's profile names, int64 (R,)."""
    return items.matching.rows_with(CATEGORY, state.profile.get(CATEGORY, "") if state else "")


def candidates_of(items: CatalogueSnapshot, hits: Hits, interests: list[ExplainedInterest], path: str) -> Candidates:
    """The answer to people and programs: item ids for rows."""
    return Candidates(
        item_ids=[items.item_id(row) for row in hits.rows.tolist()],
        scores=hits.scores.tolist(),
        capsule=hits.capsule.tolist(),
        interests=interests,
        path=path,
        model_version=items.bundle.version,
    )
