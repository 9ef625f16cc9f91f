"""Results of a recommender: candidates with the interest that brought each, and a user's interests."""

from dataclasses import dataclass, field

import numpy as np

from index.catalogue.snapshot import CatalogueSnapshot
from index.rank.ranked_page import RankedColumns
from index.search.maxsim import Hits
from stream.store.interests import ExplainedInterest

__all__ = [
    "CAPSULES",
    "POPULAR",
    "POPULAR_IN_CATEGORY",
    "SIMILAR",
    "Candidates",
    "Found",
    "LeftOutItemError",
    "UnknownItemError",
    "UserInterests",
]

CAPSULES, POPULAR, POPULAR_IN_CATEGORY, SIMILAR = "capsules", "popular", "popular in category", "similar"


@dataclass(frozen=True)
class Candidates:
    """The top N for a user or an item, best first.

    Attributes
    ----------
    item_ids, scores, capsule : one of each for a candidate; `capsule` is the place in `interests` of the interest that
        brought it, -1 for popular items, 0 for similar ones.
    because : of each, the item of the user's history whose neighbour it is (people who took that took this, too), ""
        for others.
    interests : of the user; empty for popular and similar items.
    path : "capsules"; "popular" for a user without a history that the model knows; "popular in category" if the user's
        profile names a category, or the request does: its items come first; "similar" for items like another.
    model_version : of the bundle that both the capsules and the index come from.
    ranked : how many candidates the second stage ranked; 0 where there was none.
    tasks : task -> the score of each candidate, if they were ranked; `scores` joins them.
    matching_rank : of each ranked candidate its place in the matching stage's own order, 0 for the first.
    reasons : of each ranked candidate the features that spoke for it, in words, if they were asked for.
    """

    item_ids: list[str]
    scores: list[float]
    capsule: list[int]
    because: list[str]
    interests: list[ExplainedInterest]
    path: str
    model_version: str
    ranked: int = 0
    tasks: dict[str, list[float]] = field(default_factory=dict)
    matching_rank: list[int] = field(default_factory=list)
    reasons: list[list[str]] = field(default_factory=list)


@dataclass(frozen=True)
class UserInterests:
    """The interests of a user.

    Attributes
    ----------
    interests : each with the behaviours that formed it; empty for a user without a history that the model knows.
    vectors : float32 (K', d), the capsule of each interest.
    path : which recommendations for this user take; see `Candidates`.
    model_version : of the bundle that the capsules come from.
    """

    interests: list[ExplainedInterest]
    vectors: np.ndarray
    path: str
    model_version: str


class UnknownItemError(ValueError):
    """An item that the model does not know, and that nobody has added or somebody has removed."""

    def __init__(self, item_id: str, model_version: str, is_removed: bool = False) -> None:
        why = "it was removed" if is_removed else "nobody has added it"
        super().__init__(f"the model {model_version} knows no item {item_id[:50]!r}, and {why}")


class LeftOutItemError(ValueError):
    """An item that was added, and that no answer can have while this model is served."""

    def __init__(self, item_id: str, fault: str) -> None:
        super().__init__(f"item {item_id[:50]!r} was added, and no answer can have it now: {fault}; add it again so")


@dataclass(frozen=True)
class Found:
    """The top N for a user or an item as rows, from which answers are written without an object for each candidate.

    Attributes
    ----------
    hits : best first.
    because : int64 (N,), of each hit the row of the behaviour whose neighbour it is, -1 for others.
    interests : of the user; empty for popular and similar items.
    path : see `Candidates`.
    snapshot : whose rows the hits are.
    ranked : what the second stage says of the hits; None where there was none.
    """

    hits: Hits
    because: np.ndarray
    interests: list[ExplainedInterest]
    path: str
    snapshot: CatalogueSnapshot
    ranked: RankedColumns | None = None

    def candidates(self) -> Candidates:
        """Return the candidates, with item ids for rows."""
        ranked = self.ranked
        return Candidates(
            item_ids=[self.snapshot.item_id(row) for row in self.hits.rows.tolist()],
            scores=self.hits.scores.tolist(),
            capsule=self.hits.capsule.tolist(),
            because=[self.snapshot.item_id(row) if row >= 0 else "" for row in self.because.tolist()],
            interests=self.interests,
            path=self.path,
            model_version=self.snapshot.bundle.version,
            ranked=ranked.ranked if ranked else 0,
            tasks=dict(zip(ranked.tasks, ranked.scores.T.tolist(), strict=True)) if ranked else {},
            matching_rank=ranked.matching_rank.tolist() if ranked else [],
            reasons=[list(some) for some in ranked.reasons] if ranked else [],
        )
