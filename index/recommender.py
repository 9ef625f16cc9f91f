"""From a user to candidates: stored capsules, max-sim, and which interest and behaviours brought each item."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from index.bundled import open_index
from index.filters import CATEGORY, Filters
from index.maxsim import Allowed, Hits
from index.request import Request
from index.selection import pool_size, selected
from model_export.bundle import Bundle
from model_export.extractor import Extractor
from stream.interests import Interest, interests_of
from stream.state import UserState, recomputed
from stream.store import Store

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
    interests: list[Interest]
    path: str
    model_version: str


class Recommender:
    """Candidates for stored users, from one bundle.

    Parameters
    ----------
    bundle : model, items and index.
    store : read only.
    """

    def __init__(self, bundle: Bundle, store: Store) -> None:
        self.bundle, self.store = bundle, store
        self.index = open_index(bundle)
        self.extractor = Extractor(bundle)
        self.filters = Filters(bundle)
        # Most popular first; equal ones by row, so that the answer is always the same.
        self.popular = np.argsort(-np.array(bundle.catalogue.popularity), kind="stable")

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

    def recommend_for_many(self, states: Sequence[UserState | None], request: Request) -> list[Candidates]:
        """Like `recommend_many`, for states that were read already."""
        allowed = self.filters.allowed(request.where)
        excluded = [self.excluded_rows(state, request) for state in states]
        states = self.current(states)
        known = [place for place, state in enumerate(states) if state is not None and len(state.capsules.vectors)]
        found = self.by_capsules(
            [state for place in known if (state := states[place])],
            request,
            [excluded[place] for place in known],
            allowed,
        )
        answers = dict(zip(known, found, strict=True))
        return [
            answers[place] if place in answers else self.most_popular(request, excluded[place], allowed, state)
            for place, state in enumerate(states)
        ]

    def by_capsules(
        self, states: list[UserState], request: Request, excluded: list[frozenset[int]], allowed: Allowed | None
    ) -> list[Candidates]:
        """Candidates of users with interests."""
        vectors = [state.capsules.vectors for state in states]
        pools = self.index.search_many(vectors, pool_size(request), excluded, allowed)
        answers = []
        for state, rows, pool in zip(states, excluded, pools, strict=True):

            def fetch(n: int, state: UserState = state, rows: frozenset[int] = rows, pool: Hits = pool) -> Hits:
                return pool if n == pool_size(request) else self.index.search(state.capsules.vectors, n, rows, allowed)

            hits = selected(
                fetch, request, self.bundle.item_embeddings, self.filters.category, state.capsules.importance
            )
            answers.append(self.candidates_of(hits, interests_of(state), CAPSULES))
        return answers

    def current(self, states: Sequence[UserState | None]) -> list[UserState | None]:
        """The states with capsules of this bundle: those of another version are computed again from the histories."""
        found = list(states)
        old = [place for place, state in enumerate(states) if state and self.is_old(state)]
        those = [state for place in old if (state := states[place])]
        capsules = self.extractor.encode([s.history.item_ids for s in those], [s.profile for s in those])
        for place, state, new in zip(old, those, capsules, strict=True):
            found[place] = recomputed(state, new)
        return found

    def is_old(self, state: UserState) -> bool:
        """Whether the capsules are not of this bundle."""
        return state.capsules.model_version != self.bundle.version

    def excluded_rows(self, state: UserState | None, request: Request) -> frozenset[int]:
        """Rows of the items that the request leaves out, and of those in the kept history where it says so."""
        rows = self.bundle.rows
        seen: Collection[str] = state.history.item_ids if state and request.exclude_seen else ()
        return frozenset(rows[item_id] for item_id in (*request.exclude, *seen) if item_id in rows)

    def most_popular(
        self, request: Request, exclude: frozenset[int], allowed: Allowed | None, state: UserState | None = None
    ) -> Candidates:
        """The items with the most interactions in the training log; the score is their number."""
        may = np.ones(len(self.popular), dtype=bool) if allowed is None else allowed.mask.copy()
        may[list(exclude)] = False
        order = self.popular[may[self.popular]]
        named = self.category_of(state)
        if named is not None:
            first = np.zeros(len(may), dtype=bool)
            first[named] = True
            order = order[np.argsort(~first[order], kind="stable")]
        popularity = np.array(self.bundle.catalogue.popularity, dtype=np.float32)

        def fetch(n: int) -> Hits:
            return Hits(order[:n], popularity[order[:n]], np.full(len(order[:n]), -1))

        hits = selected(fetch, request, self.bundle.item_embeddings, self.filters.category, NO_IMPORTANCE)
        in_category = named is not None or CATEGORY in request.where
        return self.candidates_of(hits, [], POPULAR_IN_CATEGORY if in_category else POPULAR)

    def category_of(self, state: UserState | None) -> list[int] | None:
        """Rows of the category that a user's profile names, if it names one that there is."""
        named = state.profile.get(CATEGORY) if state else None
        return self.filters.attributes[CATEGORY].get(named) if named else None

    def candidates_of(self, hits: Hits, interests: list[Interest], path: str) -> Candidates:
        """The answer to people and programs: item ids for rows."""
        return Candidates(
            item_ids=[self.bundle.item_ids[row] for row in hits.rows.tolist()],
            scores=hits.scores.tolist(),
            capsule=hits.capsule.tolist(),
            interests=interests,
            path=path,
            model_version=self.bundle.version,
        )
