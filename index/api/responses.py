"""Answers of the HTTP API: these classes are its OpenAPI schema, and msgspec writes them as JSON."""

import time
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from index.catalogue.snapshot import CatalogueSnapshot
from index.recommend.candidates import Candidates
from stream.store.interests import ExplainedInterest
from stream.store.state import UserState

__all__ = [
    "MADE_BY",
    "UNREADABLE",
    "BatchOfRecommendations",
    "Behaviour",
    "Candidate",
    "Interest",
    "Interests",
    "Recommendations",
    "SimilarItems",
    "freshness_of",
    "response_candidates",
    "response_interest",
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


# An answer has hundreds of these, and a frozen dataclass takes three times as long to make.
@dataclass(slots=True)
class Candidate:
    """An item; `interest` is the place in `interests` of what brought it, null for popular ones."""

    item_id: str
    score: float
    interest: int | None
    title: str
    category: str
    price: float | None


@dataclass(slots=True)
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


def response_candidates(found: Candidates, snapshot: CatalogueSnapshot) -> list[Candidate]:
    """Return candidates with what people are shown of each."""
    return [
        Candidate(item_id, score, capsule if capsule >= 0 else None, *snapshot.summary(item_id))
        for item_id, score, capsule in zip(found.item_ids, found.scores, found.capsule, strict=True)
    ]


def response_interest(
    interest: ExplainedInterest,
    snapshot: CatalogueSnapshot,
    most: int | None = None,
    vector: list[float] | None = None,
) -> Interest:
    """Return an interest with the titles of the behaviours that formed it.

    Parameters
    ----------
    most : behaviours that are named; None: all.
    vector : the capsule, if it was asked for.
    """
    behaviours = [
        Behaviour(made_by.item_id, made_by.weight, snapshot.summary(made_by.item_id).title)
        for made_by in interest.behaviours[:most]
    ]
    return Interest(interest.importance, behaviours, vector)
