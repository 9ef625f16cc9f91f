"""From a user to candidates: stored capsules, max-sim, and which interest and behaviours brought each item."""

from dataclasses import dataclass

import numpy as np

from index.bundled import open_index
from model_export.bundle import Bundle
from model_export.extractor import Extractor
from stream.interests import Interest, interests_of
from stream.state import UserState, recomputed
from stream.store import Store

CAPSULES, POPULAR = "capsules", "popular"


@dataclass(frozen=True)
class Candidates:
    """The top N for a user, best first.

    Attributes
    ----------
    item_ids, scores, capsule : one of each for a candidate; `capsule` is the place in `interests` of the interest that
        brought it, -1 for popular items.
    interests : of the user; empty for popular items.
    path : "capsules", or "popular" for a user without a history that the model knows.
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
        # Most popular first; equal ones by row, so that the answer is always the same.
        self.popular = np.argsort(-np.array(bundle.catalogue.popularity), kind="stable")

    def recommend(self, user_id: str, n: int = 50, exclude_seen: bool = False) -> Candidates:
        """The top N items of a user; popular ones, marked as such, where nothing is known of the user.

        Parameters
        ----------
        exclude_seen : leave out the items of the kept history.

        Raises
        ------
        ValueError
            If n is below 1.
        """
        [state] = self.store.get_many([user_id])
        return self.recommend_for(state, n, exclude_seen)

    def recommend_for(self, state: UserState | None, n: int = 50, exclude_seen: bool = False) -> Candidates:
        """Like `recommend`, for a state that was read already."""
        if n < 1:
            raise ValueError(f"n is {n}; it must be at least 1")
        seen = self.seen_rows(state) if state and exclude_seen else frozenset[int]()
        state = self.current(state) if state else None
        if state is None or not len(state.capsules.vectors):
            return self.most_popular(n, seen)
        hits = self.index.search(state.capsules.vectors, n, seen)
        return Candidates(
            item_ids=[self.bundle.item_ids[row] for row in hits.rows],
            scores=hits.scores.tolist(),
            capsule=hits.capsule.tolist(),
            interests=interests_of(state),
            path=CAPSULES,
            model_version=self.bundle.version,
        )

    def current(self, state: UserState) -> UserState:
        """The state with capsules of this bundle: those of another version are computed again from the history."""
        if state.capsules.model_version == self.bundle.version:
            return state
        [capsules] = self.extractor.encode([state.history.item_ids], [state.profile])
        return recomputed(state, capsules)

    def seen_rows(self, state: UserState) -> frozenset[int]:
        """Rows of the items in the kept history."""
        rows = self.bundle.rows
        return frozenset(rows[item_id] for item_id in state.history.item_ids if item_id in rows)

    def most_popular(self, n: int, exclude: frozenset[int]) -> Candidates:
        """The items with the most interactions in the training log; the score is their number."""
        rows = [int(row) for row in self.popular[: n + len(exclude)] if int(row) not in exclude][:n]
        return Candidates(
            item_ids=[self.bundle.item_ids[row] for row in rows],
            scores=[float(self.bundle.catalogue.popularity[row]) for row in rows],
            capsule=[-1] * len(rows),
            interests=[],
            path=POPULAR,
            model_version=self.bundle.version,
        )
