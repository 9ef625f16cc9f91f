"""Answers of the HTTP API: these classes are its OpenAPI schema, and `answers.written` writes what they say."""

import time
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from stream.store.state import UserState

__all__ = [
    "MADE_BY",
    "UNREADABLE",
    "BatchOfRecommendations",
    "Behaviour",
    "Candidate",
    "Interest",
    "Interests",
    "NamedItem",
    "Recommendations",
    "SimilarItems",
    "freshness_of",
]

MADE_BY = 5  # behaviours that an answer with candidates names of each interest

UNREADABLE = "unreadable"  # the path of a user who is not answered

Served = Annotated[str, Field(description='what served: "capsules", "popular", "popular in category" or "similar"')]
Fault = Annotated[
    str | None,
    Field(description='in a batch, why there are no candidates for this user, and path is "unreadable"; else null'),
]
Version = Annotated[str, Field(description="of the model and the index")]
Freshness = Annotated[
    float | None,
    Field(description="seconds since the user's last behaviour that was applied; null where none is known"),
]


@dataclass(frozen=True)
class NamedItem:
    """An item of the user's history; the title is the id where nothing else is known of it."""

    item_id: str
    title: str


Because = Annotated[
    NamedItem | None,
    Field(description="of the user's behaviours the one whose neighbour it is: who took that took this, too; or null"),
]


TaskScores = Annotated[
    dict[str, float] | None, Field(description="only if it was ranked: task -> score; `score` joins them")
]
MatchingRank = Annotated[
    int | None,
    Field(description="only if it was ranked: its place in the order of matching, 0 for the first"),
]
Reasons = Annotated[
    list[str] | None, Field(description="only if it was ranked, and they were asked for: what spoke for it")
]


@dataclass(frozen=True)
class Candidate:
    """An item; `interest` is the place in `interests` of what brought it, null for popular ones."""

    item_id: str
    score: float
    interest: int | None
    because: Because
    title: str
    category: str
    price: float | None
    tasks: TaskScores = None
    matching_rank: MatchingRank = None
    reasons: Reasons = None


@dataclass(frozen=True)
class Behaviour:
    """A behaviour that formed an interest; the title is the id where nothing else is known of the item."""

    item_id: str
    weight: Annotated[float, Field(description="share of it that went into this interest, 0 to 1")]
    title: str


@dataclass(frozen=True)
class Interest:
    """One interest and what formed it, the strongest first."""

    importance: Annotated[float, Field(description="share of the user's behaviours, 0 to 1")]
    behaviours: list[Behaviour]
    vector: Annotated[list[float] | None, Field(description="the capsule, where it was asked for")] = None


@dataclass(frozen=True)
class Recommendations:
    """Candidates for one user, best first; user_id is null for a visitor."""

    user_id: str | None
    path: Served
    model_version: Version
    freshness_s: Freshness
    interests: list[Interest]
    candidates: list[Candidate]
    error: Fault = None
    ranked: Annotated[int | None, Field(description="how many candidates were ranked; only if some were")] = None


@dataclass(frozen=True)
class BatchOfRecommendations:
    """In the order in which they were asked for, visitors last."""

    answers: list[Recommendations]


@dataclass(frozen=True)
class Interests:
    """A user's interests, and the path that recommendations would take."""

    user_id: str
    path: Served
    model_version: Version
    freshness_s: Freshness
    interests: list[Interest]


@dataclass(frozen=True)
class SimilarItems:
    """Items like one, best first."""

    item_id: str
    path: Served
    model_version: Version
    freshness_s: Freshness
    candidates: list[Candidate]


def freshness_of(state: UserState | None) -> float | None:
    """Return the seconds since the last behaviour in a state, None if there is none.

    A clock that is ahead makes none negative.
    """
    last_ms = state.history.event_times_ms[-1] if state and state.history.event_times_ms else 0
    return max(0.0, round(time.time() - last_ms / 1000, 3)) if last_ms else None
